package dev.gatun.nn;

import static java.util.Objects.requireNonNull;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.model.ParameterLayout;
import dev.gatun.model.Rope;
import dev.gatun.op.MlpOps.Activation;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;

/// Random models of a few thousand parameters, and what tests do with them.
final class TinyModel implements AutoCloseable {
  static final int VOCABULARY = 29;

  final CpuBackend backend = CpuBackend.create(2);
  final ModelConfig config;
  final Map<String, float[]> values = new TreeMap<>();
  private final List<AutoCloseable> open = new ArrayList<>();

  TinyModel(ModelConfig config) {
    this.config = config;
    Random random = new Random(7);
    ParameterLayout layout = ParameterLayout.of(config);
    layout.linears().forEach((path, shape) -> put(path + ".weight", shape, random));
    layout.tensors().forEach((name, shape) -> put(name, shape, random));
  }

  private void put(String name, Shape shape, Random random) {
    float[] numbers = new float[Math.toIntExact(shape.count())];
    double scale = shape.rank() == 2 ? 1 / Math.sqrt(shape.dim(1)) : 0.3;
    double centre = shape.rank() == 1 && name.contains("norm") ? 1 - config.normOffset() : 0;
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (float) (centre + scale * random.nextGaussian());
    }
    values.put(name, numbers);
  }

  /// Llama: grouped heads, tied embeddings, no biases.
  static ModelConfig llama() {
    return config(List.of(0, 0, 0), false, true, new Rope(1e4, 8, new Rope.Scaling.Default()));
  }

  /// Biases everywhere, normalised queries and keys, a window, soft caps, scales, norms that add 1.
  static ModelConfig everything() {
    return config(List.of(3, 0), true, false, new Rope(5e3, 6, new Rope.Scaling.Linear(2)));
  }

  static ModelConfig config(List<Integer> windows, boolean rich, boolean tied, Rope rope) {
    return new ModelConfig(
        "tiny",
        "TinyForCausalLM",
        VOCABULARY,
        20,
        27,
        4,
        2,
        8,
        windows.stream().map(ModelConfig.Layer::new).toList(),
        rich ? Activation.GELU_TANH : Activation.SILU,
        1e-5f,
        rich ? 1 : 0,
        rich,
        new ModelConfig.Biases(rich, rich, rich),
        rope,
        0.35f,
        rich ? 1.7f : 1,
        1,
        0,
        rich ? 2.5f : 0,
        64,
        tied,
        DType.F32,
        null,
        List.of(),
        null,
        null);
  }

  ModelWeights weights() {
    ParameterLayout layout = ParameterLayout.of(config);
    TensorArena arena = keep(backend.arena("weights", 1 << 20));
    Map<String, Weight> linears = new HashMap<>();
    Map<String, Tensor> tensors = new HashMap<>();
    layout
        .linears()
        .forEach((path, shape) ->
            linears.put(path, new Weight.Dense(place(arena, path + ".weight", shape))));
    layout.tensors().forEach((name, shape) -> tensors.put(name, place(arena, name, shape)));
    return new ModelWeights(linears, tensors);
  }

  private Tensor place(TensorArena arena, String name, Shape shape) {
    Tensor tensor = arena.allocate(DType.F32, shape);
    backend.upload(tensor, Tensor.ofFloats(shape, requireNonNull(values.get(name))));
    return tensor;
  }

  CausalLm create(Training training, Limits limits, Options options) {
    return keep(CausalLm.create(backend, config, weights(), training, limits, options));
  }

  /// Low-rank updates with random A and B; rank 3 and scale 0.8.
  SortedMap<String, LoraModule> updates(double dropout, String... endings) {
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    Random random = new Random(11);
    for (ModuleTree.Linear linear : ModuleTree.adaptable(config)) {
      for (String ending : endings) {
        if (linear.path().endsWith(ending)) {
          modules.put(
              linear.path(),
              new LoraModule(
                  new LoraConfig.Adapted(3, 0.8, dropout),
                  random(Shape.of(3, linear.in()), random),
                  random(Shape.of(linear.out(), 3), random)));
        }
      }
    }
    return modules;
  }

  /// The same with magnitudes: weight-decomposed.
  SortedMap<String, LoraModule> decomposed(double dropout, String... endings) {
    SortedMap<String, LoraModule> modules = updates(dropout, endings);
    Random random = new Random(13);
    modules.replaceAll((_, plain) ->
        new LoraModule(
            new LoraConfig.Adapted(3, 0.8, dropout, true),
            plain.a(),
            plain.b(),
            random(Shape.of(plain.b().rows()), random)));
    return modules;
  }

  static Tensor random(Shape shape, Random random) {
    float[] numbers = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (float) (0.4 * random.nextGaussian());
    }
    return Tensor.ofFloats(shape, numbers);
  }

  /// Sequences of random tokens; about every third label is masked.
  static BatchInput batch(long seed, int... lengths) {
    Random random = new Random(seed);
    int total = 0;
    for (int length : lengths) {
      total += length;
    }
    int[] ids = random.ints(total, 0, VOCABULARY).toArray();
    int[] labels = ids.clone();
    for (int i = 0; i < total; i++) {
      labels[i] = random.nextInt(3) == 0 ? -100 : labels[i];
    }
    return BatchInput.ofLabels(ids, lengths, labels);
  }

  TensorArena inputs() {
    return keep(backend.arena("inputs", 1 << 18));
  }

  Tensor scalar(TensorArena arena, float value) {
    Tensor tensor = arena.allocate(DType.F32, Shape.of(1));
    backend.upload(tensor, Tensor.ofFloats(Shape.of(1), value));
    return tensor;
  }

  /// Gradients of the mean loss over the trained rows.
  Map<String, Tensor> gradients(CausalLm model, BatchInput input) {
    TensorArena inputs = inputs();
    model.parameters().zeroGradients();
    DeviceBatch batch = model.upload(inputs, input);
    model.forwardBackward(batch, scalar(inputs, 1f / input.targetRows().length));
    return model.parameters().downloadGradients();
  }

  float[] losses(DeviceBatch batch) {
    return backend.download(batch.outputs().tokenLoss()).toFloats();
  }

  <C extends AutoCloseable> C keep(C resource) {
    open.add(resource);
    return resource;
  }

  @Override
  public void close() {
    for (AutoCloseable resource : open.reversed()) {
      try {
        resource.close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
    backend.close();
  }
}
