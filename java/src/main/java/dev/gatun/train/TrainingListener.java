package dev.gatun.train;

/// Is told what happens during a run, in order and on the training thread: whatever it does delays
/// the next step. An exception it throws ends the run.
@FunctionalInterface
public interface TrainingListener {
  void on(TrainingEvent event);
}
