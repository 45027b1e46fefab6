package dev.gatun.conformance;

import dev.gatun.UnsupportedException;
import dev.gatun.adapter.AdapterStart;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.SafeTensors;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `lora/`: PEFT adapters on the float32 and on the 4-bit base, and merged.
public final class LoraPart implements Part {
  @Override
  public String name() {
    return "lora";
  }

  @Override
  public List<Case> cases(Path kit) {
    return KitFiles.directories(kit.resolve(name()), "golden.json").stream()
        .map(directory ->
            Part.named(directory.getFileName().toString(), (c, e) -> run(kit, directory, c, e)))
        .toList();
  }

  private static void run(Path kit, Path directory, Checks checks, Engine engine) {
    JsonNode json = KitFiles.json(directory.resolve("golden.json"));
    Path base = kit.resolve(json.path("base").stringValue());
    try {
      run(directory, json, base, AdapterFiles.read(directory.resolve("adapter")), checks, engine);
    } catch (UnsupportedException e) {
      checks.notSupported(e.getMessage());
    }
  }

  private static void run(
      Path directory, JsonNode json, Path base, PeftAdapter adapter, Checks checks, Engine engine) {
    try (Checkpoint checkpoint =
            AdapterStart.base(Checkpoint.open(base.resolve("model")), adapter);
        SafeTensors golden = SafeTensors.open(directory.resolve("golden.safetensors"))) {
      JsonNode half = KitFiles.json(base.resolve("golden.json")).path("batch").path("bf16_vs_fp32");
      Tolerance tolerance =
          Tolerance.of(
              engine, half.path("logits_max_rel").asDouble(), half.path("grad_rel_l2").asDouble());
      new LoraCase(checkpoint, adapter, golden, json, tolerance, checks, engine).run();
    }
  }
}
