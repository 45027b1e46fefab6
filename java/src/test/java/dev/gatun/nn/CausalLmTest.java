package dev.gatun.nn;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.Tolerances;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.model.Rope;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CausalLmTest {
  private static final BatchInput BATCH = TinyModel.batch(5, 6, 9, 1);
  private static final Limits LIMITS = Limits.training(16, 3, 16).withDecode(16, 3);

  @Test
  void checkpointingGivesTheSameBits() {
    for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
      Map<String, Tensor> kept = gradients(config, CheckpointPolicy.NONE);
      for (CheckpointPolicy policy :
          List.of(CheckpointPolicy.PER_LAYER, CheckpointPolicy.OFFLOAD)) {
        Map<String, Tensor> again = gradients(config, policy);

        assertThat(kept).hasSize(again.size()).isNotEmpty();
        kept.forEach((name, values) ->
            assertThat(requireNonNull(again.get(name)).toFloats())
                .as(policy + " " + name)
                .containsExactly(values.toFloats()));
      }
    }
  }

  private static Map<String, Tensor> gradients(ModelConfig config, CheckpointPolicy policy) {
    try (TinyModel tiny = new TinyModel(config)) {
      Training training = new Training.Lora(tiny.updates(0.3, "_proj"));
      CausalLm model = tiny.create(training, LIMITS, Options.plain().withCheckpointing(policy));
      model.seedDropout(1, 2);
      return tiny.gradients(model, BATCH);
    }
  }

  @Test
  void dropoutChangesWithTheMicroBatchAndOnlyInTraining() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      Training training = new Training.Lora(tiny.updates(0.3, "q_proj"));
      CausalLm model = tiny.create(training, LIMITS, Options.plain());
      TensorArena inputs = tiny.inputs();
      DeviceBatch batch = model.upload(inputs, BATCH);
      Tensor upstream = tiny.scalar(inputs, 1);

      model.seedDropout(1, 1);
      model.forwardBackward(batch, upstream);
      float[] first = tiny.losses(batch);
      model.evaluate(batch);
      float[] evaluated = tiny.losses(batch);
      model.seedDropout(1, 2);
      model.forwardBackward(batch, upstream);
      float[] second = tiny.losses(batch);
      model.seedDropout(1, 1);
      model.forwardBackward(batch, upstream);

      assertThat(tiny.losses(batch)).containsExactly(first);
      assertThat(second).isNotEqualTo(first);
      assertThat(evaluated).isNotEqualTo(first);
    }
  }

  @Test
  void neftuneMovesTrainingLossesOnly() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      Training training = new Training.Lora(tiny.updates(0, "q_proj"));
      CausalLm noisy = tiny.create(training, LIMITS, new Options(CheckpointPolicy.NONE, 8, 0, 5));
      TensorArena inputs = tiny.inputs();
      DeviceBatch batch = noisy.upload(inputs, BATCH);
      Tensor upstream = tiny.scalar(inputs, 1);

      noisy.evaluate(batch);
      float[] clean = tiny.losses(batch);
      noisy.forwardBackward(batch, upstream);
      float[] first = tiny.losses(batch);
      noisy.seedDropout(0, 1);
      noisy.forwardBackward(batch, upstream);

      assertThat(first).isNotEqualTo(clean);
      assertThat(tiny.losses(batch)).isNotEqualTo(first);
    }
  }

  @Test
  void packedSequencesDoNotSeeEachOther() {
    for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
      try (TinyModel tiny = new TinyModel(config)) {
        CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());
        float[] packed = logits(tiny, model, BATCH.inputIds(), BATCH.sequenceLengths());
        int start = 0;
        for (int length : BATCH.sequenceLengths()) {
          int[] ids = Arrays.copyOfRange(BATCH.inputIds(), start, start + length);

          float[] alone = logits(tiny, model, ids, new int[] {length});

          assertClose(
              Arrays.copyOfRange(
                  packed, start * TinyModel.VOCABULARY, (start + length) * TinyModel.VOCABULARY),
              alone);
          start += length;
        }
      }
    }
  }

  private static float[] logits(TinyModel tiny, CausalLm model, int[] ids, int[] lengths) {
    BatchInput input = BatchInput.ofLabels(ids, lengths, ids);
    return model.inspect(model.upload(tiny.inputs(), input)).logits().toFloats();
  }

  private static void assertClose(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      assertThat(Math.abs(actual[i] - expected[i]))
          .as("[%d]: %s, expected %s", i, actual[i], expected[i])
          .isLessThan((float) Tolerances.SINGLE);
    }
  }

  @Test
  void decodesSequencesOfDifferentLengthsLikeAFullPass() {
    Rope dynamic = new Rope(1e4, 8, new Rope.Scaling.Dynamic(2, 64));
    List<ModelConfig> configs =
        List.of(
            TinyModel.llama(),
            TinyModel.everything(),
            TinyModel.config(List.of(4, 0), false, true, dynamic));
    for (ModelConfig config : configs) {
      try (TinyModel tiny = new TinyModel(config)) {
        CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());
        KvCache cache = tiny.keep(KvCache.create(tiny.backend, config, 3, 10));
        int[][] sequences = {{3, 1, 4, 1, 5, 9, 2}, {6, 5, 3, 5}, {8, 9, 7, 9, 3, 2, 3, 8}};
        int[] prompts = {4, 2, 5};

        for (int step = 0; step < 4; step++) {
          int[][] fed = new int[3][];
          int rows = 0;
          for (int s = 0; s < 3; s++) {
            int to = prompts[s] + step;
            int from = step == 0 ? 0 : to - 1;
            fed[s] =
                to > sequences[s].length ? new int[0] : Arrays.copyOfRange(sequences[s], from, to);
            rows += fed[s].length == 0 ? 0 : 1;
          }
          float[] decoded = tiny.backend.download(model.decode(cache, fed)).toFloats();
          assertThat(decoded).hasSize(rows * TinyModel.VOCABULARY);
          int row = 0;
          for (int s = 0; s < 3; s++) {
            if (fed[s].length > 0) {
              assertClose(slice(decoded, row++), expected(tiny, model, sequences[s], cache, s));
            }
          }
        }
      }
    }
  }

  private static float[] expected(
      TinyModel tiny, CausalLm model, int[] sequence, KvCache cache, int slot) {
    int length = cache.length(slot);
    float[] all = logits(tiny, model, Arrays.copyOf(sequence, length), new int[] {length});
    return slice(all, length - 1);
  }

  private static float[] slice(float[] values, int row) {
    int width = TinyModel.VOCABULARY;
    return Arrays.copyOfRange(values, row * width, (row + 1) * width);
  }

  @Test
  void clearedSlotsStartAgainAndFullOnesRefuse() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());
      KvCache cache = tiny.keep(KvCache.create(tiny.backend, tiny.config, 1, 4));
      int[][] prompt = {{1, 2, 3}};
      float[] first = tiny.backend.download(model.decode(cache, prompt)).toFloats();

      assertThatThrownBy(() -> model.decode(cache, new int[][] {{4, 5}}))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("3 of 4");
      cache.clear(0);

      assertThat(tiny.backend.download(model.decode(cache, prompt)).toFloats())
          .containsExactly(first);
    }
  }

  @Test
  void dynamicScalingDependsOnTheLengthOfEachSequence() {
    Rope dynamic = new Rope(1e4, 8, new Rope.Scaling.Dynamic(4, 6));
    try (TinyModel tiny = new TinyModel(TinyModel.config(List.of(0, 0), false, true, dynamic))) {
      CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());
      int[] ids = TinyModel.batch(8, 15).inputIds();
      int[] shorter = Arrays.copyOf(ids, 6);

      float[] packed = logits(tiny, model, ids, new int[] {6, 9});
      float[] whole = logits(tiny, model, ids, new int[] {15});

      // Six tokens are within the original context, so the longer neighbour changes nothing.
      float[] alone = logits(tiny, model, shorter, new int[] {6});
      assertClose(Arrays.copyOf(packed, alone.length), alone);
      assertThat(Math.abs(whole[alone.length - 1] - alone[alone.length - 1]))
          .as("a longer sequence turns slower from its first token")
          .isGreaterThan((float) Tolerances.SINGLE);
    }
  }

  @Test
  void theMemoryPlanIsThePeak() {
    for (CheckpointPolicy policy : CheckpointPolicy.values()) {
      for (ModelConfig config : List.of(TinyModel.llama(), TinyModel.everything())) {
        try (TinyModel tiny = new TinyModel(config)) {
          List<Training> modes =
              List.of(
                  new Training.Full(),
                  new Training.Lora(tiny.updates(0, "_proj")),
                  new Training.Lora(tiny.updates(0.1, "layers.1.self_attn.q_proj")));
          for (Training training : modes) {
            assertPlanIsPeak(tiny, training, Options.plain().withCheckpointing(policy));
          }
        }
      }
    }
  }

  private static void assertPlanIsPeak(TinyModel tiny, Training training, Options options) {
    Limits limits = new Limits(16, 3, 12, 16, 0, 0);
    ModelWeights planned = PlannedWeights.dense(tiny.config, DType.F32);
    MemoryNeed need =
        CausalLm.memoryNeed(tiny.backend, tiny.config, planned, training, limits, options);
    CausalLm model = tiny.create(training, limits, options);
    BatchInput input = TinyModel.batch(6, 10, 5, 1);
    int[] rows = Arrays.copyOf(input.inputIds(), 12);
    Arrays.setAll(rows, i -> i);
    BatchInput largest =
        new BatchInput(
            input.inputIds(), input.positionIds(), input.sequenceLengths(), rows, new int[12]);

    try (TensorArena inputs =
        tiny.backend.arena("inputs", need.batchBytes() + TensorArena.ALIGNMENT)) {
      DeviceBatch batch = model.upload(inputs, largest);
      Tensor upstream = inputs.allocate(DType.F32, Shape.of(1));
      model.forwardBackward(batch, upstream);
      model.evaluate(batch);

      assertThat(inputs.peakBytes()).isEqualTo(need.batchBytes() + TensorArena.ALIGNMENT);
    }
    assertThat(model.activationPeakBytes()).isEqualTo(need.activationBytes());
    assertThat(need.parameterBytes())
        .isEqualTo(2 * TensorArena.sizeOf(DType.F32, need.flatParameterCount()));
    assertThat(need.parameterCount()).isEqualTo(model.parameters().count());
  }

  @Test
  void checkpointingNeedsLessMemory() {
    ModelConfig deep =
        TinyModel.config(List.of(0, 0, 0, 0, 0, 0), false, true, TinyModel.llama().rope());
    try (TinyModel tiny = new TinyModel(deep)) {
      Training training = new Training.Lora(tiny.updates(0, "_proj"));
      Limits limits = Limits.training(64, 1, 64);
      ModelWeights weights = PlannedWeights.nf4(deep, DType.BF16, 64, true);

      long kept =
          CausalLm.memoryNeed(tiny.backend, deep, weights, training, limits, Options.plain())
              .activationBytes();
      long perLayer =
          CausalLm.memoryNeed(
                  tiny.backend,
                  deep,
                  weights,
                  training,
                  limits,
                  Options.plain().withCheckpointing(CheckpointPolicy.PER_LAYER))
              .activationBytes();

      assertThat(perLayer).isLessThan(kept / 2);
    }
  }

  @Test
  void offloadingKeepsTwoLayerInputsWhateverTheDepth() {
    long input = TensorArena.sizeOf(DType.F32, 64L * 20);
    MemoryNeed six = needOfDepth(6, CheckpointPolicy.OFFLOAD);
    MemoryNeed nine = needOfDepth(9, CheckpointPolicy.OFFLOAD);
    MemoryNeed sixKept = needOfDepth(6, CheckpointPolicy.PER_LAYER);

    // What a layer's last update made of its input stays: one row of 16 bytes or more a token.
    long inner = TensorArena.sizeOf(DType.F32, 64L * 8);
    assertThat(nine.activationBytes() - six.activationBytes()).isEqualTo(3 * inner);
    assertThat(sixKept.activationBytes() - six.activationBytes()).isEqualTo((6 + 1 - 2) * input);
    assertThat(six.offloadBytes()).isEqualTo(5 * 64L * 20 * 4);
    assertThat(nine.offloadBytes()).isEqualTo(8 * 64L * 20 * 4);
    assertThat(sixKept.offloadBytes()).isZero();
  }

  private static MemoryNeed needOfDepth(int layers, CheckpointPolicy policy) {
    List<Integer> windows = Collections.nCopies(layers, 0);
    ModelConfig deep = TinyModel.config(windows, false, true, TinyModel.llama().rope());
    try (TinyModel tiny = new TinyModel(deep)) {
      return CausalLm.memoryNeed(
          tiny.backend,
          deep,
          PlannedWeights.dense(deep, DType.F32),
          new Training.Lora(tiny.updates(0, "_proj")),
          Limits.training(64, 1, 64),
          Options.plain().withCheckpointing(policy));
    }
  }

  @Test
  void namesTheFirstNonFiniteTensor() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      requireNonNull(tiny.values.get("model.layers.1.mlp.up_proj.weight"))[17] = Float.NaN;
      Training training = new Training.Lora(tiny.updates(0, "q_proj"));
      CausalLm model = tiny.create(training, LIMITS, Options.plain());
      DeviceBatch batch = model.upload(tiny.inputs(), BATCH);

      assertThat(model.firstNonFinite(batch)).contains("up of model.layers.1.mlp");

      String name = ModuleTree.loraB("model.layers.2.self_attn.q_proj");
      Tensor poisoned = requireNonNull(model.parameters().download().get(name));
      float[] values = poisoned.toFloats();
      values[0] = Float.POSITIVE_INFINITY;
      model.parameters().upload(name, Tensor.ofFloats(poisoned.shape(), values));
      assertThat(model.firstNonFinite(batch)).contains("parameter " + name);
    }
  }

  @Test
  void findsNothingInAHealthyModel() {
    try (TinyModel tiny = new TinyModel(TinyModel.everything())) {
      CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());

      assertThat(model.firstNonFinite(model.upload(tiny.inputs(), BATCH))).isEmpty();
    }
  }

  @Test
  void refusesForeignTokensAndAdapters() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());
      int[] ids = {1, TinyModel.VOCABULARY};
      BatchInput input = BatchInput.ofLabels(ids, new int[] {2}, ids);

      assertThatThrownBy(() -> model.upload(tiny.inputs(), input))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("29");

      var foreign = tiny.updates(0, "layers.0.mlp.up_proj");
      foreign.put("model.layers.9.mlp.up_proj", foreign.firstEntry().getValue());
      assertThatThrownBy(() -> tiny.create(new Training.Lora(foreign), LIMITS, Options.plain()))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("model.layers.9.mlp.up_proj");

      var misshapen = tiny.updates(0, "layers.0.mlp.up_proj");
      misshapen.put("model.layers.0.mlp.down_proj", misshapen.firstEntry().getValue());
      assertThatThrownBy(() -> tiny.create(new Training.Lora(misshapen), LIMITS, Options.plain()))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("[3, 20]");
    }
  }

  @Test
  void aFrozenModelHasNoBackwardPass() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      CausalLm model = tiny.create(Training.frozen(), LIMITS, Options.plain());
      TensorArena inputs = tiny.inputs();
      DeviceBatch batch = model.upload(inputs, BATCH);

      assertThatThrownBy(() -> model.forwardBackward(batch, tiny.scalar(inputs, 1)))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void adaptersTakePartInAFrozenModel() {
    try (TinyModel tiny = new TinyModel(TinyModel.llama())) {
      var updates = tiny.updates(0.5, "_proj");
      CausalLm trained = tiny.create(new Training.Lora(updates), LIMITS, Options.plain());
      CausalLm frozen =
          tiny.create(new Training.Frozen(updates, ModulesToSave.none()), LIMITS, Options.plain());
      CausalLm base = tiny.create(Training.frozen(), LIMITS, Options.plain());

      float[] expected = logits(tiny, trained, BATCH.inputIds(), BATCH.sequenceLengths());

      assertThat(logits(tiny, frozen, BATCH.inputIds(), BATCH.sequenceLengths()))
          .containsExactly(expected);
      assertThat(logits(tiny, base, BATCH.inputIds(), BATCH.sequenceLengths()))
          .isNotEqualTo(expected);
    }
  }
}
