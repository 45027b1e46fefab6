package dev.gatun.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Percentage.withPercentage;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.model.Rope;
import dev.gatun.nn.LayerCheckpoint.Place;
import dev.gatun.op.Backend;
import dev.gatun.op.MatmulOps;
import dev.gatun.op.MlpOps.Activation;
import dev.gatun.tensor.DType;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CheckpointPlannerTest {
  private static final long GB = 1_000_000_000;
  private static final long PLENTY = 1L << 50;

  private final CpuBackend cpu = CpuBackend.create(1);
  private final Backend half =
      BackendProxy.replacing(cpu, Map.of("activationType", _ -> DType.BF16));
  private final Map<Checkpointing, MemoryNeed> known = new HashMap<>();

  @AfterEach
  void close() {
    cpu.close();
  }

  /// Shaped like Llama 3.1 8B.
  private static ModelConfig large() {
    return new ModelConfig(
        "llama",
        "LlamaForCausalLM",
        128256,
        4096,
        14336,
        32,
        8,
        128,
        Collections.nCopies(32, new ModelConfig.Layer(0)),
        Activation.SILU,
        1e-5f,
        0,
        false,
        new ModelConfig.Biases(false, false, false),
        new Rope(5e5, 128, new Rope.Scaling.Default()),
        0.088f,
        1,
        1,
        0,
        0,
        131072,
        false,
        DType.BF16,
        null,
        List.of(),
        null,
        null);
  }

  private Function<Checkpointing, MemoryNeed> need(ModelConfig config, Limits limits) {
    return need(half, config, limits);
  }

  private Function<Checkpointing, MemoryNeed> need(
      Backend backend, ModelConfig config, Limits limits) {
    ModelWeights weights = PlannedWeights.nf4(config, DType.BF16, 64, true);
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    for (ModuleTree.Linear linear : ModuleTree.linears(config)) {
      modules.put(linear.path(), LoraModule.planned(new LoraConfig.Adapted(16, 2, 0), linear));
    }
    Training training = new Training.Lora(modules);
    return choice ->
        known.computeIfAbsent(
            choice,
            c ->
                CausalLm.memoryNeed(
                    backend,
                    config,
                    weights,
                    training,
                    limits,
                    Options.plain().withCheckpointing(c)));
  }

  private LayerCheckpoints plan(
      Limits limits, long deviceBytes, long hostBytes, Function<Checkpointing, MemoryNeed> need) {
    CheckpointPlanner.Budget budget = new CheckpointPlanner.Budget(deviceBytes, hostBytes);
    return CheckpointPlanner.plan(large(), limits, budget, need);
  }

  private static boolean onHost(LayerCheckpoints checkpoints) {
    return checkpoints.each().stream().anyMatch(layer -> layer.place() == Place.HOST);
  }

  /// The estimate with sizes that are worked out here from the shapes: BF16 elements, F32 sums.
  private static StepEstimate estimate(Limits limits) {
    double t = limits.tokens();
    double input = t * 4096 * 2;
    double attention = input + t * (4096 + 16) * 2 + t * 32 * 4;
    double projections = attention + t * 6144 * 2;
    double all = projections + t * 2 * 14336 * 2;
    return new StepEstimate(
        large(),
        limits,
        2,
        new StepEstimate.HostBytes(input, new double[] {0, attention, projections, all}));
  }

  /// Steps measured on an H100 (`docs/performance.md`), in milliseconds.
  @ParameterizedTest
  @CsvSource({
    "NONE, 4, 2048, 482",
    "OFFLOAD, 4, 2048, 631",
    "PER_LAYER, 8, 2048, 1207",
    "NONE, 1, 2048, 137",
    "OFFLOAD, 1, 8192, 744"
  })
  void secondsAreThoseOfAnH100(
      CheckpointPolicy policy, int sequences, int length, double milliseconds) {
    Limits limits = Limits.training(sequences * length, sequences, length);

    double seconds = CheckpointPlanner.seconds(large(), limits, policy, need(large(), limits));

    assertThat(seconds * 1e3).isCloseTo(milliseconds, withPercentage(15));
  }

  @Test
  void fitsAndIsNeverSlowerThanAPolicyThatFitsNorThanWithLessMemory() {
    for (int[] shape : new int[][] {{1, 2048}, {4, 2048}, {1, 8192}}) {
      known.clear();
      Limits limits = Limits.training(shape[0] * shape[1], shape[0], shape[1]);
      Function<Checkpointing, MemoryNeed> need = need(large(), limits);
      StepEstimate estimate = estimate(limits);
      long least = need.apply(CheckpointPolicy.OFFLOAD).activationBytes();
      long most = need.apply(CheckpointPolicy.NONE).activationBytes();
      double before = Double.POSITIVE_INFINITY;
      for (int i = 0; i <= 6; i++) {
        long cap = least + (most - least) * i / 6;

        LayerCheckpoints plan = plan(limits, cap, PLENTY, need);

        assertThat(plan(limits, cap, PLENTY, need)).as("twice").isEqualTo(plan);
        assertThat(need.apply(plan).activationBytes()).isLessThanOrEqualTo(cap);
        double seconds = estimate.seconds(plan.each());
        assertThat(seconds).as("%s in %d", plan, cap).isLessThanOrEqualTo(before);
        for (CheckpointPolicy policy : CheckpointPolicy.values()) {
          if (need.apply(policy).activationBytes() <= cap) {
            assertThat(seconds)
                .as("%s in %d beside %s", plan, cap, policy)
                .isLessThanOrEqualTo(estimate.seconds(policy.layers(32)));
          }
        }
        before = seconds;
      }
      assertThat(before).isEqualTo(estimate.seconds(CheckpointPolicy.NONE.layers(32)));
    }
  }

  @Test
  void keepsMoreThanInputsWhereThatFits() {
    Limits limits = Limits.training(8192, 4, 2048);
    Function<Checkpointing, MemoryNeed> need = need(large(), limits);
    StepEstimate estimate = estimate(limits);

    LayerCheckpoints plan = plan(limits, 2_400_000_000L, PLENTY, need);

    assertThat(estimate.seconds(plan.each()))
        .isLessThan(0.97 * estimate.seconds(CheckpointPolicy.OFFLOAD.layers(32)));
    assertThat(onHost(plan)).isTrue();
    // What is left over holds no layer's least addition.
    long half =
        need.apply(CheckpointPolicy.PER_LAYER).activationBytes() / 2
            + need.apply(CheckpointPolicy.NONE).activationBytes() / 2;
    LayerCheckpoints onDevice = plan(limits, half, 0, need);
    assertThat(onHost(onDevice)).isFalse();
    assertThat(half - need.apply(onDevice).activationBytes()).isBetween(0L, 140_000_000L);
  }

  @Test
  void whatFitsWholeIsKeptWholeAndWhatDoesNotFitAtAllTakesTheLeast() {
    Limits limits = Limits.training(2048, 1, 2048);
    Function<Checkpointing, MemoryNeed> need = need(large(), limits);

    assertThat(plan(limits, 1L << 40, PLENTY, need).each())
        .isEqualTo(CheckpointPolicy.NONE.layers(32));
    assertThat(plan(limits, 1000, PLENTY, need).each())
        .isEqualTo(CheckpointPolicy.OFFLOAD.layers(32));
    assertThat(plan(limits, 1000, 0, need).each()).isEqualTo(CheckpointPolicy.PER_LAYER.layers(32));
  }

  @Test
  void whatIsLeftGoesToDecodedWeightsWhereTheyAreUsed() {
    Limits limits = Limits.training(2048, 1, 2048);
    MatmulOps matmul =
        BackendProxy.replacing(MatmulOps.class, half.matmul(), Map.of("usesDecoded", _ -> true));
    Backend decoding = BackendProxy.replacing(half, Map.of("matmul", _ -> matmul));
    Function<Checkpointing, MemoryNeed> need = need(decoding, large(), limits);
    long everything = need.apply(CheckpointPolicy.NONE).activationBytes();
    // 16 bits an element, and factors of rank 16: q, k and v, o, gate and up, down.
    long layer =
        2L * ((6144 + 48) * (4096 + 64) + (4096 + 16) * (4096 + 64))
            + 2L * ((28672 + 32) * (4096 + 64) + (4096 + 16) * (14336 + 64));

    LayerCheckpoints five = plan(limits, everything + 6 * layer - 1, PLENTY, need);

    assertThat(five.each()).isEqualTo(CheckpointPolicy.NONE.layers(32));
    assertThat(five.decodedLayers()).isEqualTo(5);
    assertThat(five).hasToString("32 layers everything, 5 with decoded weights");
    assertThat(need.apply(five).decodedBytes()).isEqualTo(5 * layer);
    assertThat(plan(limits, everything, PLENTY, need).decodedLayers()).isZero();
    assertThat(plan(limits, Long.MAX_VALUE, PLENTY, need).decodedLayers()).isEqualTo(32);
  }

  @Test
  void nothingIsDecodedForABackendThatDoesNotUseIt() {
    Limits limits = Limits.training(2048, 1, 2048);

    LayerCheckpoints plan = plan(limits, Long.MAX_VALUE, PLENTY, need(large(), limits));

    assertThat(plan.decodedLayers()).isZero();
  }

  @Test
  void hostMemoryIsLimitedToo() {
    Limits limits = Limits.training(8192, 4, 2048);
    Function<Checkpointing, MemoryNeed> need = need(large(), limits);

    LayerCheckpoints plan = plan(limits, 3_000_000_000L, GB, need);

    assertThat(need.apply(plan).offloadBytes()).isBetween(1L, GB);
    assertThat(need.apply(plan).activationBytes()).isLessThanOrEqualTo(3_000_000_000L);
  }

  /// A copy that takes longer than the layers beside it is waited for.
  @Test
  void copiesThatCannotBeHiddenCostTime() {
    Limits limits = Limits.training(8192, 4, 2048);
    StepEstimate estimate = estimate(limits);
    LayerCheckpoint everything = new LayerCheckpoint(LayerCheckpoint.Extent.ALL, Place.HOST);
    LayerCheckpoint inputs = new LayerCheckpoint(LayerCheckpoint.Extent.INPUT, Place.HOST);

    double all = estimate.seconds(Collections.nCopies(32, everything));
    double few = estimate.seconds(Collections.nCopies(32, inputs));

    // 25 GB out and back at 40 GB/s.
    assertThat(all).isGreaterThan(1.1);
    assertThat(few)
        .isEqualTo(
            estimate.seconds(
                Collections.nCopies(
                    32, new LayerCheckpoint(LayerCheckpoint.Extent.INPUT, Place.DEVICE))));
  }
}
