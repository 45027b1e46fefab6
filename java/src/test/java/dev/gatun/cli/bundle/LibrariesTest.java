package dev.gatun.cli.bundle;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LibrariesTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "native/lib/linux-x86_64/cpu/libtokenizers.so, true",
    "native/lib/linux-x86_64/cu122/libtokenizers.so, false",
    "native/lib/linux-aarch64/cpu/libtokenizers.so, false",
    "native/lib/osx-aarch64/cpu/libtokenizers.dylib, false",
    "native/lib/win-x86_64/cpu/tokenizers.dll, false",
    "linux/amd64/libzstd-jni-1.5.7-2.so, true",
    "linux/i386/libzstd-jni-1.5.7-2.so, false",
    "freebsd/amd64/libzstd-jni-1.5.7-2.so, false",
    "org/jline/nativ/Linux/x86_64/libjlinenative.so, true",
    "org/jline/nativ/Linux/arm64/libjlinenative.so, false",
    "lib/libJCudaDriver-12.6.0-linux-x86_64.so, true",
    "lib/libJNvrtc-12.6.0-linux-x86_64.so, false",
    "dev/gatun/kernels/norm.ptx, true",
    "org/example/Windows.class, true",
  })
  void onlyNativeCodeOfOtherPlatformsIsLeftOut(String entry, boolean kept) {
    assertThat(Libraries.isKept(entry)).isEqualTo(kept);
  }

  @Test
  void aJarKeepsItsContentWhateverItsOrder() throws IOException {
    Path jar = folder.resolve("a.jar");
    try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(jar))) {
      for (String name : new String[] {"b/B.class", "win/b.dll", "META-INF/MANIFEST.MF", "a"}) {
        out.putNextEntry(new ZipEntry(name));
        out.write(name.getBytes(java.nio.charset.StandardCharsets.UTF_8));
      }
    }
    Path bundled = folder.resolve("b.jar");
    Files.write(bundled, Libraries.jar(jar));

    try (ZipFile zip = new ZipFile(bundled.toFile())) {
      assertThat(zip.stream().map(ZipEntry::getName))
          .containsExactly("META-INF/MANIFEST.MF", "a", "b/B.class");
      assertThat(zip.getInputStream(zip.getEntry("b/B.class"))).hasContent("b/B.class");
    }
    assertThat(Libraries.jar(jar)).isEqualTo(Files.readAllBytes(bundled));
  }
}
