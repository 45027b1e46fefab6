package dev.gatun.bench;

import dev.gatun.InputException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.CheckpointPlanner;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.nn.Checkpointing;
import dev.gatun.nn.DeviceBatch;
import dev.gatun.nn.Limits;
import dev.gatun.nn.LoraInitializer;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.MemoryNeed;
import dev.gatun.nn.Options;
import dev.gatun.nn.StepFlops;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.AdamW;
import dev.gatun.optim.GradientNorm;
import dev.gatun.optim.ParameterGroup;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;

/// Whole training steps of a random NF4 model with LoRA on all linear layers: upload, forward,
/// backward, clipping, AdamW. What `gatun train` does between two batches, without its files.
final class TrainStepBench implements AutoCloseable {
  private static final double MAX_NORM = 1;
  private static final double LEARNING_RATE = 2e-4;

  private final Backend backend;
  private final Plan plan;
  private final Deque<AutoCloseable> resources = new ArrayDeque<>();
  private final long plannedBytes;
  private final long hostBytes;
  private final String checkpointing;
  private final long freeBefore;
  private final CausalLm model;
  private final AdamW optimizer;
  private final GradientNorm norm;
  private final TensorArena batchArena;
  private final Tensor upstream;
  private final SplittableRandom random = new SplittableRandom(11);
  private DeviceBatch lastBatch;

  /// What to train.
  ///
  /// @param sequences packed into one batch
  /// @param length tokens of each
  /// @param document tokens of a document on average; `length` for one document a sequence
  /// @param rank of the low-rank updates
  /// @param memoryBytes what may be reserved in all, for [Mode#AUTO]; `Long.MAX_VALUE` for all
  ///   there is
  record Plan(
      ModelConfig config,
      int sequences,
      int length,
      int document,
      int rank,
      Mode checkpointing,
      long memoryBytes,
      int lossChunkRows) {
    int tokens() {
      return sequences * length;
    }

    /// Lengths of all documents of a batch; they end where a sequence does.
    int[] documents(SplittableRandom random) {
      List<Integer> lengths = new ArrayList<>();
      for (int i = 0; i < sequences; i++) {
        int left = length;
        while (left > 0) {
          int next = document == length ? length : random.nextInt(document / 4, 7 * document / 4);
          lengths.add(Math.min(left, next));
          left -= lengths.getLast();
        }
      }
      return lengths.stream().mapToInt(n -> n).toArray();
    }

    /// The most documents a batch can hold.
    int mostDocuments() {
      return document == length ? sequences : sequences * Math.ceilDiv(length, document / 4);
    }
  }

  /// What layers keep.
  enum Mode {
    NONE,
    PER_LAYER,
    OFFLOAD,
    /// What fits into the memory there is.
    AUTO
  }

  /// What came out.
  ///
  /// @param seconds of each timed step
  /// @param loss mean over the last batch; near ln(vocabulary) for random weights
  /// @param plannedBytes all arenas
  /// @param takenBytes of the backend's memory, before the first step to after the last; negative
  ///   where the backend does not know
  /// @param activationBytes the highest use of the activation arena
  /// @param hostBytes of host memory that checkpoints lie in
  /// @param checkpointing the mode, and what it chose
  record Result(
      double[] seconds,
      double loss,
      long plannedBytes,
      long takenBytes,
      long activationBytes,
      long hostBytes,
      String checkpointing) {
    double median() {
      double[] sorted = seconds.clone();
      Arrays.sort(sorted);
      return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }
  }

  TrainStepBench(Backend backend, Plan plan) {
    this.backend = backend;
    this.plan = plan;
    freeBefore = backend.memoryBytes();
    LoraConfig lora = lora(plan.rank());
    Training training =
        new Training.Lora(
            LoraInitializer.initialize(
                LoraTargets.resolve(lora, plan.config()), plan.config(), lora.initialization(), 1));
    Limits limits = Limits.training(plan.tokens(), plan.mostDocuments(), plan.length());
    long weightBytes = RandomModel.byteSize(backend, plan.config());
    ModelWeights weights =
        RandomModel.create(backend, plan.config(), arena("weights", weightBytes));
    Function<Checkpointing, Options> options =
        kept -> new Options(kept, plan.lossChunkRows(), 0, 0);
    Function<Checkpointing, MemoryNeed> needs =
        kept ->
            CausalLm.memoryNeed(
                backend, plan.config(), weights, training, limits, options.apply(kept));
    Checkpointing kept = checkpointing(limits, weightBytes, needs);
    checkpointing =
        plan.checkpointing().name().toLowerCase(Locale.ROOT)
            + (plan.checkpointing() == Mode.AUTO ? ": " + kept : "");
    MemoryNeed need = needs.apply(kept);
    hostBytes = need.offloadBytes();
    plannedBytes = weightBytes + otherBytes(need) + need.activationBytes() + need.decodedBytes();
    if (plannedBytes > plan.memoryBytes()) {
      throw new InputException(
          "the step needs %s; --memory allows %s"
              .formatted(Bench.gigabytes(plannedBytes), Bench.gigabytes(plan.memoryBytes())));
    }
    model =
        own(
            CausalLm.create(
                backend, plan.config(), weights, training, limits, options.apply(kept)));
    optimizer =
        own(
            new AdamW(
                backend,
                model.parameters(),
                ParameterGroup.decayed(model.parameters(), LEARNING_RATE, 0),
                AdamW.Settings.defaults()));
    norm = own(new GradientNorm(backend, model.parameters()));
    batchArena = arena("batch", batchBytes(need));
    upstream = batchArena.allocate(DType.F32, Shape.of(1));
    lastBatch = upload();
    backend.upload(upstream, Tensor.ofFloats(Shape.of(1), 1f / lastBatch.trainedCount()));
  }

  private Checkpointing checkpointing(
      Limits limits, long weightBytes, Function<Checkpointing, MemoryNeed> needs) {
    return switch (plan.checkpointing()) {
      case NONE -> CheckpointPolicy.NONE;
      case PER_LAYER -> CheckpointPolicy.PER_LAYER;
      case OFFLOAD -> CheckpointPolicy.OFFLOAD;
      case AUTO -> {
        long most = Math.min(plan.memoryBytes(), freeBefore);
        long others = weightBytes + otherBytes(needs.apply(CheckpointPolicy.PER_LAYER));
        yield CheckpointPlanner.plan(
            plan.config(),
            limits,
            new CheckpointPlanner.Budget(
                most == Long.MAX_VALUE ? most : most - others,
                backend.usesHostMemory() ? 0 : backend.offloadMemoryBytes() / 2),
            needs);
      }
    };
  }

  private static long batchBytes(MemoryNeed need) {
    return need.batchBytes() + TensorArena.sizeOf(DType.F32, 1);
  }

  /// All but weights, decoded or not, and activations.
  private long otherBytes(MemoryNeed need) {
    return need.parameterBytes()
        + need.tableBytes()
        + batchBytes(need)
        + AdamW.byteSize(need.flatParameterCount())
        + GradientNorm.byteSize(backend, need.flatParameterCount());
  }

  private static LoraConfig lora(int rank) {
    return LoraConfig.builder(new LoraConfig.Modules.AllLinear())
        .rank(rank)
        .alpha(2.0 * rank)
        .build();
  }

  private <T extends AutoCloseable> T own(T resource) {
    resources.push(resource);
    return resource;
  }

  private TensorArena arena(String name, long bytes) {
    return own(backend.arena(name, bytes));
  }

  /// Runs steps without timing them, then timed ones.
  Result run(int warmup, int steps) {
    for (int i = 0; i < warmup; i++) {
      step();
    }
    double[] seconds = new double[steps];
    for (int i = 0; i < steps; i++) {
      backend.synchronize();
      long start = System.nanoTime();
      step();
      backend.synchronize();
      seconds[i] = (System.nanoTime() - start) / 1e9;
    }
    float[] losses = backend.download(lastBatch.outputs().tokenLoss()).toFloats();
    double loss = 0;
    for (float value : losses) {
      loss += value / losses.length;
    }
    long free = backend.memoryBytes();
    return new Result(
        seconds,
        loss,
        plannedBytes,
        free == Long.MAX_VALUE ? -1 : freeBefore - free,
        model.activationPeakBytes(),
        hostBytes,
        checkpointing);
  }

  private void step() {
    model.parameters().zeroGradients();
    lastBatch = upload();
    model.forwardBackward(lastBatch, upstream);
    norm.measure();
    optimizer.step(1, norm.clip(MAX_NORM));
  }

  /// Random tokens, each row predicting the next; the batch before gives its place back.
  private DeviceBatch upload() {
    batchArena.release(TensorArena.sizeOf(DType.F32, 1));
    int[] ids = random.ints(plan.tokens(), 0, plan.config().vocabulary()).toArray();
    return model.upload(batchArena, BatchInput.ofLabels(ids, plan.documents(random), ids));
  }

  /// See [StepFlops]; a sequence counts as one document.
  static double flops(Plan plan) {
    int[] lengths = new int[plan.sequences()];
    Arrays.fill(lengths, plan.length());
    return StepFlops.of(plan.config(), false).pass(plan.tokens(), lengths);
  }

  /// What a JSON file should say.
  static Map<String, Object> json(Plan plan, Backend backend, Result result) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("device", backend.description());
    json.put("family", plan.config().family());
    json.put("layers", plan.config().layerCount());
    json.put("hidden", plan.config().hidden());
    json.put("sequences", plan.sequences());
    json.put("length", plan.length());
    json.put("document", plan.document());
    json.put("rank", plan.rank());
    json.put("checkpointing", result.checkpointing());
    json.put("median_step_seconds", result.median());
    json.put("tokens_per_second", plan.tokens() / result.median());
    json.put("flops_per_second", flops(plan) / result.median());
    json.put("loss", result.loss());
    json.put("planned_bytes", result.plannedBytes());
    json.put("taken_bytes", result.takenBytes());
    json.put("activation_bytes", result.activationBytes());
    json.put("host_bytes", result.hostBytes());
    json.put("step_seconds", Arrays.stream(result.seconds()).boxed().toList());
    return json;
  }

  @Override
  public void close() {
    backend.synchronize();
    for (AutoCloseable resource : resources) {
      try {
        resource.close();
      } catch (Exception e) {
        throw new IllegalStateException("a benchmark's memory cannot be freed", e);
      }
    }
  }
}
