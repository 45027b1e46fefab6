package dev.gatun.cli;

import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftTrainer;
import dev.gatun.train.TrainingEvent;
import dev.gatun.train.TrainingListener;
import dev.gatun.train.TrainingResult;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/// One run of the trainer in front of a user: progress is shown, and Ctrl-C ends it after the
/// update under way, with the adapter saved.
final class TrainingRun {
  private TrainingRun() {}

  static TrainingResult run(SftConfig config, Backend backend, PrintWriter out, Terminal terminal) {
    try (TrainingProgress progress =
            new TrainingProgress(out, terminal, config.evaluation().loggingSteps());
        StopOnInterrupt stop = new StopOnInterrupt()) {
      SftTrainer trainer = new SftTrainer(config, backend, progress, stop);
      stop.trainer = trainer;
      return trainer.run();
    }
  }

  /// Handles interrupts from the start of training on. Before, nothing is at stake, and Ctrl-C
  /// simply ends the process.
  private static final class StopOnInterrupt implements TrainingListener, AutoCloseable {
    private @Nullable SftTrainer trainer;
    private @Nullable Interrupts interrupts;

    @Override
    public void on(TrainingEvent event) {
      if (event instanceof TrainingEvent.Started && trainer != null) {
        interrupts = Interrupts.handle(trainer::stop);
      }
    }

    @Override
    public void close() {
      if (interrupts != null) {
        interrupts.close();
      }
    }
  }
}
