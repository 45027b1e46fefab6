package dev.gatun.io;

import dev.gatun.model.ModelConfig;
import dev.gatun.model.ParameterLayout;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/// A two-layer model with random weights, as a directory that tests then damage.
final class TinyCheckpoint {
  static final String CONFIG =
      """
      {"model_type": "llama", "hidden_size": 20, "num_attention_heads": 2, "num_hidden_layers": 2,
       "intermediate_size": 28, "vocab_size": 30, "attention_bias": true}\
      """;

  final Path directory;
  final Map<String, Tensor> tensors = new LinkedHashMap<>();

  /// @param dtype F32, BF16 or F16
  TinyCheckpoint(Path directory, DType dtype) throws IOException {
    this.directory = Files.createDirectories(directory);
    Files.writeString(directory.resolve("config.json"), CONFIG);
    ModelConfig config = ModelConfigReader.read(directory.resolve("config.json"));
    ParameterLayout layout = ParameterLayout.of(config);
    Random random = new Random(7);
    layout.tensors().forEach((name, shape) -> tensors.put(name, random(shape, dtype, random)));
    layout
        .linears()
        .forEach((path, shape) -> tensors.put(path + ".weight", random(shape, dtype, random)));
  }

  static Tensor random(Shape shape, DType dtype, Random random) {
    float[] values = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.ofRounded(dtype, shape, values);
  }

  Tensor tensor(String name) {
    return Objects.requireNonNull(tensors.get(name), name);
  }

  /// Writes one file and opens it.
  Checkpoint open() {
    SafeTensorsWriter.write(
        directory.resolve("model.safetensors"), tensors, Map.of("format", "pt"));
    return Checkpoint.open(directory);
  }
}
