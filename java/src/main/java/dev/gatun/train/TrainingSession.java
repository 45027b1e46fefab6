package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.DataCollator;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SampleOrder;
import dev.gatun.io.ModelLoader;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.DeviceBatch;
import dev.gatun.nn.ModuleTree;
import dev.gatun.nn.Parameter;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.GradientNorm;
import dev.gatun.optim.Optimizer;
import dev.gatun.optim.Schedule;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/// A model in training, one update or one evaluation at a time; [SftTrainer] adds files, events and
/// the loop. Not thread-safe.
public final class TrainingSession implements AutoCloseable {
  private final Backend backend;
  private final SftConfig config;
  private final TrainingInputs inputs;
  private final UpdateOrder order;
  private final Resources resources = new Resources();
  private final MemoryPlan memoryPlan;
  private final TensorArena batchArena;
  private final CausalLm model;
  private final Optimizer optimizer;
  private final Schedule schedule;
  private final GradientNorm gradientNorm;
  private final Tensor upstream;
  private long microBatches;
  private long tokensSeen;

  private TrainingSession(TrainingInputs inputs, Backend backend, SftConfig config) {
    this.backend = backend;
    this.config = config;
    this.inputs = inputs;
    order = new UpdateOrder(inputs.rows().size(), config.loop());
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
              inputs.format());
      model =
          CausalLm.create(
              backend,
              inputs.checkpoint().config(),
              weights,
              inputs.training(),
              inputs.limits(config),
              TrainingRecipe.options(config.loop()));
      resources.add(model::close);
      optimizer = TrainingRecipe.optimizer(backend, model.parameters(), config.optimization());
      resources.add(optimizer::close);
      gradientNorm = new GradientNorm(backend, model.parameters());
      resources.add(gradientNorm::close);
      batchArena = arena("batch", memory.batchBytes());
      upstream = batchArena.allocate(DType.F32, Shape.of(1));
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
  public record UpdateFigures(
      double loss,
      double gradientNorm,
      double learningRate,
      double meanTokenAccuracy,
      double entropy,
      int microBatches,
      long targets,
      long tokens,
      long tokensSeen) {}

  /// Makes the update `step` of [#order], reading its batches here and now.
  public UpdateFigures update(int step) {
    List<PackedBatch> batches = new ArrayList<>();
    for (int[] rows : order.update(step).microBatches()) {
      batches.add(DataCollator.collate(inputs.rows(), rows));
    }
    return update(step, batches);
  }

  /// Makes one optimiser step: the gradients of all micro-batches, normalised by the number of
  /// targets in all of them, then the clipped update.
  ///
  /// @throws NonFiniteException before any parameter changes
  UpdateFigures update(int step, List<PackedBatch> batches) {
    long targets = batches.stream().mapToLong(PackedBatch::targetCount).sum();
    if (targets == 0) {
      throw new InputException(
          "update %d has no token to train on; shuffle the data or raise the batch size"
              .formatted(step));
    }
    backend.upload(upstream, Tensor.ofFloats(Shape.of(1), 1f / targets));
    model.parameters().zeroGradients();
    List<BatchFigures> figures = new ArrayList<>();
    long tokens = 0;
    for (PackedBatch batch : batches) {
      figures.add(forwardBackward(batch));
      tokens += batch.tokens();
    }
    gradientNorm.measure();
    double norm = gradientNorm.download();
    double loss = figures.stream().mapToDouble(BatchFigures::lossSum).sum() / targets;
    if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
      throw nonFinite(step, batches, figures, loss, norm);
    }
    double factor = schedule.factor(step - 1);
    optimizer.step(factor, gradientNorm.clip(config.optimization().maxGradNorm()));
    tokensSeen += tokens;
    return new UpdateFigures(
        loss,
        norm,
        config.optimization().learningRate() * factor,
        mean(figures, BatchFigures::accuracy),
        mean(figures, BatchFigures::meanEntropy),
        batches.size(),
        targets,
        tokens,
        tokensSeen);
  }

  private BatchFigures forwardBackward(PackedBatch batch) {
    model.seedDropout(config.loop().seed(), microBatches++);
    long mark = batchArena.mark();
    DeviceBatch device = model.upload(batchArena, input(batch));
    model.forwardBackward(device, upstream);
    BatchFigures figures = BatchFigures.read(backend, device);
    batchArena.release(mark);
    return figures;
  }

  /// Names the first tensor that went wrong, in the first micro-batch whose loss did.
  private NonFiniteException nonFinite(
      int step, List<PackedBatch> batches, List<BatchFigures> figures, double loss, double norm) {
    int bad = 0;
    while (bad < figures.size() - 1 && Double.isFinite(figures.get(bad).lossSum())) {
      bad++;
    }
    long mark = batchArena.mark();
    DeviceBatch device = model.upload(batchArena, input(batches.get(bad)));
    String tensor =
        model.firstNonFinite(device).orElse("no tensor of an evaluation pass, so the loss itself");
    batchArena.release(mark);
    int[] rows = order.update(step).microBatches().get(bad);
    return new NonFiniteException(
        "update %d: loss %s and gradient norm %s are not finite; the first tensor that is not is %s (micro-batch %d, from %s)"
            .formatted(step, loss, norm, tensor, bad + 1, inputs.rows().source(rows[0])));
  }

  /// Runs the evaluation rows through the model, in order and without dropout.
  ///
  /// @throws IllegalStateException if there are none
  public EvaluationResult evaluate() {
    PreparedDataset rows = inputs.evaluation();
    if (rows == null) {
      throw new IllegalStateException("no evaluation data");
    }
    long start = System.nanoTime();
    List<BatchFigures> figures = new ArrayList<>();
    double weighted = 0;
    int batchSize = config.evaluation().perDeviceEvalBatchSize();
    for (int[] numbers :
        SampleOrder.microBatches(SampleOrder.sequential(rows.size()), batchSize, false)) {
      long mark = batchArena.mark();
      DeviceBatch device = model.upload(batchArena, input(DataCollator.collate(rows, numbers)));
      model.evaluate(device);
      BatchFigures batch = BatchFigures.read(backend, device);
      batchArena.release(mark);
      figures.add(batch);
      weighted += batch.meanLoss() * numbers.length;
    }
    long targets = figures.stream().mapToLong(BatchFigures::targets).sum();
    return new EvaluationResult(
        figures.stream().mapToDouble(BatchFigures::lossSum).sum() / Math.max(1, targets),
        weighted / rows.size(),
        mean(figures, BatchFigures::accuracy),
        mean(figures, BatchFigures::meanEntropy),
        targets,
        rows.size(),
        Duration.ofNanos(System.nanoTime() - start));
  }

  private static BatchInput input(PackedBatch batch) {
    PackedBatch.Targets targets = batch.targets();
    return new BatchInput(
        batch.inputIds(),
        batch.positionIds(),
        batch.sequenceLengths(),
        targets.rows(),
        targets.labels());
  }

  private static double mean(List<BatchFigures> figures, ToDoubleFunction<BatchFigures> figure) {
    return figures.stream().mapToDouble(figure).average().orElse(0);
  }

  @Override
  public void close() {
    resources.close();
  }
}
