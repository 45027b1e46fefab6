package dev.gatun.conformance;

import dev.gatun.adapter.AdapterStart;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.SafeTensors;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.Limits;
import dev.gatun.nn.LoraModule;
import dev.gatun.nn.ModuleTree;
import dev.gatun.nn.Training;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;

/// One adapter of `lora/` on its base model.
///
/// @param golden the case's tensors
/// @param json the case's figures
record LoraCase(
    Checkpoint checkpoint,
    PeftAdapter adapter,
    SafeTensors golden,
    JsonNode json,
    Tolerance tolerance,
    Checks checks,
    Engine engine) {

  void run() {
    Training.Lora training = AdapterStart.training(adapter, checkpoint, golden.path().toString());
    BatchInput input = input();
    trained("fp32", new WeightFormat.AsStored(), training, input);
    trained("nf4", WeightFormat.Nf4.DOUBLE, training, input);
    if (golden.contains("fp32.merged_logits")) {
      merged(training, input);
    }
  }

  private BatchInput input() {
    int[] ids = golden.tensor("input_ids").toInts();
    int rows = Math.toIntExact(golden.tensor("input_ids").rows());
    int[] lengths = new int[rows];
    Arrays.fill(lengths, ids.length / rows);
    return BatchInput.ofLabels(ids, lengths, golden.tensor("labels").toInts());
  }

  private static Limits limits(BatchInput input) {
    int[] lengths = input.sequenceLengths();
    return Limits.training(input.tokens(), lengths.length, lengths[0]);
  }

  private void trained(String tag, WeightFormat format, Training.Lora training, BatchInput input) {
    JsonNode figures = json.path(tag);
    try (ModelRun run = ModelRun.load(engine, checkpoint, format, training, limits(input))) {
      compareLogits(tag + " logits", run, input, tag + ".logits", tolerance.logits());
      ModelRun.Gradients gradients = run.gradients(input);
      checks.atMost(
          tag + " loss",
          Math.abs(gradients.loss() - figures.path("loss").doubleValue()),
          tolerance.loss());
      checks.atMost(
          tag + " gradient norm",
          Math.abs(gradients.norm() / figures.path("grad_norm").doubleValue() - 1),
          tolerance.gradientNorm());
      checks.equal(
          tag + " trained parameters",
          new TreeSet<>(gradients.values().keySet()),
          new TreeSet<>(json.path("trainable").propertyNames()));
      GradientErrors errors = new GradientErrors();
      String prefix = tag + ".grad.";
      for (String name : golden.names()) {
        if (name.startsWith(prefix)) {
          Tensor gradient = gradients.values().get(name.substring(prefix.length()));
          errors.add(name, gradient, golden.tensor(name));
        }
      }
      errors.record(checks, tag + " gradients", tolerance);
    }
  }

  /// The adapter added to the float32 weights.
  private void merged(Training.Lora training, BatchInput input) {
    SortedMap<String, LoraModule> modules = training.modules();
    long bytes =
        modules.keySet().stream()
            .mapToLong(path -> TensorArena.sizeOf(DType.F32, stored(path).count()))
            .sum();
    try (TensorArena arena = engine.backend().arena("merged", bytes)) {
      Map<String, Tensor> merged = new HashMap<>();
      double worst = 0;
      for (Map.Entry<String, LoraModule> entry : modules.entrySet()) {
        String path = entry.getKey();
        boolean embedding = path.equals(ModuleTree.EMBEDDING);
        LoraModule module = embedding ? transposed(entry.getValue()) : entry.getValue();
        Tensor sum = merge(stored(path), module);
        String name = "fp32.merged." + path + ".weight";
        if (golden.contains(name)) {
          worst = Math.max(worst, Errors.relative(sum.toFloats(), golden.tensor(name).toFloats()));
        }
        Tensor placed = arena.allocate(DType.F32, sum.shape());
        engine.backend().upload(placed, sum);
        merged.put(path, placed);
      }
      checks.atMost("merged weights rel", worst, tolerance.merged());
      try (ModelRun run =
          ModelRun.load(
              engine,
              checkpoint,
              new WeightFormat.AsStored(),
              new Training.Frozen(new TreeMap<>(), training.saved(), training.tokens()),
              limits(input),
              weights -> replaced(weights, merged))) {
        compareLogits("merged logits", run, input, "fp32.merged_logits", tolerance.merged());
      }
    }
  }

  private Tensor stored(String path) {
    return checkpoint.tensor(path + ".weight");
  }

  private static ModelWeights replaced(ModelWeights weights, Map<String, Tensor> merged) {
    Map<String, Weight> linears = new HashMap<>(weights.linears());
    Map<String, Tensor> tensors = new HashMap<>(weights.tensors());
    merged.forEach((path, matrix) -> {
      if (path.equals(ModuleTree.EMBEDDING)) {
        tensors.put(path + ".weight", matrix);
      } else {
        linears.put(path, new Weight.Dense(matrix));
      }
    });
    return new ModelWeights(linears, tensors);
  }

  /// A table of embeddings is `[V, H]`, its update `[H, V]`.
  private static LoraModule transposed(LoraModule module) {
    return new LoraModule(module.adapted(), transposed(module.b()), transposed(module.a()));
  }

  private static Tensor transposed(Tensor matrix) {
    float[] values = matrix.toFloats();
    int rows = Math.toIntExact(matrix.rows());
    int cols = Math.toIntExact(matrix.cols());
    float[] result = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i % cols * rows + i / cols] = values[i];
    }
    return Tensor.ofFloats(Shape.of(cols, rows), result);
  }

  /// `W + scale·B·A` in float32, its rows rescaled to the magnitudes if there are any.
  private static Tensor merge(Tensor weight, LoraModule module) {
    float[] sum = weight.toFloats();
    float[] a = module.a().toFloats();
    float[] b = module.b().toFloats();
    int rank = module.adapted().rank();
    int in = Math.toIntExact(weight.cols());
    for (int i = 0; i < sum.length; i++) {
      float product = 0;
      for (int r = 0; r < rank; r++) {
        product = Math.fma(b[i / in * rank + r], a[r * in + i % in], product);
      }
      sum[i] += (float) module.adapted().scale() * product;
    }
    if (module.magnitude() != null) {
      rescale(sum, in, module.magnitude().toFloats());
    }
    return Tensor.ofFloats(weight.shape(), sum);
  }

  private static void rescale(float[] matrix, int cols, float[] norms) {
    for (int row = 0; row < norms.length; row++) {
      double squares = 0;
      for (int i = row * cols; i < (row + 1) * cols; i++) {
        squares += (double) matrix[i] * matrix[i];
      }
      float factor = (float) (norms[row] / Math.sqrt(squares));
      for (int i = row * cols; i < (row + 1) * cols; i++) {
        matrix[i] *= factor;
      }
    }
  }

  private void compareLogits(
      String what, ModelRun run, BatchInput input, String name, double bound) {
    float[] actual = run.inspect(input).logits().toFloats();
    float[] expected = golden.tensor(name).toFloats();
    checks.equal(what + " count", actual.length, expected.length);
    checks.atMost(what + " rel", Errors.relative(actual, expected), bound);
    checks.atMost(what + " l2", Errors.l2(actual, expected), Math.max(bound, tolerance.logitsL2()));
  }
}
