package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CheckpointTest {
  private static final String INDEX = "model.safetensors.index.json";

  @TempDir Path dir;

  @BeforeEach
  void writeShards() {
    SafeTensorsWriter.write(
        dir.resolve("one.safetensors"), Map.of("a", Tensor.ofFloats(Shape.of(1), 1)), Map.of());
    SafeTensorsWriter.write(
        dir.resolve("two.safetensors"), Map.of("b", Tensor.ofFloats(Shape.of(1), 2)), Map.of());
  }

  @Test
  void readsShards() throws IOException {
    index("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}");
    try (TensorFiles files = TensorFiles.open(dir)) {
      assertThat(files.names()).containsExactly("a", "b");
      assertThat(files.tensor("b").toFloats()).containsExactly(2);
      assertThat(files.fileOf("b")).isEqualTo(dir.resolve("two.safetensors"));
      assertThatThrownBy(() -> files.tensor("c"))
          .isInstanceOf(InputException.class)
          .hasMessage(dir + " holds no tensor 'c'");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "{'a':'three.safetensors'} | three.safetensors is missing, but",
        "{'z':'one.safetensors'} | places tensor 'z' in",
        "{'a':'../one.safetensors'} | not the name of a file beside it",
        "{'a':'/etc/passwd'} | not the name of a file beside it",
        "{'a':'..'} | not the name of a file beside it",
        "{'a':''} | not the name of a file beside it",
        "{'a':7} | 'weight_map.a' is '7', not a string",
        "null | 'weight_map' is missing",
        "{'a': | is not valid JSON at line 1"
      })
  void refusesABrokenIndex(String weightMap, String expected) throws IOException {
    index(weightMap.replace('\'', '"'));
    assertThatThrownBy(() -> TensorFiles.open(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(expected)
        .hasMessageContaining(INDEX);
  }

  @Test
  void saysWhatADirectoryLacks() throws IOException {
    assertThatThrownBy(() -> Checkpoint.open(dir.resolve("absent")))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("absent is not a directory");
    assertThatThrownBy(() -> Checkpoint.open(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("config.json does not exist");
    assertThatThrownBy(() -> TensorFiles.open(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("holds neither model.safetensors nor");
    Files.createFile(dir.resolve("pytorch_model.bin"));
    assertThatThrownBy(() -> TensorFiles.open(dir))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("convert it to safetensors");
  }

  @Test
  void opensAWholeCheckpoint() throws IOException {
    TinyCheckpoint tiny = new TinyCheckpoint(dir.resolve("tiny"), DType.F32);
    Files.writeString(
        tiny.directory.resolve("generation_config.json"), "{\"eos_token_id\": [4, 5]}");
    try (Checkpoint checkpoint = tiny.open()) {
      assertThat(checkpoint.config().hidden()).isEqualTo(20);
      assertThat(checkpoint.generationConfig().eosTokenIds()).containsExactly(4, 5);
      assertThat(checkpoint.names()).hasSize(2 * 13 + 3);
      assertThat(checkpoint.tensor("model.norm.weight").shape()).isEqualTo(Shape.of(20));
    }
  }

  private void index(String weightMap) throws IOException {
    Files.writeString(dir.resolve(INDEX), "{\"weight_map\":" + weightMap + "}");
  }
}
