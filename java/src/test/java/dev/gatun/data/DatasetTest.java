package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.ArrowWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DatasetTest {
  @TempDir Path directory;

  private Path write(String name, String text) throws IOException {
    return Files.writeString(directory.resolve(name), text);
  }

  private static List<Object> texts(Path path) {
    return Dataset.open(path).head(100).stream().map(row -> row.value("text")).toList();
  }

  @Test
  void textFormatsAreToldApart() throws IOException {
    assertThat(texts(write("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"y\"}")))
        .containsExactly("x", "y");
    assertThat(texts(write("a.json", " [{\"text\":\"x\"},\n {\"text\":\"y\"}]")))
        .containsExactly("x", "y");
    assertThat(texts(write("b.json", "{\"text\":\"x\"}\n{\"text\":\"y\"}")))
        .containsExactly("x", "y");
    assertThat(texts(write("a.csv", "text\nx\ny\n"))).containsExactly("x", "y");
    assertThat(texts(write("a.tsv", "id\ttext\n1\tx,y\n"))).containsExactly("x,y");
    Path zipped = directory.resolve("a.csv.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(zipped))) {
      out.write("text\nz\n".getBytes(StandardCharsets.UTF_8));
    }
    assertThat(texts(zipped)).containsExactly("z");
  }

  @Test
  void malformedJsonArraysAreNamed() throws IOException {
    assertRefused(write("a.json", "[{\"a\":1},\n{\"a\":]"), "a.json line 2");
    assertRefused(write("b.json", "[{\"a\":1}, 3]"), "b.json row 2");
    assertRefused(write("c.json", "[{\"a\":1}"), "c.json");
    assertRefused(write("d.json", "[] x"), "d.json");
  }

  @Test
  void aDirectoryOfShardsIsOneDataset() throws IOException {
    write("data-2.jsonl", "{\"text\":\"y\"}\n");
    write("data-1.jsonl", "{\"text\":\"x\"}\n");
    write("README.md", "no data");
    assertThat(texts(directory)).containsExactly("x", "y");
    Path more = Files.createDirectory(directory.resolve("more"));
    assertRefused(Files.createDirectory(more.resolve("empty")), "holds no data files");
    assertRefused(more, "name one of its folders: empty");
    Files.writeString(more.resolve("z.jsonl"), "{\"text\":\"z\"}\n");
    List<Path> both = List.of(directory, more);
    assertThat(Dataset.of(both).files()).hasSize(3).last().isEqualTo(more.resolve("z.jsonl"));
    write("dataset_dict.json", "{}");
    assertRefused(directory, "splits");
  }

  @Test
  void savedDatasetsNameTheirFiles() throws IOException {
    write("data-2.jsonl", "{\"text\":\"y\"}\n");
    write("state.json", "{\"_data_files\":[{\"filename\":\"data-2.jsonl\"}]}");
    assertThat(texts(directory)).containsExactly("y");
    write("state.json", "{\"_data_files\":[{\"filename\":\"../../etc/passwd\"}]}");
    assertRefused(directory, "no file here");
    write("state.json", "{\"_data_files\":[]}");
    assertRefused(directory, "names no data files");
  }

  @Test
  void unknownAndMissingFilesAreRefused() throws IOException {
    assertRefused(directory.resolve("missing.jsonl"), "does not exist");
    assertRefused(write("x.bin", "\u0001\u0002"), "no known format");
    assertRefused(write("x.parquet", "not parquet"), "PAR1");
    assertRefused(write("x.arrow", "not arrow"), "not an Arrow IPC");
    Path cut = directory.resolve("cut.jsonl.gz");
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(cut))) {
      out.write("{\"text\":\"z\"}\n".repeat(5000).getBytes(StandardCharsets.UTF_8));
    }
    byte[] bytes = Files.readAllBytes(cut);
    Files.write(cut, Arrays.copyOf(bytes, bytes.length / 2));
    assertRefused(cut, "cut.jsonl.gz");
  }

  private Path arrow(String name, boolean stream) throws IOException {
    Path path = directory.resolve(name);
    try (RootAllocator allocator = new RootAllocator();
        VarCharVector text = new VarCharVector("text", allocator);
        FileChannel channel =
            FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      text.allocateNew();
      for (int i = 0; i < 50; i++) {
        text.setSafe(i, ("row " + i).getBytes(StandardCharsets.UTF_8));
      }
      text.setNull(7);
      text.setValueCount(50);
      try (VectorSchemaRoot root = VectorSchemaRoot.of(text);
          ArrowWriter writer =
              stream
                  ? new ArrowStreamWriter(root, null, channel)
                  : new ArrowFileWriter(root, null, channel)) {
        writer.start();
        writer.writeBatch();
        writer.writeBatch();
        writer.end();
      }
    }
    return path;
  }

  @Test
  void arrowFilesAndStreams() throws IOException {
    for (boolean stream : new boolean[] {false, true}) {
      List<Object> texts = texts(arrow("a" + stream + ".arrow", stream));
      assertThat(texts).hasSize(100).startsWith("row 0", "row 1").endsWith("row 49");
      assertThat(texts.get(57)).isNull();
    }
  }

  /// Cut or changed Arrow files are read or refused; nothing else happens.
  @Test
  void damagedArrowFiles() throws IOException {
    int refused = 0;
    for (int seed = 0; seed < 120; seed++) {
      Random random = new Random(seed);
      Path path = arrow("d.arrow", seed % 2 == 0);
      byte[] bytes = Files.readAllBytes(path);
      byte[] bad =
          random.nextBoolean() ? Arrays.copyOf(bytes, 8 + random.nextInt(bytes.length - 8)) : bytes;
      for (int i = random.nextInt(3); i >= 0; i--) {
        bad[8 + random.nextInt(bad.length - 8)] = (byte) random.nextInt();
      }
      Files.write(path, bad);
      try {
        assertThat(Dataset.open(path).head(1000)).hasSizeLessThanOrEqualTo(1000);
      } catch (InputException e) {
        refused++;
        assertThat(e.getMessage()).as("seed %d", seed).contains("d.arrow");
      }
    }
    assertThat(refused).isGreaterThan(30);
  }

  @Test
  void impossibleLengthsAreRefusedBeforeAnythingIsAllocated() throws IOException {
    byte[] stream = Files.readAllBytes(arrow("s.arrow", true));
    ByteBuffer.wrap(stream).order(ByteOrder.LITTLE_ENDIAN).putInt(4, Integer.MAX_VALUE);
    Path path = Files.write(directory.resolve("s.arrow"), stream);
    assertRefused(path, "beyond the end");
    byte[] parquet =
        "PAR1....................\u0000\u0000\u0000\u0000PAR1"
            .getBytes(StandardCharsets.ISO_8859_1);
    ByteBuffer.wrap(parquet)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(parquet.length - 8, Integer.MAX_VALUE);
    assertRefused(Files.write(directory.resolve("p.parquet"), parquet), "footer length");
    assertRefused(Files.write(directory.resolve("q.parquet"), Arrays.copyOf(parquet, 20)), "PAR1");
  }

  private static void assertRefused(Path path, String reason) {
    assertThatThrownBy(() -> Dataset.open(path).head(1_000_000))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(reason);
  }
}
