package dev.gatun.conformance;

import dev.gatun.UnsupportedException;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.SafeTensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `models/`: logits, hidden states, loss, all gradients, packed rows, rotary frequencies and
/// greedy decoding of tiny checkpoints, in both spellings of their configuration.
public final class ModelsPart implements Part {
  private static final List<String> SPELLINGS = List.of("model/config.json", "config_legacy.json");

  @Override
  public String name() {
    return "models";
  }

  @Override
  public List<Case> cases(Path kit) {
    List<Case> cases = new ArrayList<>();
    for (Path directory : KitFiles.directories(kit.resolve(name()), "golden.json")) {
      for (String spelling : SPELLINGS) {
        Path config = directory.resolve(spelling);
        if (Files.isRegularFile(config)) {
          String label = directory.getFileName() + " " + config.getFileName();
          cases.add(Part.named(label, (c, e) -> run(directory, config, c, e)));
        }
      }
    }
    return cases;
  }

  private static void run(Path directory, Path config, Checks checks, Engine engine) {
    try (Checkpoint checkpoint = Checkpoint.open(directory.resolve("model"), config);
        SafeTensors golden = SafeTensors.open(directory.resolve("golden.safetensors"))) {
      JsonNode json = KitFiles.json(directory.resolve("golden.json"));
      new ModelCase(checkpoint, golden, json, checks, engine).run();
    } catch (UnsupportedException e) {
      checks.notSupported(e.getMessage());
    }
  }
}
