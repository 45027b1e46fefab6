package dev.gatun.optim;

import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// PyTorch's SGD with momentum and L2 weight decay.
public final class Sgd implements Optimizer {
  private static final String MOMENTUM = "momentum_buffer";

  private final Backend backend;
  private final Parameters parameters;
  private final List<ParameterGroup> groups;
  private final double momentum;
  private final State state;
  private long steps;

  /// @param momentum 0 for none, which needs no state
  public Sgd(Backend backend, Parameters parameters, List<ParameterGroup> groups, double momentum) {
    this.backend = backend;
    this.parameters = parameters;
    this.groups = List.copyOf(groups);
    this.momentum = momentum;
    this.state =
        new State(
            backend, parameters, momentum == 0 ? List.of() : List.of(MOMENTUM), StatePlace.DEVICE);
  }

  /// Bytes of state for parameters that take `flatCount` elements, gaps included.
  public static long byteSize(long flatCount, double momentum) {
    return State.byteSize(flatCount, momentum == 0 ? 0 : 1);
  }

  @Override
  public List<ParameterGroup> groups() {
    return groups;
  }

  @Override
  public void step(double factor, OptimizerOps.@Nullable Clip clip) {
    boolean first = steps++ == 0;
    for (ParameterGroup group : groups) {
      OptimizerOps.Sgd update =
          new OptimizerOps.Sgd(group.learningRate() * factor, momentum, group.weightDecay(), first);
      for (ParameterGroup.Range range : group.ranges()) {
        backend
            .optimizer()
            .sgd(
                State.part(parameters.masters(), range),
                State.part(parameters.gradients(), range),
                momentum == 0 ? null : state.part(MOMENTUM, range),
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
