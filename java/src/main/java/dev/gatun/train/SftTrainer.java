package dev.gatun.train;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.op.Backend;
import dev.gatun.train.BatchStream.Batches;
import java.util.List;

/// Supervised fine-tuning from a configuration: reads a checkpoint and data, trains, and leaves an
/// adapter (or, without `use_peft`, a checkpoint) with its logs in the output directory.
///
/// [#run] works on the calling thread and may be called once. [#stop] may be called from any
/// thread.
public final class SftTrainer {
  private final SftConfig config;
  private final Backend backend;
  private final List<TrainingListener> listeners;
  private volatile boolean stopping;

  /// @param backend stays the caller's
  public SftTrainer(SftConfig config, Backend backend, TrainingListener... listeners) {
    this.config = config;
    this.backend = backend;
    this.listeners = List.of(listeners);
  }

  /// Ends the run after the update that is under way; what was trained so far is saved.
  public void stop() {
    stopping = true;
  }

  /// Trains.
  ///
  /// @throws InputException if configuration, checkpoint, tokenizer or data are wrong
  /// @throws FailureException if the run does not fit, diverges, or cannot write; what was saved
  ///   before stays
  public TrainingResult run() {
    RunDirectory directory = RunDirectory.claim(config.output());
    try (Preparation preparation = Preparation.open(config)) {
      return run(preparation, Resumption.choose(preparation.config()), directory);
    }
  }

  private TrainingResult run(
      Preparation preparation, Resumption resumption, RunDirectory directory) {
    TrainingInputs inputs = preparation.inputs();
    try (TrainingSession session = TrainingSession.open(inputs, backend, preparation.config());
        BatchStream stream = new BatchStream(session.order(), inputs.rows(), resumption.step());
        RunJournal journal =
            new RunJournal(
                preparation.config(),
                session,
                inputs,
                directory,
                preparation.servingFiles(),
                listeners)) {
      journal.start(resumption);
      if (config.evaluation().evalOnStart() && resumption.step() == 0) {
        journal.evaluate();
      }
      for (Batches batches = stream.next();
          batches != null && !stopping && !journal.isStoppedEarly();
          batches = stream.next()) {
        journal.updated(batches.update(), update(session, batches, stream, journal));
        if (journal.evaluationIsDue()) {
          journal.evaluate();
        }
        if (journal.saveIsDue()) {
          journal.saveCheckpoint();
        }
      }
      if (journal.evaluationIsDue()) {
        journal.evaluate();
      }
      return journal.finish();
    }
  }

  private static TrainingSession.UpdateFigures update(
      TrainingSession session, Batches batches, BatchStream stream, RunJournal journal) {
    UpdateEvent event = new UpdateEvent();
    event.begin();
    try {
      TrainingSession.UpdateFigures figures =
          session.update(batches.update().step(), batches.microBatches(), stream::ready);
      if (event.shouldCommit()) {
        event.step = batches.update().step();
        event.loss = figures.loss();
        event.gradientNorm = figures.gradientNorm();
        event.learningRate = figures.learningRate();
        event.tokens = figures.tokens();
        event.targets = figures.targets();
        event.microBatches = figures.microBatches();
        event.commit();
      }
      return figures;
    } catch (NonFiniteException e) {
      throw new FailureException(
          "%s; lower learning_rate or look at those rows; %s"
              .formatted(e.getMessage(), journal.saveLastGood()),
          e);
    }
  }
}
