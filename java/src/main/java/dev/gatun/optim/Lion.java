package dev.gatun.optim;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// bitsandbytes' Lion (Chen et al., 2023) with an F32 or an 8-bit blockwise moment. Parameters
/// below a size, and embeddings, keep F32 in any case.
public final class Lion implements Optimizer {
  private static final List<MixedState.Codes> MOMENTS = List.of(MixedState.Codes.SIGNED);

  private final Backend backend;
  private final Parameters parameters;
  private final List<ParameterGroup> groups;
  private final Settings settings;
  private final MixedState state;
  private long steps;

  /// The moment starts at zero.
  public Lion(
      Backend backend,
      Parameters parameters,
      List<ParameterGroup> groups,
      Settings settings,
      StatePlace place) {
    this.backend = backend;
    this.parameters = parameters;
    this.groups = List.copyOf(groups);
    this.settings = settings;
    this.state = new MixedState(backend, parameters, settings.smallest(), MOMENTS, place);
  }

  /// @param smallest elements from which on a parameter has an 8-bit moment
  public record Settings(double beta1, double beta2, long smallest) {
    /// F32 moments throughout.
    public static Settings in32bit(double beta1, double beta2) {
      return new Settings(beta1, beta2, Long.MAX_VALUE);
    }

    /// 8-bit moments from [AdamW8bit#SMALLEST] elements on.
    public static Settings in8bit(double beta1, double beta2) {
      return new Settings(beta1, beta2, AdamW8bit.SMALLEST);
    }
  }

  /// Bytes of state for parameters laid out in that order.
  public static long byteSize(List<Parameter> parameters, Settings settings) {
    return new StateLayout(parameters, settings.smallest()).byteSize(MOMENTS.size());
  }

  /// Bytes that stay in the backend's memory wherever the state lies.
  public static long tableBytes() {
    return StateLayout.tableBytes(MOMENTS.size());
  }

  @Override
  public List<ParameterGroup> groups() {
    return groups;
  }

  @Override
  public void step(double factor, OptimizerOps.@Nullable Clip clip) {
    steps++;
    for (ParameterGroup group : groups) {
      OptimizerOps.Lion update =
          new OptimizerOps.Lion(
              group.learningRate() * factor,
              settings.beta1(),
              settings.beta2(),
              group.weightDecay());
      for (ParameterGroup.Range range : group.ranges()) {
        state.within(range).forEach(segment -> update(segment, clip, update));
      }
    }
  }

  private void update(
      StateLayout.Segment segment, OptimizerOps.@Nullable Clip clip, OptimizerOps.Lion update) {
    OptimizerOps ops = backend.optimizer();
    ParameterGroup.Range range = MixedState.range(segment);
    Tensor masters = State.part(parameters.masters(), range);
    Tensor gradients = State.part(parameters.gradients(), range);
    Tensor compute = State.computePart(parameters, range);
    if (segment.eightBit()) {
      ops.lion8bit(masters, gradients, state.blockwise(0, segment), compute, clip, update);
    } else {
      ops.lion(masters, gradients, state.full(0, segment), compute, clip, update);
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
