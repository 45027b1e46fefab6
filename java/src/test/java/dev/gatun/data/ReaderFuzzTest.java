package dev.gatun.data;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.InputException;
import dev.gatun.Mutations;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.apache.arrow.dataset.jni.NativeMemoryPool;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.ArrowWriter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Readers of data files on damaged files of every format: they read, or they say what is wrong in
/// an [InputException], in a bounded time and memory. Seeded; a failure names seed, round and file.
class ReaderFuzzTest {
  private static final long SEED = 11;

  /// Most processor time that reading one of these small files may take.
  private static final Duration LONGEST = Duration.ofSeconds(10);

  private static final long MOST_BYTES = 3L << 30;

  private static final List<String> WILD =
      List.of(
          "-1",
          "1e999",
          "99999999999999999999",
          "9".repeat(2000),
          "null",
          "NaN",
          "{",
          "]",
          "[".repeat(3000),
          "{\"a\":".repeat(300),
          "\"\\ud800\"",
          "\\u0000",
          "\"",
          "\"\"",
          "\n",
          "\r",
          ",,,,",
          "\ufeff",
          "PAR1",
          "ARROW1",
          "");

  private static final Mutations TEXT = new Mutations(WILD, Integer.MAX_VALUE);
  private static final Mutations BINARY = new Mutations(WILD, 800);

  @TempDir private Path directory;

  private final Map<String, byte[]> files = new TreeMap<>();

  @BeforeEach
  void writeFiles() throws IOException, URISyntaxException {
    String lines =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9 \\\"x\\\"\"}],\"n\":[1,2.5,null,true]}\n"
            .repeat(3);
    put("rows.jsonl", lines);
    put("rows.json", "[" + lines.strip().replace("\n", ",\n") + "]");
    put("rows.csv", "prompt,completion\n\"a \"\"b\"\"\",c\n,\"d\n,e\"\n");
    put("rows.tsv", "prompt\tcompletion\na\tb\n");
    ByteArrayOutputStream zipped = new ByteArrayOutputStream();
    try (GZIPOutputStream out = new GZIPOutputStream(zipped)) {
      out.write(lines.getBytes(StandardCharsets.UTF_8));
    }
    files.put("rows.jsonl.gz", zipped.toByteArray());
    files.put("rows.arrow", arrow(true));
    files.put("rows.arrows", arrow(false));
    Path own = Path.of(requireNonNull(getClass().getResource("/conformance/data")).toURI());
    Path kit = Path.of(System.getProperty("gatun.conformance", ""), "data");
    for (Path folder : List.of(own, kit)) {
      if (Files.isDirectory(folder)) {
        addFiles(folder);
      }
    }
  }

  private void put(String name, String text) {
    files.put(name, text.getBytes(StandardCharsets.UTF_8));
  }

  private void addFiles(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      for (Path file : entries.sorted().toList()) {
        String name = file.getFileName().toString();
        if (name.matches(".*\\.(arrows?|parquet)") && Files.size(file) < 120_000) {
          files.put(name, Files.readAllBytes(file));
        }
      }
    }
  }

  private static byte[] arrow(boolean file) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (RootAllocator allocator = new RootAllocator();
        VarCharVector text = new VarCharVector("text", allocator);
        BigIntVector number = new BigIntVector("number", allocator)) {
      text.allocateNew(2);
      text.setSafe(0, "some text".getBytes(StandardCharsets.UTF_8));
      text.setNull(1);
      number.allocateNew(2);
      number.setSafe(0, 7);
      number.setSafe(1, -1);
      VectorSchemaRoot root = VectorSchemaRoot.of(text, number);
      root.setRowCount(2);
      try (ArrowWriter writer =
          file
              ? new ArrowFileWriter(root, null, java.nio.channels.Channels.newChannel(bytes))
              : new ArrowStreamWriter(root, null, bytes)) {
        writer.writeBatch();
        writer.writeBatch();
      }
    }
    return bytes.toByteArray();
  }

  @Test
  @Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void fewRounds() throws IOException {
    rounds(SEED, 600);
  }

  @Test
  @Tag("slow")
  @Timeout(value = 20, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void manyRounds() throws IOException {
    rounds(System.nanoTime(), 40_000);
  }

  private void rounds(long seed, int count) throws IOException {
    Random random = new Random(seed);
    List<String> names = List.copyOf(files.keySet());
    long before = NativeMemoryPool.getDefault().getBytesAllocated();
    int read = 0;
    int refused = 0;
    for (int round = 0; round < count; round++) {
      String name = names.get(round % names.size());
      String where = "seed %d, round %d, %s".formatted(seed, round, name);
      if (read(Files.write(directory.resolve(name), mutated(name, random)), where)) {
        read++;
      } else {
        refused++;
      }
    }
    assertThat(read).as("files that were read").isGreaterThan(50);
    assertThat(refused).as("files that were refused").isGreaterThan(50);
    assertThat(NativeMemoryPool.getDefault().getBytesAllocated())
        .as("bytes that Parquet's reader keeps")
        .isEqualTo(before);
    assertThat(peakBytes()).as("memory of this process").isLessThan(MOST_BYTES);
  }

  private byte[] mutated(String name, Random random) {
    Mutations mutations = name.matches(".*\\.(arrows?|parquet|gz)") ? BINARY : TEXT;
    byte[] bytes = requireNonNull(files.get(name));
    if (name.endsWith(".parquet") || name.endsWith(".arrow")) {
      // What describes the file stands at its end.
      int from = Math.max(0, bytes.length - 800);
      byte[] end = java.util.Arrays.copyOfRange(bytes, from, bytes.length);
      if (random.nextBoolean()) {
        return Mutations.splice(bytes, from, bytes.length, mutations.mutate(end, random));
      }
    }
    return mutations.mutate(bytes, random);
  }

  /// Whether the file was read, not refused.
  private static boolean read(Path file, String where) {
    long start = cpuTime();
    try {
      Dataset.open(file).forEach(row -> assertThat(row.columns()).isNotNull());
      return true;
    } catch (InputException _) {
      return false;
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
      throw new AssertionError(where, e);
    } finally {
      assertThat(Duration.ofNanos(cpuTime() - start)).as(where).isLessThan(LONGEST);
    }
  }

  /// The most memory that this process ever had, where Linux says so; else 0.
  private static long peakBytes() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return 0;
    }
    for (String line : Files.readAllLines(status)) {
      if (line.startsWith("VmHWM:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
      }
    }
    return 0;
  }

  /// Nanoseconds of this thread, which other work on the machine does not lengthen.
  private static long cpuTime() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }
}
