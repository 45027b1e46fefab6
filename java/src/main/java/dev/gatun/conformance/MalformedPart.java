package dev.gatun.conformance;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.ModelConfigReader;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.SafeTensors;
import dev.gatun.io.StoredTensors;
import dev.gatun.io.TensorFiles;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LoraTargets;
import dev.gatun.op.Backend;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// `malformed/`: files that must be refused in one sentence that names them, and some that must not
/// be refused.
public final class MalformedPart implements Part {
  /// What is done with a file, up to the point where nothing more could be wrong with it.
  private interface Use {
    void open(Path path, Backend backend);
  }

  @Override
  public String name() {
    return "malformed";
  }

  @Override
  public List<Case> cases(Path kit) {
    List<Case> cases = new ArrayList<>();
    for (Path folder : KitFiles.directories(kit.resolve(name()), "expected.json")) {
      KitFiles.json(folder.resolve("expected.json"))
          .properties()
          .forEach(entry ->
              cases.add(
                  Part.named(
                      folder.getFileName() + "/" + entry.getKey(),
                      (checks, engine) ->
                          run(
                              kit,
                              folder.resolve(entry.getKey()),
                              entry.getValue(),
                              checks,
                              engine.backend()))));
    }
    return cases;
  }

  private static void run(
      Path kit, Path path, JsonNode expectation, Checks checks, Backend backend) {
    String kind = path.getName(path.getNameCount() - 2).toString();
    Use use =
        switch (kind) {
          case "safetensors" -> (file, _) -> readAll(SafeTensors.open(file));
          case "sharded" -> (folder, _) -> readAll(TensorFiles.open(folder));
          case "config" -> (file, b) -> openModel(base(kit, expectation), file, b);
          case "adapter" -> (folder, _) -> openAdapter(kit, folder);
          case "tokenizer" -> (file, _) -> Tokenizer.open(file).close();
          default -> null;
        };
    if (use == null) {
      checks.notSupported("malformed files of kind " + kind);
      return;
    }
    // What is wrong can only be told where the sound original is usable.
    String missing = missingSupport(kit, kind, expectation, use, backend);
    if (missing != null) {
      checks.notSupported(missing);
    } else if (expectation.path("expected").asString("").startsWith("accept")) {
      use.open(path, backend);
      checks.that("accepted", true, "accepted");
    } else {
      checkRefused(path, use, checks, backend);
    }
  }

  private static void checkRefused(Path path, Use use, Checks checks, Backend backend) {
    try {
      use.open(path, backend);
      checks.that("refused", false, "accepted");
    } catch (InputException e) {
      checks.that("refused", true, e.getMessage());
      checks.that("names the file", e.getMessage().contains(path.toString()), e.getMessage());
      checks.that("is one line", e.getMessage().lines().count() == 1, e.getMessage());
    }
  }

  private static @Nullable String missingSupport(
      Path kit, String kind, JsonNode expectation, Use use, Backend backend) {
    Path original =
        switch (kind) {
          case "config" -> base(kit, expectation).resolve("config.json");
          case "adapter" -> kit.resolve(expectation.path("base_adapter").asString(""));
          default -> null;
        };
    try {
      if (original != null) {
        use.open(original, backend);
      }
      return null;
    } catch (UnsupportedException e) {
      return e.getMessage();
    }
  }

  private static Path base(Path kit, JsonNode expectation) {
    return kit.resolve(expectation.path("base").asString(""));
  }

  private static void readAll(StoredTensors tensors) {
    try (tensors) {
      tensors.names().forEach(tensors::tensor);
    }
  }

  private static void openModel(Path base, Path config, Backend backend) {
    try (Checkpoint checkpoint = Checkpoint.open(base, config)) {
      ModelLoader.plannedBytes(checkpoint, backend, new WeightFormat.AsStored());
    }
  }

  private static void openAdapter(Path kit, Path folder) {
    PeftAdapter adapter = AdapterFiles.read(folder);
    ModelConfig model =
        ModelConfigReader.read(
            kit.resolve(String.valueOf(adapter.baseModel())).resolve("config.json"));
    adapter.requireFits(model, folder.toString());
    Set<String> targets = targets(folder, adapter, model);
    if (!targets.equals(adapter.modules().keySet())) {
      throw new InputException(
          folder + ": target_modules select other modules than there are tensors for");
    }
  }

  private static Set<String> targets(Path folder, PeftAdapter adapter, ModelConfig model) {
    try {
      return LoraTargets.resolve(adapter.config(), model).keySet();
    } catch (UnsupportedException e) {
      throw e;
    } catch (InputException e) {
      // The settings may come from anywhere; here they come from this folder.
      throw new InputException(folder + ": " + e.getMessage(), e);
    }
  }
}
