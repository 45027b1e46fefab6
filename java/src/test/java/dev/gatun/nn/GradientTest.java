package dev.gatun.nn;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.Tolerances;
import dev.gatun.model.ModelConfig;
import dev.gatun.op.Dropout;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Every gradient against finite differences of a double-precision model.
class GradientTest {
  private static final String[] ALL = {"_proj"};
  private static final BatchInput BATCH = TinyModel.batch(3, 7, 1, 5);

  @ParameterizedTest
  @EnumSource(CheckpointPolicy.class)
  void ofEveryParameter(CheckpointPolicy policy) {
    for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
      try (TinyModel tiny = new TinyModel(config)) {
        CausalLm model = create(tiny, new Training.Full(), policy);

        compare(tiny.gradients(model, BATCH), new ReferenceModel(config, tiny.values));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(CheckpointPolicy.class)
  void ofLowRankUpdatesUnderDropout(CheckpointPolicy policy) {
    for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
      try (TinyModel tiny = new TinyModel(config)) {
        var updates = tiny.updates(0.4, ALL);
        CausalLm model = create(tiny, new Training.Lora(updates), policy);
        model.seedDropout(99, 5);
        ReferenceModel reference = new ReferenceModel(config, tiny.values);
        updates.forEach(reference::update);
        masks(tiny, reference, 0.4f, 99, 5);

        compare(tiny.gradients(model, BATCH), reference);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(CheckpointPolicy.class)
  void ofWeightDecomposedUpdates(CheckpointPolicy policy) {
    String[] some = {"q_proj", "o_proj", "layers.1.self_attn.v_proj", "up_proj", "down_proj"};
    for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
      for (float dropout : new float[] {0, 0.4f}) {
        try (TinyModel tiny = new TinyModel(config)) {
          var updates = tiny.updates(dropout, "_proj");
          updates.putAll(tiny.decomposed(dropout, some));
          CausalLm model = create(tiny, new Training.Lora(updates), policy);
          model.seedDropout(99, 5);
          ReferenceModel reference = new ReferenceModel(config, tiny.values);
          updates.forEach(reference::update);
          if (dropout > 0) {
            masks(tiny, reference, dropout, 99, 5);
          }

          compare(tiny.gradients(model, BATCH), reference);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(CheckpointPolicy.class)
  void ofUpdatesOfTheEmbeddingAndTheHead(CheckpointPolicy policy) {
    List<String[]> choices =
        List.of(
            new String[] {"embed_tokens"},
            new String[] {"lm_head"},
            new String[] {"embed_tokens", "lm_head", "v_proj"});
    for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
      for (String[] choice : choices) {
        for (float dropout : new float[] {0, 0.4f}) {
          try (TinyModel tiny = new TinyModel(config)) {
            var updates = tiny.updates(dropout, choice);
            CausalLm model = create(tiny, new Training.Lora(updates), policy);
            model.seedDropout(99, 5);
            ReferenceModel reference = new ReferenceModel(config, tiny.values);
            updates.forEach(reference::update);
            if (dropout > 0) {
              masks(tiny, reference, dropout, 99, 5);
            }

            compare(tiny.gradients(model, BATCH), reference);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(CheckpointPolicy.class)
  void whereOnlySomeLayersAreAdapted(CheckpointPolicy policy) {
    List<String[]> choices =
        List.of(
            new String[] {"layers.1.mlp.down_proj"},
            new String[] {"layers.1.mlp.up_proj", "layers.2.self_attn.o_proj"},
            new String[] {"layers.1.self_attn.k_proj"},
            new String[] {"layers.0.self_attn.v_proj", "layers.0.mlp.gate_proj"},
            new String[] {"layers.2.self_attn.o_proj"});
    for (String[] choice : choices) {
      try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
        var updates = tiny.updates(0, choice);
        ReferenceModel reference = new ReferenceModel(tiny.config, tiny.values);
        updates.forEach(reference::update);

        CausalLm model = create(tiny, new Training.Lora(updates), policy);

        compare(tiny.gradients(model, BATCH), reference);
      }
    }
  }

  @Test
  void addUpOverMicroBatches() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      CausalLm model = create(tiny, new Training.Lora(tiny.updates(0, ALL)), CheckpointPolicy.NONE);
      BatchInput second = TinyModel.batch(4, 6, 3);
      Map<String, Tensor> one = tiny.gradients(model, BATCH);
      Map<String, Tensor> two = tiny.gradients(model, second);

      TensorArena inputs = tiny.inputs();
      model.parameters().zeroGradients();
      for (BatchInput input : List.of(BATCH, second)) {
        Tensor upstream = tiny.scalar(inputs, 1f / input.targetRows().length);
        model.forwardBackward(model.upload(inputs, input), upstream);
      }

      model
          .parameters()
          .downloadGradients()
          .forEach((name, sum) -> {
            float[] a = requireNonNull(one.get(name)).toFloats();
            float[] b = requireNonNull(two.get(name)).toFloats();
            float[] both = sum.toFloats();
            double largest = largest(both);
            for (int i = 0; i < both.length; i++) {
              assertThat(Math.abs(both[i] - (a[i] + b[i])) / largest)
                  .as("%s[%d]: %s, expected %s", name, i, both[i], a[i] + b[i])
                  .isLessThan(Tolerances.SINGLE);
            }
          });
    }
  }

  @Test
  void leaveThePaddingRowOfTheEmbeddingAlone() {
    ModelConfig base = TinyModel.config(List.of(0), false, false, TinyModel.llama().rope());
    ModelConfig padded = withPadding(base, BATCH.inputIds()[2]);
    try (TinyModel plain = new TinyModel(base);
        TinyModel tiny = new TinyModel(padded)) {
      String name = "model.embed_tokens.weight";
      Training full = new Training.Full();
      float[] expected =
          requireNonNull(
                  plain.gradients(create(plain, full, CheckpointPolicy.NONE), BATCH).get(name))
              .toFloats();
      int from = BATCH.inputIds()[2] * base.hidden();
      assertThat(Arrays.copyOfRange(expected, from, from + base.hidden())).doesNotContain(0);
      Arrays.fill(expected, from, from + base.hidden(), 0);

      assertThat(
              requireNonNull(
                      tiny.gradients(create(tiny, full, CheckpointPolicy.NONE), BATCH).get(name))
                  .toFloats())
          .containsExactly(expected);
    }
  }

  private static ModelConfig withPadding(ModelConfig c, int id) {
    return new ModelConfig(
        c.family(),
        c.architecture(),
        c.vocabulary(),
        c.hidden(),
        c.intermediate(),
        c.heads(),
        c.keyValueHeads(),
        c.headSize(),
        c.layers(),
        c.activation(),
        c.normEpsilon(),
        c.normOffset(),
        c.queryKeyNorm(),
        c.biases(),
        c.rope(),
        c.attentionScale(),
        c.embeddingScale(),
        c.logitScale(),
        c.logitSoftcap(),
        c.attentionSoftcap(),
        c.maxPositions(),
        c.tiedEmbeddings(),
        c.dtype(),
        c.bosTokenId(),
        c.eosTokenIds(),
        id,
        c.quantization());
  }

  private static CausalLm create(TinyModel tiny, Training training, CheckpointPolicy policy) {
    return tiny.create(training, Limits.training(16, 4, 16), new Options(policy, 4, 0, 0));
  }

  /// The factors dropout multiplies by, seen through an update whose A is the identity.
  private static void masks(
      TinyModel tiny, ReferenceModel reference, float probability, long seed, long step) {
    TensorArena arena = tiny.keep(tiny.backend.arena("masks", 1 << 20));
    Tensor state = arena.allocate(DType.I64, Shape.of(2));
    tiny.backend.upload(state, Tensor.ofLongs(Shape.of(2), seed, step));
    int stream = 1;
    // The embedding, last, has no dropout.
    for (ModuleTree.Linear linear : ModuleTree.adaptable(tiny.config)) {
      if (linear.path().equals(ModuleTree.EMBEDDING)) {
        continue;
      }
      int in = Math.toIntExact(linear.in());
      long mark = arena.mark();
      Tensor identity = place(tiny, arena, Shape.of(in, in), i -> i % (in + 1) == 0 ? 1 : 0);
      Tensor ones = place(tiny, arena, Shape.of(BATCH.tokens(), in), _ -> 1);
      Tensor mask = arena.allocate(DType.F32, ones.shape());
      Projection projection =
          new Projection(
              new Weight.Dense(identity),
              null,
              new Projection.Lora(
                  identity, identity, 1, new Dropout(probability, stream++, state)));
      Tensor unused = arena.allocate(DType.F32, ones.shape());
      tiny.backend
          .matmul()
          .forward(List.of(unused), List.of(mask), ones, null, List.of(projection), arena);
      reference.masks.put(linear.path(), ReferenceModel.widen(mask.toFloats()));
      arena.release(mark);
    }
  }

  private interface Value {
    float at(int index);
  }

  private static Tensor place(TinyModel tiny, TensorArena arena, Shape shape, Value value) {
    float[] numbers = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = value.at(i);
    }
    Tensor tensor = arena.allocate(DType.F32, shape);
    tiny.backend.upload(tensor, Tensor.ofFloats(shape, numbers));
    return tensor;
  }

  private static void compare(Map<String, Tensor> gradients, ReferenceModel reference) {
    Random random = new Random(1);
    assertThat(gradients).isNotEmpty();
    gradients.forEach((name, tensor) -> {
      float[] actual = tensor.toFloats();
      double largest = largest(actual);
      assertThat(largest).as("largest gradient of %s", name).isPositive();
      for (int n = 0; n < 10; n++) {
        int i = random.nextInt(actual.length);
        double expected = difference(reference, name, i);
        assertThat(Math.abs(actual[i] - expected) / largest)
            .as("%s[%d]: %s, expected %s", name, i, actual[i], expected)
            .isLessThan(Tolerances.GRADIENT_OF_SINGLE);
      }
    });
  }

  private static double difference(ReferenceModel reference, String name, int index) {
    double[] values = requireNonNull(reference.values.get(name));
    double step = 1e-5;
    double value = values[index];
    values[index] = value + step;
    double above = reference.loss(BATCH);
    values[index] = value - step;
    double below = reference.loss(BATCH);
    values[index] = value;
    return (above - below) / (2 * step);
  }

  private static double largest(float[] values) {
    double largest = 0;
    for (float value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }
}
