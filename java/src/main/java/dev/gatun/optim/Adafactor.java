package dev.gatun.optim;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps;
import dev.gatun.op.OptimizerOps.SecondMoment;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Adafactor (Shazeer and Stern, 2018) as transformers' trainer sets it up: a given learning rate,
/// no momentum, no scaling by parameter. The state of a matrix is a number a row and a column.
public final class Adafactor implements Optimizer {
  private static final double DECAY_POWER = -0.8;
  private static final double EPSILON = 1e-30;
  private static final double THRESHOLD = 1;
  private static final String ROWS = "exp_avg_sq_row.";
  private static final String COLUMNS = "exp_avg_sq_col.";
  private static final String WHOLE = "exp_avg_sq.";

  private final Backend backend;
  private final Parameters parameters;
  private final List<ParameterGroup> groups;
  private final TensorArena arena;
  private final Map<String, Tensor> state = new LinkedHashMap<>();
  private long steps;

  /// Averages start at zero.
  public Adafactor(Backend backend, Parameters parameters, List<ParameterGroup> groups) {
    this.backend = backend;
    this.parameters = parameters;
    this.groups = List.copyOf(groups);
    List<Parameter> all = parameters.all();
    arena = backend.arena("optimizer", byteSize(backend, all));
    for (Parameter parameter : all) {
      shapes(parameter)
          .forEach((name, shape) -> {
            Tensor tensor = arena.allocate(DType.F32, shape);
            backend.tensor().zero(tensor);
            state.put(name, tensor);
          });
    }
  }

  /// Bytes of state and scratch for these parameters.
  public static long byteSize(Backend backend, List<Parameter> parameters) {
    long state =
        parameters.stream()
            .flatMap(parameter -> shapes(parameter).values().stream())
            .mapToLong(shape -> TensorArena.sizeOf(DType.F32, shape.count()))
            .sum();
    long scratch =
        parameters.stream()
            .mapToLong(parameter -> scratchBytes(backend.optimizer(), parameter))
            .max()
            .orElse(0);
    return state + scratch;
  }

  private static long scratchBytes(OptimizerOps ops, Parameter parameter) {
    long count = parameter.shape().count();
    long rows = isMatrix(parameter) ? parameter.shape().dim(0) : 1;
    return ops.adafactorScratchBytes(rows, count / Math.max(1, rows));
  }

  private static Map<String, Shape> shapes(Parameter parameter) {
    Shape shape = parameter.shape();
    Map<String, Shape> shapes = new LinkedHashMap<>();
    if (isMatrix(parameter)) {
      shapes.put(ROWS + parameter.name(), Shape.of(shape.dim(0)));
      shapes.put(COLUMNS + parameter.name(), Shape.of(shape.dim(1)));
    } else {
      shapes.put(WHOLE + parameter.name(), Shape.of(shape.count()));
    }
    return shapes;
  }

  private static boolean isMatrix(Parameter parameter) {
    return parameter.shape().rank() == 2;
  }

  @Override
  public List<ParameterGroup> groups() {
    return groups;
  }

  @Override
  public void step(double factor, OptimizerOps.@Nullable Clip clip) {
    steps++;
    double decay = 1 - Math.pow((double) steps, DECAY_POWER);
    for (ParameterGroup group : groups) {
      OptimizerOps.Adafactor update =
          new OptimizerOps.Adafactor(
              group.learningRate() * factor, decay, EPSILON, THRESHOLD, group.weightDecay());
      for (Parameter parameter : parameters.all()) {
        if (group.contains(parameter)) {
          update(parameter, clip, update);
        }
      }
    }
  }

  private void update(
      Parameter parameter, OptimizerOps.@Nullable Clip clip, OptimizerOps.Adafactor update) {
    Tensor gradient = parameter.gradient();
    if (gradient == null) {
      throw new IllegalStateException(parameter.name() + " is frozen");
    }
    backend
        .optimizer()
        .adafactor(
            parameter.master(),
            gradient,
            moment(parameter),
            parameters.hasComputeCopies() ? parameter.compute() : null,
            clip,
            update,
            arena);
  }

  private SecondMoment moment(Parameter parameter) {
    return isMatrix(parameter)
        ? new SecondMoment.Factored(
            named(ROWS + parameter.name()), named(COLUMNS + parameter.name()))
        : new SecondMoment.Whole(named(WHOLE + parameter.name()));
  }

  private Tensor named(String name) {
    Tensor tensor = state.get(name);
    if (tensor == null) {
      throw new IllegalStateException("no state " + name);
    }
    return tensor;
  }

  @Override
  public long stepCount() {
    return steps;
  }

  @Override
  public Map<String, Tensor> downloadState() {
    Map<String, Tensor> values = new LinkedHashMap<>();
    state.forEach((name, tensor) -> values.put(name, backend.download(tensor)));
    return values;
  }

  @Override
  public void restore(Map<String, Tensor> values, long stepCount) {
    state.forEach(
        (name, target) -> backend.upload(target, StoredState.require(values, name, target)));
    steps = stepCount;
  }

  @Override
  public void close() {
    arena.close();
  }
}
