package dev.gatun.conformance;

import dev.gatun.io.SafeTensors;
import dev.gatun.op.Backend;
import dev.gatun.op.LossOps;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// `ce/`: output head and cross-entropy, loss and all gradients, against float64.
public final class CePart implements Part {
  private static final String SUFFIX = ".safetensors";

  // Small, so that most cases need several chunks.
  private static final int CHUNK_ROWS = 16;

  private static final double FLOAT_TOLERANCE = 1e-5;
  private static final double HALF_TOLERANCE = 1e-2;

  @Override
  public String name() {
    return "ce";
  }

  @Override
  public List<Case> cases(Path kit) {
    return KitFiles.files(kit.resolve(name()), SUFFIX).stream()
        .map(file -> {
          String name = file.getFileName().toString();
          String stem = name.substring(0, name.length() - SUFFIX.length());
          return Part.named(stem, (checks, engine) -> run(file, stem, checks, engine));
        })
        .toList();
  }

  private static void run(Path file, String stem, Checks checks, Engine engine) {
    JsonNode options = KitFiles.json(file.resolveSibling(stem + ".json"));
    Backend backend = engine.backend();
    try (SafeTensors golden = SafeTensors.open(file);
        TensorArena arena = backend.arena("ce", arenaBytes(golden, backend))) {
      new Run(golden, options, engine, arena).check(checks);
    }
  }

  private static long arenaBytes(SafeTensors golden, Backend backend) {
    Tensor hidden = golden.tensor("hidden");
    Tensor head = golden.tensor("lm_head");
    long scratch =
        backend
            .loss()
            .scratchBytes(hidden.rows(), new Weight.Dense(head), LossOps.Config.plain(CHUNK_ROWS));
    // Inputs, their roundings and the gradients.
    return scratch
        + 4 * TensorArena.sizeOf(DType.F32, hidden.count())
        + 4 * TensorArena.sizeOf(DType.F32, head.count())
        + 4 * TensorArena.sizeOf(DType.F32, head.rows())
        + 16 * TensorArena.sizeOf(DType.F32, hidden.rows());
  }

  /// One case on one engine.
  private record Run(SafeTensors golden, JsonNode options, Engine engine, TensorArena arena) {
    void check(Checks checks) {
      Backend backend = engine.backend();
      int[] labels = golden.tensor("labels").toInts();
      int[] rows =
          IntStream.range(0, labels.length)
              .filter(i -> labels[i] != LossOps.IGNORE_INDEX)
              .toArray();
      int[] targets = IntStream.of(rows).map(i -> labels[i]).toArray();
      int n = rows.length;
      Tensor head = input("lm_head");
      Tensor bias = golden.contains("bias") ? input("bias") : null;
      double upstream = number("upstream", 1) / number("num_items", Math.max(1, n));
      LossOps.Outputs outputs =
          new LossOps.Outputs(
              arena.allocate(DType.F32, Shape.of(n)), arena.allocate(DType.I32, Shape.of(n)), null);
      Tensor hidden = input("hidden");
      LossOps.Gradients gradients =
          new LossOps.Gradients(
              arena.allocate(backend.activationType(), hidden.shape()),
              zeros(head.shape()),
              bias == null ? null : zeros(bias.shape()),
              upload(Tensor.ofFloats(Shape.of(1), (float) upstream)));
      backend
          .loss()
          .linearCrossEntropy(
              outputs,
              gradients,
              hidden,
              new Weight.Dense(head),
              bias,
              new LossOps.Targets(
                  upload(Tensor.ofInts(Shape.of(n), rows)),
                  upload(Tensor.ofInts(Shape.of(n), targets))),
              config(),
              arena);
      checkOutputs(checks, outputs, rows, upstream);
      error(checks, "grad_hidden", gradients.hidden());
      error(checks, "grad_lm_head", gradients.head());
      error(checks, "grad_bias", gradients.bias());
    }

    private LossOps.Config config() {
      return new LossOps.Config(
          (float) number("logit_scale", 1),
          (float) number("softcap", 0),
          (float) number("label_smoothing", 0),
          CHUNK_ROWS);
    }

    private void checkOutputs(Checks checks, LossOps.Outputs outputs, int[] rows, double upstream) {
      float[] losses = engine.backend().download(outputs.tokenLoss()).toFloats();
      double sum = 0;
      for (float loss : losses) {
        sum += loss;
      }
      double expected = Double.parseDouble(options.get("loss_float64").asString());
      double difference = Math.abs(sum * upstream - expected);
      checks.atMost("loss rel", difference == 0 ? 0 : difference / Math.abs(expected), tolerance());
      if (number("label_smoothing", 0) == 0) {
        float[] all = golden.tensor("token_loss").toFloats();
        float[] trained = new float[rows.length];
        for (int i = 0; i < rows.length; i++) {
          trained[i] = all[rows[i]];
        }
        checks.atMost("token_loss rel", measure(losses, trained), tolerance());
      }
      if (outputs.correct() != null && !engine.isHalfPrecision()) {
        int correct = IntStream.of(engine.backend().download(outputs.correct()).toInts()).sum();
        checks.equal("correct", correct, options.get("correct").intValue());
      }
    }

    private void error(Checks checks, String name, @Nullable Tensor actual) {
      if (actual != null) {
        float[] values = engine.backend().download(actual).toFloats();
        float[] expected = golden.tensor(name).toFloats();
        checks.atMost(name + measureName(), measure(values, expected), tolerance());
      }
    }

    private double measure(float[] actual, float[] expected) {
      return engine.isHalfPrecision()
          ? Errors.l2(actual, expected)
          : Errors.relative(actual, expected);
    }

    private String measureName() {
      return engine.isHalfPrecision() ? " l2" : " rel";
    }

    private double tolerance() {
      return engine.isHalfPrecision() ? HALF_TOLERANCE : FLOAT_TOLERANCE;
    }

    private double number(String key, double absent) {
      JsonNode value = options.get(key);
      return value == null || value.isNull() ? absent : value.asDouble();
    }

    // An input in the backend's memory and activation type.
    private Tensor input(String name) {
      Tensor raw = upload(golden.tensor(name));
      DType wanted = engine.backend().activationType();
      if (raw.dtype() == wanted) {
        return raw;
      }
      Tensor rounded = arena.allocate(wanted, raw.shape());
      engine.backend().tensor().copy(rounded, raw);
      return rounded;
    }

    private Tensor upload(Tensor host) {
      Tensor copy = arena.allocate(host.dtype(), host.shape());
      engine.backend().upload(copy, host);
      return copy;
    }

    private Tensor zeros(Shape shape) {
      Tensor tensor = arena.allocate(DType.F32, shape);
      engine.backend().tensor().zero(tensor);
      return tensor;
    }
  }
}
