package dev.gatun.conformance;

import dev.gatun.UnsupportedException;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.SafeTensors;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.Limits;
import dev.gatun.nn.Options;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;

/// A checkpoint that bitsandbytes quantised: which layers are 4-bit, what they dequantise to, and
/// the model's logits.
final class PackedCheckpointCase {
  private static final double LOGITS_TOLERANCE = 1e-5;
  private static final double HALF_L2_TOLERANCE = 3e-2;
  private static final String DEQUANTISED = "dequant.";

  private PackedCheckpointCase() {}

  static void run(Path directory, Checks checks, Engine engine) {
    JsonNode json = KitFiles.json(directory.resolve("golden.json"));
    WeightFormat format = new WeightFormat.AsStored();
    Backend backend = engine.backend();
    try (Checkpoint checkpoint = Checkpoint.open(directory.resolve("model"));
        SafeTensors golden = SafeTensors.open(directory.resolve("golden.safetensors"));
        TensorArena arena =
            backend.arena("weights", ModelLoader.plannedBytes(checkpoint, backend, format))) {
      ModelWeights weights = ModelLoader.load(checkpoint, backend, arena, format);
      checkFormats(weights, json, checks);
      checkDequantised(weights, golden, checks, backend);
      checkLogits(checkpoint, weights, golden, json, checks, engine);
    } catch (UnsupportedException e) {
      checks.notSupported(e.getMessage());
    }
  }

  private static void checkFormats(ModelWeights weights, JsonNode json, Checks checks) {
    TreeSet<String> packed = new TreeSet<>();
    weights
        .linears()
        .forEach((path, weight) -> {
          if (weight instanceof Weight.Nf4) {
            packed.add(path);
          }
        });
    TreeSet<String> expected = new TreeSet<>();
    json.path("quantised_linears").forEach(path -> expected.add(path.asString()));
    checks.equal("4-bit layers", packed, expected);
  }

  private static void checkDequantised(
      ModelWeights weights, SafeTensors golden, Checks checks, Backend backend) {
    Differences differences = new Differences();
    for (String name : golden.names()) {
      if (name.startsWith(DEQUANTISED) && name.endsWith(".weight")) {
        String path = name.substring(DEQUANTISED.length(), name.length() - ".weight".length());
        Weight weight = weights.linear(path);
        Shape shape = Shape.of(weight.out(), weight.in());
        try (TensorArena arena =
            backend.arena("dequantised", TensorArena.sizeOf(DType.F32, shape.count()))) {
          Tensor values = arena.allocate(DType.F32, shape);
          backend.quant().dequantize(values, weight);
          differences.compare(
              path, Nf4Part.bits(backend.download(values)), Nf4Part.bits(golden.tensor(name)));
        }
      }
    }
    differences.record(checks, "dequantised F32");
  }

  private static void checkLogits(
      Checkpoint checkpoint,
      ModelWeights weights,
      SafeTensors golden,
      JsonNode json,
      Checks checks,
      Engine engine) {
    Backend backend = engine.backend();
    int[] ids = golden.tensor("input_ids").toInts();
    int[] lengths = new int[Math.toIntExact(golden.tensor("input_ids").rows())];
    Arrays.fill(lengths, ids.length / lengths.length);
    BatchInput batch = BatchInput.ofLabels(ids, lengths, golden.tensor("labels").toInts());
    Limits limits = Limits.training(ids.length, lengths.length, lengths[0]);
    long batchBytes =
        CausalLm.memoryNeed(
                backend, checkpoint.config(), weights, Training.frozen(), limits, Options.plain())
            .batchBytes();
    try (CausalLm model =
            CausalLm.create(
                backend, checkpoint.config(), weights, Training.frozen(), limits, Options.plain());
        TensorArena arena = backend.arena("batch", batchBytes)) {
      float[] logits = model.inspect(model.upload(arena, batch)).logits().toFloats();
      float[] expected = golden.tensor("logits_fp32_dequantised").toFloats();
      double relative = Errors.relative(logits, expected);
      if (engine.isHalfPrecision()) {
        checks.atMost("logits l2", Errors.l2(logits, expected), HALF_L2_TOLERANCE);
        checks.atMost("logits rel", relative, 2 * json.path("bf16_vs_fp32_logits_rel").asDouble());
      } else {
        checks.atMost("logits rel", relative, LOGITS_TOLERANCE);
      }
    }
  }
}
