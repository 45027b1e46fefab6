package dev.gatun.nn;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LayerCheckpoint.Extent;
import dev.gatun.nn.LayerCheckpoint.Place;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// Whatever is kept, wherever: the same gradients, the planned memory, and nothing computed again
/// that was kept.
class CheckpointingTest {
  private static final BatchInput BATCH = TinyModel.batch(5, 6, 9, 1);
  private static final Limits LIMITS = Limits.training(16, 3, 16);

  private static final ModelConfig DEEP =
      TinyModel.config(List.of(0, 4, 0, 0, 3, 0), false, true, TinyModel.llama().rope());
  private static final ModelConfig RICH =
      TinyModel.config(List.of(3, 0, 0), true, false, TinyModel.everything().rope());

  private static List<LayerCheckpoint> kinds() {
    List<LayerCheckpoint> kinds = new ArrayList<>();
    for (Place place : Place.values()) {
      for (Extent extent : Extent.values()) {
        kinds.add(new LayerCheckpoint(extent, place));
      }
    }
    return kinds;
  }

  /// One kind for all layers, the fixed policies, and mixes.
  private static List<Checkpointing> choices(int layers, int mixes) {
    List<Checkpointing> choices = new ArrayList<>(List.of(CheckpointPolicy.values()));
    List<LayerCheckpoint> kinds = kinds();
    kinds.forEach(kind -> choices.add(new LayerCheckpoints(Collections.nCopies(layers, kind))));
    Random random = new Random(layers);
    for (int i = 0; i < mixes; i++) {
      choices.add(
          new LayerCheckpoints(random.ints(layers, 0, kinds.size()).mapToObj(kinds::get).toList()));
    }
    return choices;
  }

  @Test
  void changesNoBitOfAGradient() {
    for (ModelConfig config : List.of(DEEP, RICH)) {
      try (TinyModel tiny = new TinyModel(config)) {
        List<Training> modes =
            List.of(
                new Training.Full(),
                new Training.Lora(tiny.updates(0.3, "_proj")),
                new Training.Lora(tiny.updates(0, "layers.1.mlp.up_proj", "2.self_attn.q_proj")));
        for (Training training : modes) {
          Map<String, Tensor> whole = gradients(tiny, training, CheckpointPolicy.NONE);
          assertThat(whole).isNotEmpty();
          for (Checkpointing choice : choices(config.layerCount(), 20)) {
            Map<String, Tensor> again = gradients(tiny, training, choice);
            assertThat(again.keySet()).isEqualTo(whole.keySet());
            whole.forEach((name, values) ->
                assertThat(requireNonNull(again.get(name)).toFloats())
                    .as("%s of %s", name, choice)
                    .containsExactly(values.toFloats()));
          }
        }
      }
    }
  }

  private static Map<String, Tensor> gradients(
      TinyModel tiny, Training training, Checkpointing checkpointing) {
    return gradients(tiny.backend, tiny, training, checkpointing);
  }

  private static Map<String, Tensor> gradients(
      Backend backend, TinyModel tiny, Training training, Checkpointing checkpointing) {
    try (CausalLm model =
        CausalLm.create(
            backend,
            tiny.config,
            tiny.weights(),
            training,
            LIMITS,
            Options.plain().withCheckpointing(checkpointing))) {
      model.seedDropout(1, 2);
      tiny.gradients(model, BATCH);
      // Twice, because places and slots are used again.
      return tiny.gradients(model, BATCH);
    }
  }

  @Test
  void waitsForEveryCopyBeforeItsTensorIsUsed() {
    try (TinyModel tiny = new TinyModel(DEEP)) {
      Training training = new Training.Lora(tiny.updates(0.3, "_proj"));
      Map<String, Tensor> whole = gradients(tiny, training, CheckpointPolicy.NONE);
      for (boolean prefetchAtOnce : new boolean[] {false, true}) {
        Backend late = LateOffload.backend(tiny.backend, prefetchAtOnce);
        for (Checkpointing choice : choices(DEEP.layerCount(), 20)) {
          Map<String, Tensor> again = gradients(late, tiny, training, choice);
          whole.forEach((name, values) ->
              assertThat(requireNonNull(again.get(name)).toFloats())
                  .as("%s of %s", name, choice)
                  .containsExactly(values.toFloats()));
        }
      }
    }
  }

  @Test
  void takesThePlannedMemory() {
    for (ModelConfig config : List.of(DEEP, RICH)) {
      try (TinyModel tiny = new TinyModel(config);
          TensorArena inputs = tiny.backend.arena("inputs", 1 << 18)) {
        Training training = new Training.Lora(tiny.updates(0, "_proj"));
        BatchInput largest = LargestPass.batch(LIMITS);
        for (Checkpointing choice : choices(config.layerCount(), 20)) {
          MemoryNeed need = need(tiny, training, choice);
          try (CausalLm model =
              CausalLm.create(
                  tiny.backend,
                  config,
                  tiny.weights(),
                  training,
                  LIMITS,
                  Options.plain().withCheckpointing(choice))) {
            inputs.release(0);
            DeviceBatch batch = model.upload(inputs, largest);
            Tensor upstream = inputs.allocate(DType.F32, Shape.of(1));
            model.forwardBackward(batch, upstream);
            model.evaluate(batch);

            assertThat(model.activationPeakBytes())
                .as("%s", choice)
                .isEqualTo(need.activationBytes());
          }
        }
      }
    }
  }

  private static MemoryNeed need(TinyModel tiny, Training training, Checkpointing choice) {
    return CausalLm.memoryNeed(
        tiny.backend,
        tiny.config,
        PlannedWeights.dense(tiny.config, DType.F32),
        training,
        LIMITS,
        Options.plain().withCheckpointing(choice));
  }

  @Test
  void moreInHostMemoryLeavesTwoPlacesOnTheDevice() {
    try (TinyModel tiny = new TinyModel(DEEP)) {
      Training training = new Training.Lora(tiny.updates(0, "_proj"));
      MemoryNeed inputs = need(tiny, training, CheckpointPolicy.OFFLOAD);
      List<LayerCheckpoint> each =
          new ArrayList<>(
              Collections.nCopies(5, new LayerCheckpoint(Extent.ATTENTION, Place.HOST)));
      each.add(LayerCheckpoint.WHOLE);
      MemoryNeed more = need(tiny, training, new LayerCheckpoints(each));

      // The middle of the residual stream, attention's output, sums of 4 heads.
      assertThat(part(more)).isGreaterThanOrEqualTo(16 * (20 + 4 * 8 + 4) * 4);
      assertThat(more.offloadBytes() - inputs.offloadBytes()).isEqualTo(5 * part(more));
      assertThat(more.activationBytes() - inputs.activationBytes()).isEqualTo(2 * part(more));
    }
  }

  /// What a layer keeps beside its input.
  private static long part(MemoryNeed more) {
    return more.offloadBytes() / 5 - 16L * 20 * 4;
  }

  @Test
  void whatIsKeptIsNotComputedAgain() {
    int layers = DEEP.layerCount();
    try (TinyModel tiny = new TinyModel(DEEP)) {
      for (LayerCheckpoint kind : kinds()) {
        Map<String, Integer> counts = forwardOps(tiny, Collections.nCopies(layers, kind));

        boolean attention = kind.extent() == Extent.INPUT;
        boolean projections = attention || kind.extent() == Extent.ATTENTION;
        boolean expanded = projections || kind.extent() == Extent.PROJECTIONS;
        // Output and down products have one projection, gate and up two, queries to values three.
        assertThat(counts)
            .as("%s", kind)
            .containsOnlyKeys("1 products", "2 products", "3 products", "attention")
            .containsEntry("1 products", 2 * layers + (attention ? layers : 0))
            .containsEntry("2 products", layers + (expanded ? layers : 0))
            .containsEntry("3 products", layers + (projections ? layers : 0))
            .containsEntry("attention", layers + (attention ? layers : 0));
      }
    }
  }

  private static Map<String, Integer> forwardOps(TinyModel tiny, List<LayerCheckpoint> each) {
    CountingBackend counting = new CountingBackend(tiny.backend);
    Options options = Options.plain().withCheckpointing(new LayerCheckpoints(each));
    Training training = new Training.Lora(tiny.updates(0, "_proj"));
    try (CausalLm model =
        CausalLm.create(
            counting.backend(), tiny.config, tiny.weights(), training, LIMITS, options)) {
      tiny.gradients(model, BATCH);
      return counting.counts();
    }
  }

  @Test
  void isDescribedInOneLine() {
    LayerCheckpoint hosted = new LayerCheckpoint(Extent.ATTENTION, Place.HOST);
    LayerCheckpoints mixed =
        new LayerCheckpoints(
            List.of(hosted, LayerCheckpoint.WHOLE, hosted, LayerCheckpoint.WHOLE, hosted));

    assertThat(mixed)
        .hasToString("3 layers input and attention in host memory, 2 layers everything");
    assertThat(new LayerCheckpoints(List.of(LayerCheckpoint.WHOLE)))
        .hasToString("1 layer everything");
    assertThatThrownBy(() -> mixed.layers(6))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("5 layers for a model of 6");
  }
}
