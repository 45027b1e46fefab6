package dev.gatun.conformance;

import dev.gatun.io.Checkpoint;
import dev.gatun.io.SafeTensors;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.Limits;
import dev.gatun.nn.RopeFrequencies;
import dev.gatun.nn.Training;
import dev.gatun.op.LossOps;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/// One checkpoint of `models/` under one configuration.
///
/// @param golden the case's tensors
/// @param json the case's figures
record ModelCase(
    Checkpoint checkpoint, SafeTensors golden, JsonNode json, Checks checks, Engine engine) {

  /// One float32 power and division: two units in the last place.
  private static final double FREQUENCY_TOLERANCE = 3e-7;

  /// Id that the kit's generator calls padding; transformers masks it where a prompt holds it.
  private static final int MASKED_ID = 0;

  void run() {
    rope();
    BatchInput batch = paddedBatch();
    BatchInput packed = packedBatch();
    Limits limits = limits(batch, packed);
    try (ModelRun run =
        ModelRun.load(
            engine, checkpoint, new WeightFormat.AsStored(), new Training.Full(), limits)) {
      batch(run, batch);
      packed(run, packed);
      if (golden.contains("generate.output_ids")) {
        generate(run.model());
      }
    }
    longSequence();
  }

  private void rope() {
    String name = "rope.rotary_emb.inv_freq";
    if (!golden.contains(name)) {
      return;
    }
    ModelConfig config = checkpoint.config();
    float[] actual = RopeFrequencies.inverse(config.rope(), 0);
    float[] expected = golden.tensor(name).toFloats();
    checks.equal("rope: number of frequencies", actual.length, expected.length);
    double worst = 0;
    for (int i = 0; i < Math.min(actual.length, expected.length); i++) {
      worst = Math.max(worst, Math.abs((double) actual[i] / expected[i] - 1));
    }
    checks.atMost("rope: inverse frequencies", worst, FREQUENCY_TOLERANCE);
    JsonNode scaling = json.path("rope_attention_scaling").path("attention_scaling");
    if (scaling.isNumber()) {
      checks.atMost(
          "rope: attention scaling",
          Math.abs(RopeFrequencies.attentionFactor(config.rope()) - scaling.doubleValue()),
          1e-12);
    }
  }

  private int[] ints(String name) {
    return golden.tensor(name).toInts();
  }

  /// The padded batch without its padding: a sequence for each row.
  private BatchInput paddedBatch() {
    int[] mask = ints("batch.attention_mask");
    int rows = Math.toIntExact(golden.tensor("batch.attention_mask").rows());
    int[] lengths = new int[rows];
    for (int i = 0; i < mask.length; i++) {
      lengths[i / (mask.length / rows)] += mask[i];
    }
    return BatchInput.ofLabels(
        selected(ints("batch.input_ids"), mask), lengths, selected(ints("batch.labels"), mask));
  }

  private static int[] selected(int[] values, int[] mask) {
    int[] result = new int[Arrays.stream(mask).sum()];
    int count = 0;
    for (int i = 0; i < values.length; i++) {
      if (mask[i] != 0) {
        result[count++] = values[i];
      }
    }
    return result;
  }

  private BatchInput packedBatch() {
    int[] labels = ints("packed.labels");
    int[] rows = new int[labels.length];
    int[] targets = new int[labels.length];
    int count = 0;
    for (int t = 0; t + 1 < labels.length; t++) {
      if (labels[t + 1] != LossOps.IGNORE_INDEX) {
        rows[count] = t;
        targets[count++] = labels[t + 1];
      }
    }
    return new BatchInput(
        ints("packed.input_ids"),
        ints("packed.position_ids"),
        ints("packed.seq_lengths"),
        Arrays.copyOf(rows, count),
        Arrays.copyOf(targets, count));
  }

  private Limits limits(BatchInput batch, BatchInput packed) {
    int generated = golden.contains("generate.output_ids") ? ints("generate.output_ids").length : 1;
    int longest = Math.max(generated, Math.max(longest(batch), longest(packed)));
    Limits limits =
        Limits.training(
            Math.max(batch.tokens(), packed.tokens()),
            Math.max(batch.sequenceLengths().length, packed.sequenceLengths().length),
            longest);
    return limits.withDecode(generated, 1);
  }

  private static int longest(BatchInput input) {
    return Arrays.stream(input.positionIds()).max().orElse(0) + 1;
  }

  private Tolerance tolerance() {
    JsonNode half = json.path("batch").path("bf16_vs_fp32");
    return Tolerance.of(
        engine, half.path("logits_max_rel").asDouble(), half.path("grad_rel_l2").asDouble());
  }

  private void batch(ModelRun run, BatchInput input) {
    JsonNode figures = json.path("batch");
    int[] mask = ints("batch.attention_mask");
    CausalLm.Inspection inspection = run.inspect(input);
    for (int i = 0; i < inspection.hidden().size(); i++) {
      float[] expected = selected(golden.tensor("batch.hidden." + i), mask);
      compareLogits("hidden " + i, inspection.hidden().get(i).toFloats(), expected);
    }
    float[] logits = selected(golden.tensor("batch.logits"), mask);
    compareLogits("logits", inspection.logits().toFloats(), logits);
    checks.equal("targets", input.targetRows().length, figures.path("num_items").asInt());
    ModelRun.Gradients gradients = run.gradients(input);
    compareLoss("loss", gradients.loss(), figures.path("loss").doubleValue());
    compareLoss("evaluated loss", run.loss(input), figures.path("loss").doubleValue());
    double norm = figures.path("grad_norm").doubleValue();
    checks.atMost(
        "gradient norm", Math.abs(gradients.norm() / norm - 1), tolerance().gradientNorm());
    compareGradients("gradients", "batch.grad.", gradients.values());
    checks.equal(
        "gradients compared",
        gradients.values().size(),
        (int) golden.names().stream().filter(name -> name.startsWith("batch.grad.")).count());
  }

  private void packed(ModelRun run, BatchInput input) {
    float[] logits = golden.tensor("packed.logits").toFloats();
    compareLogits("packed logits", run.inspect(input).logits().toFloats(), logits);
    ModelRun.Gradients gradients = run.gradients(input);
    compareLoss("packed loss", gradients.loss(), json.path("packed").path("loss").doubleValue());
    if (golden.names().stream().anyMatch(name -> name.startsWith("packed.grad."))) {
      compareGradients("packed gradients", "packed.grad.", gradients.values());
    }
  }

  private static float[] selected(Tensor tensor, int[] mask) {
    float[] values = tensor.toFloats();
    int width = values.length / mask.length;
    float[] result = new float[Arrays.stream(mask).sum() * width];
    int count = 0;
    for (int i = 0; i < mask.length; i++) {
      if (mask[i] != 0) {
        System.arraycopy(values, i * width, result, count, width);
        count += width;
      }
    }
    return result;
  }

  private void compareLogits(String what, float[] actual, float[] expected) {
    checks.equal(what + " count", actual.length, expected.length);
    checks.atMost(what + " rel", Errors.relative(actual, expected), tolerance().logits());
    checks.atMost(what + " l2", Errors.l2(actual, expected), tolerance().logitsL2());
  }

  private void compareLoss(String what, double actual, double expected) {
    checks.atMost(what, Math.abs(actual - expected), tolerance().loss());
  }

  private void compareGradients(String what, String prefix, Map<String, Tensor> actual) {
    GradientErrors errors = new GradientErrors();
    for (String name : golden.names()) {
      if (name.startsWith(prefix)) {
        Tensor gradient = actual.get(name.substring(prefix.length()));
        errors.add(name, gradient, golden.tensor(name));
      }
    }
    errors.record(checks, what, tolerance());
  }

  /// Predicts every token of the golden continuation from those before it.
  private void generate(CausalLm model) {
    int[] expected = ints("generate.output_ids");
    int prompt = ints("generate.prompt_ids").length;
    if (isMasked(expected, prompt) && windows().size() > 1) {
      checks.notSupported("a masked prompt token under windows of different sizes");
      return;
    }
    // A prompt goes in at once, unless masked tokens change what its tokens see.
    int first = isMasked(expected, prompt) ? 0 : prompt - 1;
    Differences differences = new Differences();
    double deviation = 0;
    try (KvCache cache = KvCache.create(engine.backend(), model.config(), 1, expected.length)) {
      for (int t = first; t + 1 < expected.length; t++) {
        if (t < prompt && expected[t] == MASKED_ID && first == 0) {
          continue;
        }
        int[] fed = Arrays.copyOfRange(expected, t == first ? 0 : t, t + 1);
        cache.hide(0, outsideWindow(expected, prompt, t));
        Tensor decoded = model.decode(cache, new int[][] {fed});
        if (t + 1 >= prompt) {
          float[] logits = engine.backend().download(decoded).toFloats();
          int best = best(logits);
          differences.compare("token " + (t + 1), best, expected[t + 1]);
          double gap = logits[best] - (double) logits[expected[t + 1]];
          deviation = Math.max(deviation, gap / Math.abs(logits[best]));
        }
      }
    }
    if (engine.isHalfPrecision()) {
      // Two tokens may change places where their logits differ by less than 16 bits resolve.
      checks.atMost("greedy: gap to the expected token", deviation, tolerance().logits());
    } else {
      differences.record(checks, "greedy tokens");
    }
  }

  private static boolean isMasked(int[] ids, int prompt) {
    return Arrays.stream(ids, 0, prompt).anyMatch(id -> id == MASKED_ID);
  }

  private Set<Integer> windows() {
    return checkpoint.config().layers().stream()
        .map(ModelConfig.Layer::window)
        .collect(Collectors.toSet());
  }

  /// Tokens that lie before the window of token `t`. Masked ones fill a place in it without being
  /// there, so that fewer others are seen.
  private int outsideWindow(int[] ids, int prompt, int t) {
    int window = checkpoint.config().layers().getFirst().window();
    if (window == 0 || !isMasked(ids, prompt)) {
      return 0;
    }
    int count = 0;
    for (int i = 0; i <= t - window; i++) {
      count += i < prompt && ids[i] == MASKED_ID ? 0 : 1;
    }
    return count;
  }

  private static int best(float[] logits) {
    int best = 0;
    for (int i = 0; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }

  /// A sequence longer than the original context, where the case has one, and its beginning.
  private void longSequence() {
    if (!golden.contains("long.input_ids")) {
      return;
    }
    int[] ids = ints("long.input_ids");
    int[] prefix =
        Arrays.copyOf(ids, Math.toIntExact(golden.tensor("long.prefix_logits").shape().dim(1)));
    Limits limits = Limits.training(ids.length, 1, ids.length);
    try (ModelRun run =
        ModelRun.load(engine, checkpoint, new WeightFormat.AsStored(), Training.frozen(), limits)) {
      compareLogits(
          "long logits",
          run.inspect(plain(ids)).logits().toFloats(),
          golden.tensor("long.logits").toFloats());
      compareLogits(
          "long prefix logits",
          run.inspect(plain(prefix)).logits().toFloats(),
          golden.tensor("long.prefix_logits").toFloats());
    }
  }

  private static BatchInput plain(int[] ids) {
    return BatchInput.ofLabels(ids, new int[] {ids.length}, ids);
  }
}
