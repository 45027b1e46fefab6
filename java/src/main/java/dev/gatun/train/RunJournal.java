package dev.gatun.train;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.data.EvaluationRows;
import dev.gatun.data.PreparationReport;
import dev.gatun.io.AtomicFiles;
import dev.gatun.report.RunReport;
import dev.gatun.report.RunSummary;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.Finished;
import dev.gatun.train.TrainingEvent.Notice;
import dev.gatun.train.TrainingEvent.Saved;
import dev.gatun.train.TrainingEvent.Started;
import dev.gatun.train.TrainingEvent.StepFinished;
import dev.gatun.train.TrainingSession.UpdateFigures;
import dev.gatun.train.UpdateOrder.Update;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// Keeps count of a run: knows what is due, tells the listeners, writes the files.
final class RunJournal implements AutoCloseable {
  private final SftConfig config;
  private final TrainingSession session;
  private final TrainingInputs inputs;
  private final RunDirectory directory;
  private final ModelFiles model;
  private final BestModel best;
  private final ServingFiles serving;
  private final TrainerState state;
  private final List<TrainingListener> listeners;
  private final TrainingEvent.Schedule schedule;
  private final int evalSteps;
  private final int saveSteps;
  private final MetricsFile metrics;
  private final SamplesFile samples;
  private final TensorBoardLog tensorBoard;
  private final @Nullable RunIdentity identity;
  private long startedAt = System.nanoTime();
  private long updateStartedAt = startedAt;
  private long rowsSeen;
  private @Nullable Update last;
  private final Map<String, EvaluationResult> lastEvaluations = new HashMap<>();
  private int evaluatedAt = -1;
  private int savedAt = -1;
  private @Nullable RunSummary summary; // made when it is first written

  RunJournal(
      SftConfig config,
      TrainingSession session,
      TrainingInputs inputs,
      RunDirectory directory,
      ServingFiles serving,
      List<TrainingListener> listeners) {
    this.config = config;
    this.session = session;
    this.inputs = inputs;
    this.directory = directory;
    this.serving = serving;
    model = new ModelFiles(config, inputs.training(), session.model());
    UpdateOrder order = session.order();
    schedule = new TrainingEvent.Schedule(order.updates(), order.updatesPerEpoch(), order.epochs());
    best = new BestModel(config.evaluation().selection(), config.output().saveStrategy());
    state = new TrainerState(config, schedule, session.decoderParameters(), best);
    evalSteps = Steps.everyEvaluation(config.evaluation(), order.updates());
    saveSteps = Steps.every(config.output().saveSteps(), order.updates());
    this.listeners = new ArrayList<>(listeners);
    metrics = new MetricsFile(directory.file(RunCheckpoint.METRICS));
    this.listeners.add(metrics);
    samples = new SamplesFile(directory.file(RunCheckpoint.SAMPLES));
    this.listeners.add(samples);
    tensorBoard = TensorBoardLog.of(config);
    boolean resumable =
        config.output().saveStrategy() != Interval.NO && !config.output().saveOnlyModel();
    identity = resumable ? RunIdentity.of(config) : null;
  }

  /// Tells what was read and planned, and goes on where a checkpoint was written.
  void start(Resumption resumption) {
    resumption.notices().forEach(notice -> tell(new Notice(notice)));
    inputs.notices().forEach(notice -> tell(new Notice(notice)));
    inputs.rows().report().notices().forEach(notice -> tell(new Notice(notice)));
    SequencedMap<String, PreparationReport> evaluation = new LinkedHashMap<>();
    for (EvaluationRows each : inputs.evaluation()) {
      PreparationReport report = each.rows().report();
      evaluation.put(each.description(), report);
      report.notices().forEach(notice -> tell(new Notice(each.description() + ": " + notice)));
    }
    int longest = TrainingInputs.longest(inputs.rows());
    int positions = session.model().config().maxPositions();
    if (longest > positions) {
      tell(
          new Notice(
              "the longest sequence has %d tokens, the model is made for %d (max_position_embeddings)"
                  .formatted(longest, positions)));
    }
    tell(
        new Started(
            schedule,
            session.memoryPlan(),
            session.model().parameters().count(),
            inputs.rows().report(),
            evaluation));
    directory.shortage(bytesToWrite()).ifPresent(text -> tell(new Notice(text)));
    if (config.output().resumeFromCheckpoint() != null) {
      directory.adopt(resumption.step());
    }
    if (resumption.checkpoint() != null) {
      restore(resumption.checkpoint());
    } else {
      samples.restore("");
    }
    updateStartedAt = System.nanoTime();
  }

  private void restore(RunCheckpoint checkpoint) {
    checkpoint.restore(session);
    RunState saved = checkpoint.state();
    state.restore(checkpoint.trainerState(), saved.sums(), saved.tokensSeen());
    String lost = best.restore(checkpoint.trainerState(), checkpoint.directory());
    if (lost != null) {
      tell(new Notice(lost));
    }
    metrics.restore(checkpoint.metrics());
    samples.restore(checkpoint.samples());
    tensorBoard.restore(state.history().size(), saved.step());
    last = session.order().update(saved.step());
    rowsSeen = saved.rowsSeen();
    evaluatedAt = saved.evaluatedAt();
    savedAt = saved.step();
    startedAt = System.nanoTime() - (long) (saved.elapsedSeconds() * 1e9);
  }

  /// Counts an update.
  void updated(Update update, UpdateFigures figures) {
    long now = System.nanoTime();
    StepFinished event =
        new StepFinished(
            update.step(),
            schedule.updates(),
            update.epoch(),
            figures.loss(),
            figures.gradientNorm(),
            figures.learningRate(),
            figures.microBatches(),
            figures.targets(),
            figures.tokens(),
            figures.tokensSeen(),
            figures.meanTokenAccuracy(),
            figures.entropy(),
            Duration.ofNanos(now - startedAt),
            Duration.ofNanos(now - updateStartedAt),
            new TrainingEvent.Work(figures.flops(), session.peakFlops()));
    last = update;
    rowsSeen += update.microBatches().stream().mapToLong(rows -> rows.length).sum();
    state.on(event);
    tensorBoard.show(state.history());
    tell(event);
    updateStartedAt = System.nanoTime();
  }

  /// Evaluates the parameters as they are, on one dataset after another.
  void evaluate() {
    evaluatedAt = step();
    for (EvaluationRows data : inputs.evaluation()) {
      EvaluationResult result =
          PauseEvent.during("evaluation", step(), () -> session.evaluate(data));
      Evaluated event = new Evaluated(step(), last == null ? 0 : last.epoch(), data.name(), result);
      lastEvaluations.put(data.name(), result);
      state.on(event);
      tensorBoard.show(state.history());
      tell(event);
    }
    // What an evaluation at the start finds is no model of this run.
    if (last != null && Steps.isDelayOver(config.evaluation(), last)) {
      best.evaluated(step(), lastEvaluations);
    }
    updateStartedAt = System.nanoTime();
  }

  /// By `eval_strategy`; and the end of a complete run is evaluated if there is data for it.
  boolean evaluationIsDue() {
    if (last == null || evaluatedAt == step()) {
      return false;
    }
    SftConfig.Evaluation evaluation = config.evaluation();
    return (Steps.due(evaluation.evalStrategy(), evalSteps, last)
            && Steps.isDelayOver(evaluation, last))
        || (!inputs.evaluation().isEmpty() && isComplete());
  }

  /// Whether the evaluations so far end the run here.
  boolean isStoppedEarly() {
    return best.isPatienceOver();
  }

  /// The last update is saved by [#finish], and where evaluations are compared as a checkpoint,
  /// too, since it may be the best.
  boolean saveIsDue() {
    Interval strategy = config.output().saveStrategy();
    if (last == null || savedAt == step() || strategy == Interval.NO) {
      return false;
    }
    return isComplete() ? best.isTracked() : Steps.due(strategy, saveSteps, last);
  }

  void saveCheckpoint() {
    savedAt = step();
    best.saving(step(), directory.checkpoint(step()));
    tell(
        new Saved(
            step(),
            PauseEvent.during(
                "checkpoint",
                step(),
                () -> directory.checkpoint(step(), this::writeCheckpoint, best.checkpoint()))));
    report();
    updateStartedAt = System.nanoTime();
  }

  /// Saves the end of the run, and of one that was stopped what it needs to go on.
  TrainingResult finish() {
    boolean stopped = !isComplete() && !isStoppedEarly();
    if (identity != null && step() > 0 && stopped && savedAt != step()) {
      saveCheckpoint();
    }
    if (!isComplete() && isStoppedEarly()) {
      tell(new Notice(best.describePatience()));
    }
    Duration elapsed = Duration.ofNanos(System.nanoTime() - startedAt);
    state.finish(elapsed, rowsSeen);
    tensorBoard.show(state.history());
    writeAll(directory.path());
    if (config.evaluation().selection().loadBestModelAtEnd() && !stopped) {
      loadBest();
    }
    AtomicFiles.writeText(directory.file(RunCheckpoint.CONFIG), resolvedConfiguration());
    tell(new Saved(step(), directory.path()));
    report();
    tell(new Finished(step(), stopped, state.meanLoss(), elapsed, directory.path()));
    return new TrainingResult(
        step(),
        stopped,
        state.meanLoss(),
        evaluatedAt == step() ? lastEvaluations : Map.of(),
        directory.path());
  }

  /// Makes the best checkpoint the result.
  private void loadBest() {
    Path checkpoint = best.checkpoint();
    if (checkpoint == null) {
      tell(
          new Notice(
              "load_best_model_at_end: no checkpoint of an evaluated update is there, so the last update is the final model"));
      return;
    }
    try {
      if (!config.output().saveOnlyModel()) {
        RunCheckpoint.open(checkpoint);
      }
      model.copy(checkpoint, directory.path());
    } catch (InputException e) {
      throw new FailureException(
          "the best checkpoint cannot become the final model, which is that of the last update: "
              + e.getMessage(),
          e);
    }
    tell(
        new Notice(
            "the final model is that of %s; the best evaluation was %s"
                .formatted(checkpoint, best.describe())));
  }

  /// Saves the parameters of the update before one that failed, unless that one already spoilt
  /// them.
  ///
  /// @return what became of it, for the message
  String saveLastGood() {
    if (step() == 0) {
      return "nothing was trained yet";
    }
    String spoilt = model.firstNonFinite();
    if (spoilt != null) {
      return "parameter %s is not finite either, so only earlier checkpoints are good"
          .formatted(spoilt);
    }
    writeAll(directory.path());
    tell(new Saved(step(), directory.path()));
    return "the state after update %d is in %s".formatted(step(), directory.path());
  }

  /// What the weights at the end of the run and one checkpoint take, tokenizer and logs aside.
  private long bytesToWrite() {
    long weights = Float.BYTES * session.model().parameters().count();
    boolean saves = config.output().saveStrategy() != Interval.NO;
    long checkpoint = saves ? weights : 0;
    if (identity != null) {
      MemoryPlan plan = session.memoryPlan();
      checkpoint += weights + plan.bytesOf("optimizer") + plan.host().stateBytes();
    }
    return weights + checkpoint;
  }

  /// Writes the page about the run so far. What it shows is in other files too, so that nothing is
  /// lost if it cannot be made.
  private void report() {
    try {
      summary().write(directory.path());
      RunReport.write(directory.path());
    } catch (InputException | FailureException e) {
      tell(new Notice("%s is not written: %s".formatted(RunReport.FILE, e.getMessage())));
    }
  }

  private RunSummary summary() {
    if (summary == null) {
      summary = newSummary();
    }
    return summary;
  }

  private RunSummary newSummary() {
    return new RunSummary(
        session.device(),
        session.model().parameters().count(),
        schedule.updates(),
        session.memoryPlan().lines().stream()
            .map(line -> new RunSummary.Arena(line.arena(), line.holds(), line.bytes()))
            .toList(),
        RunSummary.Lengths.of(inputs.sequenceLengths()));
  }

  private void writeAll(Path target) {
    model.write(target);
    serving.write(target);
    AtomicFiles.writeText(target.resolve(RunCheckpoint.TRAINER_STATE), state.toJson());
  }

  private void writeCheckpoint(Path target) {
    writeAll(target);
    if (identity == null) {
      return;
    }
    session.tensors().write(target);
    AtomicFiles.writeText(target.resolve(RunCheckpoint.CONFIG), resolvedConfiguration());
    AtomicFiles.writeText(target.resolve(RunCheckpoint.METRICS), metrics.text());
    samples.copyTo(target.resolve(RunCheckpoint.SAMPLES));
    RunState run =
        new RunState(
            step(),
            session.optimizerSteps(),
            session.microBatches(),
            session.tokensSeen(),
            rowsSeen,
            evaluatedAt,
            (System.nanoTime() - startedAt) * 1e-9,
            state.sums(),
            identity,
            RunCheckpoint.digests(target));
    AtomicFiles.writeText(target.resolve(RunState.FILE), run.toJson());
  }

  /// Repeats the whole run, however often this one was interrupted.
  private String resolvedConfiguration() {
    return SftConfigWriter.toYaml(
        config.toBuilder().resumeFromCheckpoint(null).resumeForce(false).build());
  }

  private int step() {
    return last == null ? 0 : last.step();
  }

  private boolean isComplete() {
    return step() >= schedule.updates();
  }

  @Override
  public void close() {
    tensorBoard.close();
  }

  private void tell(TrainingEvent event) {
    listeners.forEach(listener -> listener.on(event));
  }
}
