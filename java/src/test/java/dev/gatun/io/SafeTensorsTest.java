package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafeTensorsTest {
  private static final String A = "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}";

  @TempDir Path dir;

  @Test
  void readsBackWhatItWrote() {
    Path file = dir.resolve("x.safetensors");
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("ids", Tensor.ofInts(Shape.of(3), 1, -2, 3));
    tensors.put("w", Tensor.ofFloats(Shape.of(2, 2), 1, 2, 3, 4));
    tensors.put("none", Tensor.ofFloats(Shape.of(0, 5)));
    tensors.put("scalar", Tensor.ofFloats(Shape.of(), 7));
    SafeTensorsWriter.write(file, tensors, Map.of("format", "pt", "quote\"", "é\n\u0001"));
    try (SafeTensors read = SafeTensors.open(file)) {
      assertThat(read.names()).containsExactly("none", "scalar", "w", "ids");
      assertThat(read.metadata())
          .containsEntry("format", "pt")
          .containsEntry("quote\"", "é\n\u0001");
      assertThat(read.tensor("w").toFloats()).containsExactly(1, 2, 3, 4);
      assertThat(read.tensor("w").shape()).isEqualTo(Shape.of(2, 2));
      assertThat(read.tensor("scalar").toFloats()).containsExactly(7);
      assertThat(read.tensor("none").count()).isZero();
      assertThat(read.tensor("ids").dtype()).isEqualTo(DType.I32);
      assertThatThrownBy(() -> read.tensor("b"))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("x.safetensors has no tensor 'b'");
    }
  }

  @Test
  void writesStridedTensorsWithoutTheirGaps() {
    Path file = dir.resolve("x.safetensors");
    Tensor wide = Tensor.ofFloats(Shape.of(2, 3), 1, 2, 3, 4, 5, 6);
    SafeTensorsWriter.write(file, Map.of("part", wide.columns(1, 2)), Map.of());
    try (SafeTensors read = SafeTensors.open(file)) {
      assertThat(read.tensor("part").toFloats()).containsExactly(2, 3, 5, 6);
    }
  }

  @Test
  void layoutIsThatOfThePythonLibrary() throws IOException {
    Path file = dir.resolve("x.safetensors");
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("a", Tensor.ofInts(Shape.of(1), 5));
    tensors.put("b", Tensor.ofFloats(Shape.of(2), 1, 2));
    SafeTensorsWriter.write(file, tensors, Map.of("format", "pt"));
    String header =
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"a\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[8,12]}}";
    byte[] bytes = Files.readAllBytes(file);
    int length = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    assertThat(length % 8).isZero();
    assertThat(new String(bytes, 8, length, StandardCharsets.UTF_8).stripTrailing())
        .isEqualTo(header);
    assertThat(bytes).hasSize(8 + length + 12);
  }

  @Test
  void acceptsPaddingAndEntriesInAnyOrder() throws IOException {
    Path file =
        file("{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[8,11]}," + A + "}   ", 11);
    try (SafeTensors read = SafeTensors.open(file)) {
      assertThat(read.names()).containsExactly("b", "a");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8]}} {} | 8 | text follows",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8]}    | 8 | not valid JSON",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8]}}   | 9 | 1 bytes follow",
        "[]                                                       | 0 | does not begin with",
        "{`a`:7}                                                  | 0 | 'a' is not described",
        "{`a`:{`dtype`:`F32`,`shape`:[2]}}                        | 8 | 'a' lacks data_offsets",
        "{`a`:{`shape`:[2],`data_offsets`:[0,8]}}                 | 8 | 'a' lacks dtype",
        "{`a`:{`dtype`:`F32`,`data_offsets`:[0,8]}}               | 8 | 'a' lacks shape",
        "{`a`:{`dtype`:`F33`,`shape`:[2],`data_offsets`:[0,8]}}   | 8 | unknown dtype 'F33'",
        "{`a`:{`dtype`:3,`shape`:[2],`data_offsets`:[0,8]}}       | 8 | dtype that is not a string",
        "{`a`:{`dtype`:`F32`,`shape`:2,`data_offsets`:[0,8]}}     | 8 | shape that is not an array",
        "{`a`:{`dtype`:`F32`,`shape`:[-2],`data_offsets`:[0,8]}}  | 8 | not a size",
        "{`a`:{`dtype`:`F32`,`shape`:[2.0],`data_offsets`:[0,8]}} | 8 | not a size",
        "{`a`:{`dtype`:`F32`,`shape`:[99999999999999999999],`data_offsets`:[0,8]}} | 8 | not a size",
        "{`a`:{`dtype`:`U8`,`shape`:[4294967296,4294967296,0],`data_offsets`:[0,0]}} | 0 | 64 bits",
        "{`a`:{`dtype`:`F32`,`shape`:[4611686018427387904],`data_offsets`:[0,0]}} | 0 | 64 bits",
        "{`a`:{`dtype`:`F32`,`shape`:[3],`data_offsets`:[0,8]}}   | 8 | needs 12 bytes",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[8,0]}}   | 8 | begin <= end",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8,9]}} | 8 | begin <= end",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8]}}   | 7 | ends at byte 8",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[4,12]}}  | 12 | 4 unused bytes",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8],`x`:1}} | 8 | unknown field 'x'",
        "{`__metadata__`:{`k`:1}}                                 | 0 | entry 'k' is not a string",
        "{`a`:{`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8]},`b`:{`dtype`:`U8`,`shape`:[4],`data_offsets`:[4,8]}} | 8 | inside the tensor before it",
        "{`a`:{`dtype`:`F32`,`dtype`:`F32`,`shape`:[2],`data_offsets`:[0,8]}} | 8 | Duplicate"
      })
  void refusesWithOneSentence(String header, int dataBytes, String expected) throws IOException {
    Path file = file(header.replace('`', '"'), dataBytes);
    assertThatThrownBy(() -> SafeTensors.open(file).close())
        .isInstanceOf(InputException.class)
        .hasMessageContaining(expected)
        .hasMessageContaining("x.safetensors")
        .hasMessageNotContaining("\n");
  }

  @Test
  void refusesTypesOfTheFormatThatThisEngineLacks() throws IOException {
    Path file = file("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
    assertThatThrownBy(() -> SafeTensors.open(file))
        .isInstanceOf(UnsupportedException.class)
        .hasMessageContaining("F8_E4M3");
  }

  @Test
  void refusesLengthsThatTheFileCannotHold() throws IOException {
    for (long length : new long[] {-1, Long.MIN_VALUE, 1L << 62, 100_000_001, 3}) {
      Path file = dir.resolve("x.safetensors");
      byte[] bytes = new byte[10];
      ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
      Files.write(file, bytes);
      assertThatThrownBy(() -> SafeTensors.open(file))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("x.safetensors: the header claims");
    }
  }

  @Test
  void refusesWhatIsNoFile() throws IOException {
    assertThatThrownBy(() -> SafeTensors.open(dir.resolve("absent")))
        .isInstanceOf(InputException.class)
        .hasMessageEndingWith("absent does not exist");
    assertThatThrownBy(() -> SafeTensors.open(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("is a directory");
    Path empty = Files.createFile(dir.resolve("empty"));
    assertThatThrownBy(() -> SafeTensors.open(empty))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("too short");
  }

  @Test
  void refusesAHeaderThatIsNotUtf8() throws IOException {
    byte[] header = ("{" + A + "}").getBytes(StandardCharsets.UTF_8);
    header[2] = (byte) 0xE9;
    Path file = file(header, 8);
    assertThatThrownBy(() -> SafeTensors.open(file))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("header byte 2 is not valid UTF-8");
  }

  /// Damaged headers are refused or read; nothing else ever comes out.
  @Test
  void damagedFilesAreRefusedOrRead() throws IOException {
    Path file = dir.resolve("x.safetensors");
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("a", Tensor.ofFloats(Shape.of(2, 3), 1, 2, 3, 4, 5, 6));
    tensors.put("b", Tensor.ofInts(Shape.of(4), 1, 2, 3, 4));
    SafeTensorsWriter.write(file, tensors, Map.of("format", "pt"));
    byte[] good = Files.readAllBytes(file);
    long seed = 20251;
    Random random = new Random(seed);
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
      byte[] bad = good.clone();
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        bad[random.nextInt(good.length - 40)] ^= (byte) (1 << random.nextInt(8));
      }
      Path damaged = Files.write(file, bad);
      try (SafeTensors read = SafeTensors.open(damaged)) {
        for (String name : read.names()) {
          assertThat(read.tensor(name).segment().byteSize()).as("seed %d", seed).isNotNegative();
        }
      } catch (InputException e) {
        assertThat(e.getMessage()).contains("x.safetensors").doesNotContain("\n");
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(1000);
  }

  private Path file(String header, int dataBytes) throws IOException {
    return file(header.getBytes(StandardCharsets.UTF_8), dataBytes);
  }

  private Path file(byte[] header, int dataBytes) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(header.length).put(header);
    return Files.write(dir.resolve("x.safetensors"), bytes.array());
  }

  @Test
  void leavesNoTemporaryFileBehind() throws IOException {
    SafeTensorsWriter.write(
        dir.resolve("y.safetensors"), Map.of("a", Tensor.ofFloats(Shape.of(1), 1)), Map.of());
    try (Stream<Path> files = Files.list(dir)) {
      assertThat(files.map(p -> p.getFileName().toString())).containsExactly("y.safetensors");
    }
  }
}
