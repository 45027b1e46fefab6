package dev.gatun.optim;

import dev.gatun.op.OptimizerOps;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Updates all parameters of a model from their gradients. The state lies in an arena of its own,
/// laid out as the parameters' flat buffers, so that an update is one launch a range of a group.
public sealed interface Optimizer extends AutoCloseable
    permits AdamW, AdamW8bit, Lion, Adafactor, Sgd {
  /// Parameter groups with their base learning rates.
  List<ParameterGroup> groups();

  /// One update with every group's base rate multiplied by `factor`.
  ///
  /// @param clip what gradients are multiplied by first, see [GradientNorm#clip]; null for nothing
  void step(double factor, OptimizerOps.@Nullable Clip clip);

  /// Updates made so far.
  long stepCount();

  /// Host copies of the state by `KIND.PARAMETER`: `exp_avg.model.norm.weight`. Together with
  /// [#stepCount] that is all an optimiser remembers. Waits for the backend.
  Map<String, Tensor> downloadState();

  /// Continues from a state that [#downloadState] returned.
  ///
  /// @throws IllegalArgumentException if a tensor is missing or has another type or shape
  void restore(Map<String, Tensor> state, long stepCount);

  @Override
  void close();
}
