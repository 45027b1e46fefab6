package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.DataCollator;
import dev.gatun.data.EvaluationRows;
import dev.gatun.data.PackedBatch;
import dev.gatun.generate.Decoder;
import dev.gatun.generate.HeldOutQuestions;
import dev.gatun.io.ModelLoader;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.DeviceBatch;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.ModuleTree;
import dev.gatun.nn.Parameter;
import dev.gatun.nn.StepFlops;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.Fence;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.GradientNorm;
import dev.gatun.optim.Optimizer;
import dev.gatun.optim.Schedule;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// A model in training, one update or one evaluation at a time; [SftTrainer] adds files, events and
/// the loop. Not thread-safe.
public final class TrainingSession implements AutoCloseable {
  private final Backend backend;
  private final SftConfig config;
  private final TrainingInputs inputs;
  private final UpdateOrder order;
  private final Resources resources = new Resources();
  private final MemoryPlan memoryPlan;
  private final TensorArena outputs;
  private final BatchFeed feed;
  private final @Nullable KvCache cache;
  private final CausalLm model;
  private final Optimizer optimizer;
  private final Schedule schedule;
  private final GradientNorm gradientNorm;
  private final Tensor upstream;
  private final StepFlops stepFlops;
  private long microBatches;
  private long tokensSeen;

  private TrainingSession(TrainingInputs inputs, Backend backend, SftConfig config) {
    this.backend = backend;
    this.config = config;
    this.inputs = inputs;
    order = new UpdateOrder(inputs.rows().size(), config.loop());
    stepFlops =
        StepFlops.of(inputs.checkpoint().config(), inputs.training() instanceof Training.Full);
    schedule = TrainingRecipe.schedule(config.optimization(), order.updates());
    RunMemory memory = RunMemory.plan(inputs, backend, config);
    memoryPlan = memory.plan();
    memoryPlan.requireFit();
    try {
      ModelWeights weights =
          ModelLoader.load(
              inputs.checkpoint(),
              backend,
              arena("weights", memory.weightBytes()),
              inputs.format(),
              inputs.subtracted());
      model =
          CausalLm.create(
              backend,
              inputs.checkpoint().config(),
              weights,
              inputs.training(),
              inputs.limits(config),
              memory.options());
      resources.add(model::close);
      optimizer = TrainingRecipe.optimizer(backend, model.parameters(), config.optimization());
      resources.add(optimizer::close);
      gradientNorm = new GradientNorm(backend, model.parameters());
      resources.add(gradientNorm::close);
      feed =
          new BatchFeed(
              model, place("batch 0", memory.inputBytes()), place("batch 1", memory.inputBytes()));
      cache = cache(inputs.room().orElse(null));
      outputs = arena("outputs", memory.outputBytes());
      upstream = outputs.allocate(DType.F32, Shape.of(1));
    } catch (RuntimeException e) {
      resources.close();
      throw e;
    }
  }

  private TensorArena arena(String name, long bytes) {
    TensorArena arena = backend.arena(name, bytes);
    resources.add(arena::close);
    return arena;
  }

  private @Nullable KvCache cache(Decoder.@Nullable Room room) {
    if (room == null) {
      return null;
    }
    KvCache made = room.cache(backend, inputs.checkpoint().config());
    resources.add(made::close);
    return made;
  }

  private BatchFeed.Place place(String name, long bytes) {
    TensorArena arena = arena(name, bytes);
    Fence used = backend.fence();
    resources.add(used::close);
    return new BatchFeed.Place(arena, used);
  }

  /// Loads the model and reserves everything that training needs.
  ///
  /// @param inputs stay the caller's
  /// @throws InputException if the data or the adapter does not fit the model
  public static TrainingSession open(TrainingInputs inputs, Backend backend, SftConfig config) {
    return new TrainingSession(inputs, backend, config);
  }

  /// The memory such a session takes, without taking it.
  public static MemoryPlan plan(TrainingInputs inputs, Backend backend, SftConfig config) {
    return RunMemory.plan(inputs, backend, config).plan();
  }

  /// Which rows each update trains on.
  public UpdateOrder order() {
    return order;
  }

  /// The model; its parameters are those of the last finished update.
  public CausalLm model() {
    return model;
  }

  /// What it trains on, for people.
  String device() {
    return backend.description();
  }

  /// See [Backend#peakFlops].
  double peakFlops() {
    return backend.peakFlops();
  }

  /// What was reserved.
  public MemoryPlan memoryPlan() {
    return memoryPlan;
  }

  /// Parameters of the whole model without its embedding, which is a lookup.
  long decoderParameters() {
    return ModuleTree.parameters(model.config()).stream()
        .filter(spec -> spec.kind() != Parameter.Kind.EMBEDDING)
        .mapToLong(spec -> spec.shape().count())
        .sum();
  }

  /// What one update did.
  ///
  /// @param loss mean over the targets of all micro-batches
  /// @param gradientNorm before clipping
  /// @param learningRate what the update used
  /// @param meanTokenAccuracy mean over micro-batches
  /// @param entropy mean over micro-batches
  /// @param flops see [StepFlops]
  public record UpdateFigures(
      double loss,
      double gradientNorm,
      double learningRate,
      double meanTokenAccuracy,
      double entropy,
      int microBatches,
      long targets,
      long tokens,
      long tokensSeen,
      double flops) {}

  /// Host copies of everything that training has changed. Waits for the backend.
  RunCheckpoint.Tensors tensors() {
    return new RunCheckpoint.Tensors(model.parameters().download(), optimizer.downloadState());
  }

  /// Updates that the optimiser has counted.
  long optimizerSteps() {
    return optimizer.stepCount();
  }

  /// Forward passes of training so far.
  long microBatches() {
    return microBatches;
  }

  /// Tokens of all updates so far.
  long tokensSeen() {
    return tokensSeen;
  }

  /// Goes on from what [#tensors] and the counters were.
  ///
  /// @throws IllegalArgumentException if a tensor is missing or has another shape
  void restore(RunCheckpoint.Tensors tensors, RunState state) {
    for (Parameter parameter : model.parameters().all()) {
      Tensor value = tensors.parameters().get(parameter.name());
      if (value == null) {
        throw new IllegalArgumentException("parameter " + parameter.name() + " is missing");
      }
      model.parameters().upload(parameter.name(), value);
    }
    optimizer.restore(tensors.optimizer(), state.optimizerSteps());
    microBatches = state.microBatches();
    tokensSeen = state.tokensSeen();
  }

  /// Makes the update `step` of [#order], reading its batches here and now.
  public UpdateFigures update(int step) {
    List<PackedBatch> batches = new ArrayList<>();
    for (int[] rows : order.update(step).microBatches()) {
      batches.add(DataCollator.collate(inputs.rows(), rows));
    }
    return update(step, batches, () -> null);
  }

  /// Makes one optimiser step: the gradients of all micro-batches, normalised by the number of
  /// targets in all of them, then the clipped update. It waits once, when all gradients are under
  /// way.
  ///
  /// @param following the first micro-batch of the next update, uploaded meanwhile; or null
  /// @throws NonFiniteException before any parameter changes
  UpdateFigures update(
      int step, List<PackedBatch> batches, Supplier<@Nullable PackedBatch> following) {
    long targets = batches.stream().mapToLong(PackedBatch::targetCount).sum();
    if (targets == 0) {
      throw new InputException(
          "update %d has no token to train on; shuffle the data or raise the batch size"
              .formatted(step));
    }
    backend.upload(upstream, Tensor.ofFloats(Shape.of(1), 1f / targets));
    model.parameters().zeroGradients();
    long mark = outputs.mark();
    List<DeviceBatch> launched = forwardBackward(batches);
    gradientNorm.measure();
    PackedBatch next = following.get();
    if (next != null) {
      feed.uploadAhead(next);
    }
    List<BatchFigures> figures =
        launched.stream().map(batch -> TargetFigures.read(backend, batch).sum()).toList();
    outputs.release(mark);
    double norm = gradientNorm.download();
    double loss = figures.stream().mapToDouble(BatchFigures::lossSum).sum() / targets;
    if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
      throw nonFinite(step, batches, figures, loss, norm);
    }
    double factor = schedule.factor(step - 1);
    optimizer.step(factor, gradientNorm.clip(config.optimization().maxGradNorm()));
    long tokens = batches.stream().mapToLong(PackedBatch::tokens).sum();
    tokensSeen += tokens;
    return new UpdateFigures(
        loss,
        norm,
        config.optimization().learningRate() * factor,
        BatchFigures.mean(figures, BatchFigures::accuracy),
        BatchFigures.mean(figures, BatchFigures::meanEntropy),
        batches.size(),
        targets,
        tokens,
        tokensSeen,
        batches.stream()
            .mapToDouble(batch -> stepFlops.pass(batch.targetCount(), batch.sequenceLengths()))
            .sum());
  }

  /// Adds up the gradients of all micro-batches, each uploaded while the one before is at work.
  private List<DeviceBatch> forwardBackward(List<PackedBatch> batches) {
    List<DeviceBatch> launched = new ArrayList<>();
    for (int i = 0; i < batches.size(); i++) {
      DeviceBatch device = feed.take(batches.get(i)).withOutputs(outputs);
      model.seedDropout(config.loop().seed(), microBatches++);
      model.forwardBackward(device, upstream);
      feed.launched();
      launched.add(device);
      if (i + 1 < batches.size()) {
        feed.uploadAhead(batches.get(i + 1));
      }
    }
    return launched;
  }

  /// Names the first tensor that went wrong, in the first micro-batch whose loss did.
  private NonFiniteException nonFinite(
      int step, List<PackedBatch> batches, List<BatchFigures> figures, double loss, double norm) {
    int bad = 0;
    while (bad < figures.size() - 1 && Double.isFinite(figures.get(bad).lossSum())) {
      bad++;
    }
    long mark = outputs.mark();
    DeviceBatch device = feed.take(batches.get(bad)).withOutputs(outputs);
    String tensor =
        model.firstNonFinite(device).orElse("no tensor of an evaluation pass, so the loss itself");
    feed.launched();
    outputs.release(mark);
    int[] rows = order.update(step).microBatches().get(bad);
    return new NonFiniteException(
        "update %d: loss %s and gradient norm %s are not finite; the first tensor that is not is %s (micro-batch %d, from %s)"
            .formatted(step, loss, norm, tensor, bad + 1, inputs.rows().source(rows[0])));
  }

  /// Runs evaluation rows through the model, in order and without dropout, and has it answer their
  /// held-out questions.
  ///
  /// @param data one of the inputs' evaluation data
  public EvaluationResult evaluate(EvaluationRows data) {
    EvaluationPass pass = new EvaluationPass(backend, model, feed, outputs);
    SourceFigures sources = SourceFigures.of(data);
    EvaluationResult result =
        pass.run(data.rows(), config.evaluation().perDeviceEvalBatchSize(), sources)
            .withSources(sources.losses());
    HeldOutQuestions questions = inputs.questions().get(data.name());
    return questions == null || cache == null
        ? result
        : result.withAnswers(questions.ask(backend, model, cache));
  }

  @Override
  public void close() {
    resources.close();
  }
}
