package dev.gatun.conformance;

import dev.gatun.UnsupportedException;
import dev.gatun.data.Dataset;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SftPreparation;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.SafeTensors;
import dev.gatun.nn.Training;
import dev.gatun.tensor.Tensor;
import dev.gatun.text.Tokenizer;
import dev.gatun.train.EvaluationResult;
import dev.gatun.train.SftConfig;
import dev.gatun.train.TrainingInputs;
import dev.gatun.train.TrainingRecipe;
import dev.gatun.train.TrainingSession;
import dev.gatun.train.TrainingSession.UpdateFigures;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// `sft/curves/`: whole training runs of TRL, repeated from the same starting values on the same
/// raw data. Rows and their order must be the same; losses, gradient norms, learning rates,
/// evaluations and the final parameters must agree within the kit's tolerances.
public final class CurvesPart implements Part {
  private static final double LOSS = 1e-4;
  private static final double EIGHT_BIT_LOSS = 2e-3;
  private static final double GRADIENT_NORM = 1e-3;
  private static final double LEARNING_RATE = 1e-12;
  private static final double FINAL_PARAMETERS = 1e-3;
  // With 8-bit state: of all values, how many may be farther off than that.
  private static final double STRAY_PARAMETERS = 1e-4;
  private static final double HALF_LOSS = 1e-2;
  private static final double HALF_GRADIENT_NORM = 2e-2;

  @Override
  public String name() {
    return "sft/curves";
  }

  @Override
  public List<Case> cases(Path kit) {
    List<Case> cases = new ArrayList<>();
    for (Path folder : KitFiles.directories(kit.resolve(name()), "curve.json")) {
      cases.add(
          Part.named(
              folder.getFileName().toString(),
              (checks, engine) -> run(kit, folder, checks, engine)));
    }
    return cases;
  }

  private static void run(Path kit, Path folder, Checks checks, Engine engine) {
    Optional<String> missing = CurveCase.missing(folder);
    if (missing.isPresent()) {
      checks.notSupported(missing.get());
      return;
    }
    try {
      CurveCase curve = CurveCase.read(kit, folder);
      boolean checkpointing =
          curve.curve().path("config").path("gradient_checkpointing").asBoolean(false);
      Map<String, Tensor> trained = train(curve, checkpointing, checks, engine);
      if (checkpointing) {
        Map<String, Tensor> again = train(curve, false, new Checks(), engine);
        checks.noDifferences(
            "checkpointing on = off",
            trained.keySet().stream()
                .filter(name -> !same(trained.get(name), again.get(name)))
                .count(),
            "parameters");
      }
    } catch (UnsupportedException e) {
      checks.notSupported(e.getMessage());
    }
  }

  /// One run; returns the parameters at its end.
  private static Map<String, Tensor> train(
      CurveCase curve, boolean checkpointing, Checks checks, Engine engine) {
    SftConfig config = curve.config(checkpointing);
    try (Checkpoint checkpoint = Checkpoint.open(curve.model());
        Tokenizer tokenizer = Tokenizer.open(curve.model());
        PreparedDataset rows = prepare(curve, config, tokenizer, false);
        PreparedDataset evaluation = prepare(curve, config, tokenizer, true)) {
      Training training = curve.training(checkpoint);
      compareRows("rows", rows, curve.folder().resolve("train_rows.jsonl"), checks);
      compareRows("evaluation rows", evaluation, curve.folder().resolve("eval_rows.jsonl"), checks);
      TrainingInputs inputs =
          new TrainingInputs(checkpoint, TrainingRecipe.format(config), training, rows, evaluation);
      try (TrainingSession session = TrainingSession.open(inputs, engine.backend(), config)) {
        Tolerance tolerance = Tolerance.of(curve.curve(), engine);
        evaluate("before", session, curve.curve().path("eval_before"), tolerance, checks);
        compareOrder(session, curve.curve(), checks);
        compareSteps(session, curve.curve().path("steps"), tolerance, checks);
        evaluate("after", session, curve.curve().path("eval_after"), tolerance, checks);
        Map<String, Tensor> trained = session.model().parameters().download();
        if (!engine.isHalfPrecision()) {
          compareParameters(trained, curve.folder(), tolerance, checks);
        }
        return trained;
      }
    }
  }

  private static PreparedDataset prepare(
      CurveCase curve, SftConfig config, Tokenizer tokenizer, boolean evaluation) {
    Path file = curve.folder().resolve(evaluation ? "eval.jsonl" : "train.jsonl");
    return SftPreparation.prepare(
        Dataset.open(file), tokenizer, TrainingRecipe.dataOptions(config, evaluation));
  }

  /// The bounds of the kit's table. With 8-bit state a difference in the last bit of a gradient can
  /// change a code, and with it single parameters: by as much as the kit's own run with another
  /// order of sums recorded, times a margin as for half precision.
  private record Tolerance(double loss, double gradientNorm, double parameters) {
    static Tolerance of(JsonNode curve, Engine engine) {
      boolean eightBit = curve.path("effective").path("optim").asString("").contains("8bit");
      if (!engine.isHalfPrecision()) {
        double floor = curve.path("noise_floor").path("final_trainable_max_abs").asDouble(0);
        return eightBit
            ? new Tolerance(EIGHT_BIT_LOSS, GRADIENT_NORM, Math.max(FINAL_PARAMETERS, 3 * floor))
            : new Tolerance(LOSS, GRADIENT_NORM, FINAL_PARAMETERS);
      }
      JsonNode recorded = curve.path("bf16_autocast_deviation");
      return new Tolerance(
          Math.max(HALF_LOSS, 3 * recorded.path("loss_max_abs").asDouble(0)),
          Math.max(HALF_GRADIENT_NORM, 3 * recorded.path("grad_norm_max_rel").asDouble(0)),
          Double.POSITIVE_INFINITY);
    }
  }

  private static void compareRows(String what, PreparedDataset rows, Path golden, Checks checks) {
    List<JsonNode> expected = KitFiles.jsonLines(golden);
    checks.equal(what, rows.size(), expected.size());
    int different = 0;
    String first = "";
    for (int row = 0; row < Math.min(rows.size(), expected.size()); row++) {
      JsonNode wanted = expected.get(row);
      boolean same =
          Arrays.equals(rows.inputIds(row), KitFiles.ints(wanted.path("input_ids")))
              && (!wanted.has("labels")
                  || Arrays.equals(rows.labels(row), KitFiles.ints(wanted.path("labels"))))
              && (!wanted.has("seq_lengths")
                  || Arrays.equals(
                      rows.sequenceLengths(row), KitFiles.ints(wanted.path("seq_lengths"))));
      if (!same && different++ == 0) {
        first = "row " + row;
      }
    }
    checks.noDifferences(what + " content", different, first);
  }

  private static void compareOrder(TrainingSession session, JsonNode curve, Checks checks) {
    List<List<Integer>> order = new ArrayList<>();
    for (int step = 1; step <= session.order().updates(); step++) {
      for (int[] rows : session.order().update(step).microBatches()) {
        order.add(Arrays.stream(rows).boxed().toList());
      }
    }
    List<List<Integer>> expected = new ArrayList<>();
    for (JsonNode rows : curve.path("micro_batch_rows")) {
      expected.add(Arrays.stream(KitFiles.ints(rows)).boxed().toList());
    }
    checks.equal("order of rows", order, expected);
  }

  private static void compareSteps(
      TrainingSession session, JsonNode steps, Tolerance tolerance, Checks checks) {
    checks.equal("updates", session.order().updates(), steps.size());
    double loss = 0;
    double norm = 0;
    double rate = 0;
    double epoch = 0;
    for (int step = 1; step <= Math.min(steps.size(), session.order().updates()); step++) {
      JsonNode golden = steps.get(step - 1);
      UpdateFigures figures = session.update(step);
      loss = worse(loss, Math.abs(figures.loss() - golden.path("loss").asDouble()));
      norm = worse(norm, relative(figures.gradientNorm(), golden.path("grad_norm").asDouble()));
      rate = worse(rate, relative(figures.learningRate(), golden.path("learning_rate").asDouble()));
      epoch =
          worse(
              epoch,
              relative(session.order().update(step).epoch(), golden.path("epoch").asDouble()));
    }
    checks.atMost("loss abs", loss, tolerance.loss());
    checks.atMost("gradient norm rel", norm, tolerance.gradientNorm());
    checks.atMost("learning rate rel", rate, LEARNING_RATE);
    checks.atMost("epoch rel", epoch, LEARNING_RATE);
  }

  /// The larger error; NaN stays.
  private static double worse(double a, double b) {
    return Double.isNaN(a) || Double.isNaN(b) ? Double.NaN : Math.max(a, b);
  }

  private static double relative(double actual, double golden) {
    return actual == golden ? 0 : Math.abs(actual - golden) / Math.abs(golden);
  }

  private static void evaluate(
      String when, TrainingSession session, JsonNode golden, Tolerance tolerance, Checks checks) {
    EvaluationResult result = session.evaluate();
    checks.atMost(
        "eval_loss " + when + " abs",
        Math.abs(result.rowWeightedLoss() - golden.path("eval_loss").asDouble()),
        tolerance.loss());
    checks.atMost(
        "eval_entropy " + when + " abs",
        Math.abs(result.entropy() - golden.path("eval_entropy").asDouble()),
        tolerance.loss());
    checks.atMost(
        "eval_mean_token_accuracy " + when + " abs",
        Math.abs(result.meanTokenAccuracy() - golden.path("eval_mean_token_accuracy").asDouble()),
        tolerance.loss());
  }

  private static void compareParameters(
      Map<String, Tensor> trained, Path folder, Tolerance tolerance, Checks checks) {
    Path whole = folder.resolve("final_weights.safetensors");
    Path file =
        Files.exists(whole) ? whole : folder.resolve("adapter_final/adapter_model.safetensors");
    double worst = 0;
    long count = 0;
    long strays = 0;
    int missing = 0;
    String first = "";
    Map<String, Tensor> stored = new HashMap<>();
    trained.forEach((name, value) -> stored.put(AdapterFiles.storedName(name), value));
    try (SafeTensors golden = SafeTensors.open(file)) {
      for (String name : golden.names()) {
        Tensor actual = stored.get(name);
        if (actual == null) {
          first = missing++ == 0 ? name : first;
          continue;
        }
        float[] expected = golden.tensor(name).toFloats();
        worst = worse(worst, Errors.absolute(actual.toFloats(), expected));
        count += expected.length;
        strays += strays(actual.toFloats(), expected);
      }
    }
    checks.noDifferences("final parameters present", missing, first);
    checks.atMost("final parameters abs", worst, tolerance.parameters());
    if (tolerance.parameters() > FINAL_PARAMETERS) {
      checks.atMost(
          "final parameters beyond 1e-3, share", (double) strays / count, STRAY_PARAMETERS);
    }
  }

  private static long strays(float[] actual, float[] expected) {
    return IntStream.range(0, expected.length)
        .filter(i -> !(Math.abs(actual[i] - expected[i]) <= FINAL_PARAMETERS))
        .count();
  }

  private static boolean same(@Nullable Tensor a, @Nullable Tensor b) {
    return a != null && b != null && Arrays.equals(a.toFloats(), b.toFloats());
  }
}
