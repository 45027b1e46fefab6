package dev.gatun.cli.bundle;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

/// What of the libraries a bundle for linux-x86_64 takes along: native code of that platform only,
/// and no library that the bundle does without. Jars are written uncompressed, so that the archive
/// around them compresses across their borders.
final class Libraries {
  /// Left out whole: Parquet (78 MB of native code), natives that nobody calls, annotations, and
  /// what tests use outside of a bundle.
  private static final List<String> LEFT_OUT =
      List.of(
          "arrow-dataset-",
          "arrow-c-data-",
          "jna-",
          "byte-buddy-",
          "archunit",
          "error_prone_annotations-");

  private static final Pattern NATIVE_CODE =
      Pattern.compile(".*\\.(so|dll|dylib|jnilib|a|lib)(\\.\\d+)*");
  private static final Pattern OURS =
      Pattern.compile(
          "(.*[/_-])?linux[/_-](x86[_-]64|amd64)([/.](?!cu\\d).*)?", Pattern.CASE_INSENSITIVE);

  /// Of JCuda only the driver's natives: the others want CUDA's own libraries.
  private static final Pattern JCUDA_EXTRA = Pattern.compile("lib/lib(?!JCudaDriver-).*");

  private static final Comparator<String> MANIFEST_FIRST =
      Comparator.comparing((String name) -> !name.equals("META-INF/MANIFEST.MF"))
          .thenComparing(Comparator.naturalOrder());

  private Libraries() {}

  /// Whether a jar stays out of the bundle.
  static boolean isLeftOut(String jar) {
    return LEFT_OUT.stream().anyMatch(jar::startsWith);
  }

  /// Whether an entry of a jar is of use on linux-x86_64.
  static boolean isKept(String entry) {
    if (!NATIVE_CODE.matcher(entry).matches()) {
      return true;
    }
    return OURS.matcher(entry).matches() && !JCUDA_EXTRA.matcher(entry).matches();
  }

  /// The jar to bundle for a jar, or for a folder of classes.
  static byte[] jar(Path source) throws IOException {
    Map<String, byte[]> entries = new TreeMap<>(MANIFEST_FIRST);
    if (Files.isDirectory(source)) {
      readFolder(source, entries);
    } else {
      readJar(Files.readAllBytes(source), entries);
    }
    return stored(entries);
  }

  private static void readJar(byte[] jar, Map<String, byte[]> entries) throws IOException {
    try (ZipInputStream in = new ZipInputStream(new ByteArrayInputStream(jar))) {
      for (ZipEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
        if (!entry.isDirectory() && isKept(entry.getName())) {
          entries.put(entry.getName(), in.readAllBytes());
        }
      }
    }
  }

  private static void readFolder(Path folder, Map<String, byte[]> entries) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      files
          .filter(Files::isRegularFile)
          .forEach(file -> {
            try {
              entries.put(
                  folder.relativize(file).toString().replace('\\', '/'), Files.readAllBytes(file));
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    }
  }

  private static byte[] stored(Map<String, byte[]> entries) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream out = new ZipOutputStream(bytes)) {
      for (Map.Entry<String, byte[]> content : entries.entrySet()) {
        CRC32 checksum = new CRC32();
        checksum.update(content.getValue());
        ZipEntry entry = new ZipEntry(content.getKey());
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(content.getValue().length);
        entry.setCrc(checksum.getValue());
        entry.setTimeLocal(TarArchive.DATE);
        out.putNextEntry(entry);
        out.write(content.getValue());
      }
    }
    return bytes.toByteArray();
  }
}
