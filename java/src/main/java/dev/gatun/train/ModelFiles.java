package dev.gatun.train;

import dev.gatun.adapter.PlainLora;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.AtomicFiles;
import dev.gatun.io.JsonObject;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.PeftAdapter.LowRank;
import dev.gatun.io.SafeTensorsWriter;
import dev.gatun.model.LoraConfig;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.ModuleTree;
import dev.gatun.nn.Training;
import dev.gatun.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Writes what was trained, so that PEFT or transformers loads it: an adapter, or a whole
/// checkpoint in the types of the one it came from.
final class ModelFiles {
  private final SftConfig config;
  private final Training training;
  private final CausalLm model;

  ModelFiles(SftConfig config, Training training, CausalLm model) {
    this.config = config;
    this.training = training;
    this.model = model;
  }

  /// Writes the parameters as they are now, tensors first. Waits for the backend.
  void write(Path directory) {
    Map<String, Tensor> values = model.parameters().download();
    LoraConfig lora = config.lora();
    if (lora != null) {
      PeftAdapter trained = adapter(lora, values);
      AdapterFiles.write(directory, PlainLora.of(trained, training.adapters()));
    } else {
      writeCheckpoint(directory, values);
    }
  }

  private PeftAdapter adapter(LoraConfig lora, Map<String, Tensor> values) {
    Map<String, LowRank> modules = new TreeMap<>();
    for (String path : training.adapters().keySet()) {
      modules.put(
          path,
          new LowRank(
              value(values, ModuleTree.loraA(path)),
              value(values, ModuleTree.loraB(path)),
              values.get(ModuleTree.loraMagnitude(path))));
    }
    Map<String, Tensor> saved = new TreeMap<>();
    for (String path : training.replaced().starts().keySet()) {
      saved.put(path, value(values, training.replaced().parameter(path)));
    }
    Map<String, Tensor> tokens = new TreeMap<>();
    for (String path : training.rows().modules().keySet()) {
      tokens.put(path, value(values, ModuleTree.tokens(path)));
    }
    return new PeftAdapter(
        lora, config.model().modelNameOrPath().toString(), modules, saved, tokens, Map.of());
  }

  private static Tensor value(Map<String, Tensor> values, @Nullable String name) {
    Tensor value = name == null ? null : values.get(name);
    if (value == null) {
      throw new IllegalStateException("no parameter " + name);
    }
    return value;
  }

  private void writeCheckpoint(Path directory, Map<String, Tensor> values) {
    Map<String, Tensor> stored = new LinkedHashMap<>();
    values.forEach((name, value) ->
        stored.put(
            name, Tensor.ofRounded(model.config().dtype(), value.shape(), value.toFloats())));
    SafeTensorsWriter.write(directory.resolve("model.safetensors"), stored, Map.of("format", "pt"));
    Path source = config.model().modelNameOrPath();
    writeConfiguration(source.resolve("config.json"), directory.resolve("config.json"));
    Path generation = source.resolve("generation_config.json");
    if (Files.isRegularFile(generation)) {
      RunDirectory.copy(generation, directory.resolve("generation_config.json"));
    }
  }

  private void writeConfiguration(Path source, Path target) {
    int vocabulary = model.config().vocabulary();
    JsonObject stored = JsonObject.read(source);
    if (stored.integer("vocab_size", 1, Integer.MAX_VALUE) == vocabulary) {
      RunDirectory.copy(source, target);
    } else {
      AtomicFiles.writeText(target, stored.textWith("vocab_size", vocabulary));
    }
  }

  /// Writes what [#write] wrote elsewhere, byte for byte.
  ///
  /// @param checkpoint where it was written
  void copy(Path checkpoint, Path directory) {
    List<String> names =
        config.lora() == null
            ? List.of("model.safetensors", "config.json", "generation_config.json")
            : List.of(AdapterFiles.TENSORS, AdapterFiles.CONFIG);
    for (String name : names) {
      if (Files.isRegularFile(checkpoint.resolve(name))) {
        RunDirectory.copy(checkpoint.resolve(name), directory.resolve(name));
      }
    }
  }

  /// The first parameter that holds a NaN or an infinity, or null.
  @Nullable String firstNonFinite() {
    for (Map.Entry<String, Tensor> entry : model.parameters().download().entrySet()) {
      for (float value : entry.getValue().toFloats()) {
        if (!Float.isFinite(value)) {
          return entry.getKey();
        }
      }
    }
    return null;
  }
}
