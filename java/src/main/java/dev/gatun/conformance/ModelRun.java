package dev.gatun.conformance;

import dev.gatun.io.Checkpoint;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.DeviceBatch;
import dev.gatun.nn.Limits;
import dev.gatun.nn.Options;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.GradientNorm;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Map;
import java.util.function.UnaryOperator;

/// A checkpoint loaded as a model for one case, with the memory it lives in.
final class ModelRun implements AutoCloseable {
  private final Backend backend;
  private final TensorArena weightArena;
  private final CausalLm model;

  private ModelRun(Backend backend, TensorArena weightArena, CausalLm model) {
    this.backend = backend;
    this.weightArena = weightArena;
    this.model = model;
  }

  /// What is measured on a batch.
  ///
  /// @param loss mean over the trained rows
  /// @param values gradients of that mean by parameter
  record Gradients(double loss, double norm, Map<String, Tensor> values) {}

  static ModelRun load(
      Engine engine, Checkpoint checkpoint, WeightFormat format, Training training, Limits limits) {
    return load(engine, checkpoint, format, training, limits, weights -> weights);
  }

  /// The same with some weights replaced after loading.
  static ModelRun load(
      Engine engine,
      Checkpoint checkpoint,
      WeightFormat format,
      Training training,
      Limits limits,
      UnaryOperator<ModelWeights> replacement) {
    Backend backend = engine.backend();
    TensorArena arena =
        backend.arena("weights", ModelLoader.plannedBytes(checkpoint, backend, format));
    try {
      ModelWeights weights =
          replacement.apply(ModelLoader.load(checkpoint, backend, arena, format));
      CausalLm model =
          CausalLm.create(backend, checkpoint.config(), weights, training, limits, Options.plain());
      return new ModelRun(backend, arena, model);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  CausalLm model() {
    return model;
  }

  CausalLm.Inspection inspect(BatchInput input) {
    try (TensorArena inputs = inputArena(input)) {
      return model.inspect(model.upload(inputs, input));
    }
  }

  /// Forward and backward with the mean loss over the trained rows.
  Gradients gradients(BatchInput input) {
    try (TensorArena inputs = inputArena(input);
        GradientNorm norm = new GradientNorm(backend, model.parameters())) {
      DeviceBatch batch = model.upload(inputs, input);
      int count = input.targetRows().length;
      Tensor upstream = inputs.allocate(DType.F32, Shape.of(1));
      backend.upload(upstream, Tensor.ofFloats(Shape.of(1), 1f / count));
      model.parameters().zeroGradients();
      model.forwardBackward(batch, upstream);
      norm.measure();
      return new Gradients(
          mean(backend.download(batch.outputs().tokenLoss()).toFloats()),
          norm.download(),
          model.parameters().downloadGradients());
    }
  }

  /// Mean loss of the trained rows by the evaluation pass.
  double loss(BatchInput input) {
    try (TensorArena inputs = inputArena(input)) {
      DeviceBatch batch = model.upload(inputs, input);
      model.evaluate(batch);
      return mean(backend.download(batch.outputs().tokenLoss()).toFloats());
    }
  }

  private static double mean(float[] losses) {
    double sum = 0;
    for (float loss : losses) {
      sum += loss;
    }
    return sum / losses.length;
  }

  /// Generous: a case's batch is tiny.
  private TensorArena inputArena(BatchInput input) {
    long vectors = 16L + input.sequenceLengths().length;
    return backend.arena("inputs", vectors * TensorArena.sizeOf(DType.F32, input.tokens() + 1L));
  }

  @Override
  public void close() {
    model.close();
    weightArena.close();
  }
}
