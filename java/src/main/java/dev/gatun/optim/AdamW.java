package dev.gatun.optim;

import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// PyTorch's AdamW with F32 moments (Loshchilov and Hutter, 2019).
public final class AdamW implements Optimizer {
  private static final String FIRST = "exp_avg";
  private static final String SECOND = "exp_avg_sq";

  private final Backend backend;
  private final Parameters parameters;
  private final List<ParameterGroup> groups;
  private final Settings settings;
  private final State state;
  private long steps;

  /// Moments start at zero, in the backend's memory.
  public AdamW(
      Backend backend, Parameters parameters, List<ParameterGroup> groups, Settings settings) {
    this(backend, parameters, groups, settings, StatePlace.DEVICE);
  }

  /// Moments start at zero.
  public AdamW(
      Backend backend,
      Parameters parameters,
      List<ParameterGroup> groups,
      Settings settings,
      StatePlace place) {
    this.backend = backend;
    this.parameters = parameters;
    this.groups = List.copyOf(groups);
    this.settings = settings;
    this.state = new State(backend, parameters, List.of(FIRST, SECOND), place);
  }

  /// PyTorch's names: `betas` and `eps`.
  public record Settings(double beta1, double beta2, double epsilon) {
    /// 0.9, 0.999, 1e-8.
    public static Settings defaults() {
      return new Settings(0.9, 0.999, 1e-8);
    }
  }

  /// Bytes of state for parameters that take `flatCount` elements, gaps included.
  public static long byteSize(long flatCount) {
    return State.byteSize(flatCount, 2);
  }

  @Override
  public List<ParameterGroup> groups() {
    return groups;
  }

  @Override
  public void step(double factor, OptimizerOps.@Nullable Clip clip) {
    steps++;
    for (ParameterGroup group : groups) {
      OptimizerOps.AdamW update =
          new OptimizerOps.AdamW(
              group.learningRate() * factor,
              settings.beta1(),
              settings.beta2(),
              settings.epsilon(),
              group.weightDecay(),
              steps);
      for (ParameterGroup.Range range : group.ranges()) {
        backend
            .optimizer()
            .adamW(
                State.part(parameters.masters(), range),
                State.part(parameters.gradients(), range),
                state.part(FIRST, range),
                state.part(SECOND, range),
                state.computePart(range),
                clip,
                update);
      }
    }
  }

  @Override
  public long stepCount() {
    return steps;
  }

  @Override
  public Map<String, Tensor> downloadState() {
    return state.download();
  }

  @Override
  public void restore(Map<String, Tensor> values, long stepCount) {
    state.restore(values);
    steps = stepCount;
  }

  @Override
  public void close() {
    state.close();
  }
}
