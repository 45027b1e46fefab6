package dev.gatun.train;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// Java Flight Recorder: an optimiser step, from its first micro-batch to the moment when the last
/// work was queued.
@Name("dev.gatun.Update")
@Label("Update")
@Category("Gatun")
@Description("One optimiser step")
@StackTrace(false)
final class UpdateEvent extends Event {
  @Label("Step")
  int step;

  @Label("Loss")
  double loss;

  @Label("Gradient Norm")
  double gradientNorm;

  @Label("Learning Rate")
  double learningRate;

  @Label("Tokens")
  long tokens;

  @Label("Trained Tokens")
  long targets;

  @Label("Micro-Batches")
  int microBatches;
}
