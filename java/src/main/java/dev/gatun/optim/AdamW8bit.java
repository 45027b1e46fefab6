package dev.gatun.optim;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// bitsandbytes' AdamW with 8-bit blockwise moments (Dettmers et al., 2021): about 2 bytes of state
/// a parameter instead of 8. Parameters below [#SMALLEST] elements, and embeddings, keep F32
/// moments.
public final class AdamW8bit implements Optimizer {
  /// bitsandbytes' `min_8bit_size`.
  public static final long SMALLEST = 4096;

  private static final List<MixedState.Codes> MOMENTS =
      List.of(MixedState.Codes.SIGNED, MixedState.Codes.UNSIGNED);

  private final Backend backend;
  private final Parameters parameters;
  private final List<ParameterGroup> groups;
  private final AdamW.Settings settings;
  private final MixedState state;
  private long steps;

  /// Moments start at zero.
  ///
  /// @param smallest elements from which on a parameter has 8-bit moments
  public AdamW8bit(
      Backend backend,
      Parameters parameters,
      List<ParameterGroup> groups,
      AdamW.Settings settings,
      long smallest,
      StatePlace place) {
    this.backend = backend;
    this.parameters = parameters;
    this.groups = List.copyOf(groups);
    this.settings = settings;
    this.state = new MixedState(backend, parameters, smallest, MOMENTS, place);
  }

  /// Bytes of state for parameters laid out in that order.
  public static long byteSize(List<Parameter> parameters, long smallest) {
    return new StateLayout(parameters, smallest).byteSize(MOMENTS.size());
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
      OptimizerOps.AdamW update =
          new OptimizerOps.AdamW(
              group.learningRate() * factor,
              settings.beta1(),
              settings.beta2(),
              settings.epsilon(),
              group.weightDecay(),
              steps);
      for (ParameterGroup.Range range : group.ranges()) {
        state.within(range).forEach(segment -> update(segment, clip, update));
      }
    }
  }

  private void update(
      StateLayout.Segment segment, OptimizerOps.@Nullable Clip clip, OptimizerOps.AdamW update) {
    OptimizerOps ops = backend.optimizer();
    ParameterGroup.Range range = MixedState.range(segment);
    Tensor masters = State.part(parameters.masters(), range);
    Tensor gradients = State.part(parameters.gradients(), range);
    Tensor compute = State.computePart(parameters, range);
    if (segment.eightBit()) {
      ops.adamW8bit(
          masters,
          gradients,
          state.blockwise(0, segment),
          state.blockwise(1, segment),
          compute,
          clip,
          update);
    } else {
      ops.adamW(
          masters,
          gradients,
          state.full(0, segment),
          state.full(1, segment),
          compute,
          clip,
          update);
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
