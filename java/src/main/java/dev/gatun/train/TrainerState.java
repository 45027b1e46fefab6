package dev.gatun.train;

import dev.gatun.io.JsonObject;
import dev.gatun.io.PythonJson;
import dev.gatun.train.TrainingEvent.Evaluated;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Collects what transformers writes into `trainer_state.json`: `log_history` with the means over
/// the updates since the last log, evaluations, and the summary at the end.
final class TrainerState {
  private final SftConfig config;
  private final TrainingEvent.Schedule schedule;
  private final long parameters;
  private final BestModel best;
  private final List<Map<String, @Nullable Object>> history = new ArrayList<>();
  private final Means means = new Means();
  private final int loggingSteps;
  private int step;
  private double epoch;
  private double lossSum;
  private long tokensSeen;

  /// @param parameters of the whole model, embeddings left out, for the estimate of operations
  /// @param best stays the caller's
  TrainerState(SftConfig config, TrainingEvent.Schedule schedule, long parameters, BestModel best) {
    this.config = config;
    this.schedule = schedule;
    this.parameters = parameters;
    this.best = best;
    loggingSteps = Steps.every(config.evaluation().loggingSteps(), schedule.updates());
  }

  /// What a run carries from update to update beside the history.
  ///
  /// @param lossSum over all updates
  /// @param loss sum since the last log, as the components after it
  record Sums(
      double lossSum, double loss, double accuracy, double entropy, int updates, int microBatches) {
    Map<String, Object> toMap() {
      Map<String, Object> map = new TreeMap<>();
      map.put("loss_sum", lossSum);
      map.put("loss", loss);
      map.put("accuracy", accuracy);
      map.put("entropy", entropy);
      map.put("updates", updates);
      map.put("micro_batches", microBatches);
      return map;
    }

    static Sums read(JsonObject json) {
      return new Sums(
          json.number("loss_sum"),
          json.number("loss"),
          json.number("accuracy"),
          json.number("entropy"),
          json.integer("updates", 0, Integer.MAX_VALUE),
          json.integer("micro_batches", 0, Integer.MAX_VALUE));
    }
  }

  Sums sums() {
    return new Sums(
        lossSum, means.loss, means.accuracy, means.entropy, means.updates, means.microBatches);
  }

  /// Goes on from a file that [#toJson] wrote.
  void restore(JsonObject saved, Sums sums, long tokens) {
    step = saved.integer("global_step", 0, Integer.MAX_VALUE);
    epoch = saved.number("epoch");
    history.clear();
    history.addAll(saved.objects("log_history").stream().map(JsonObject::toMap).toList());
    tokensSeen = tokens;
    lossSum = sums.lossSum();
    means.loss = sums.loss();
    means.accuracy = sums.accuracy();
    means.entropy = sums.entropy();
    means.updates = sums.updates();
    means.microBatches = sums.microBatches();
  }

  /// Sums since the last log.
  private static final class Means {
    private double loss;
    private double accuracy;
    private double entropy;
    private int updates;
    private int microBatches;
  }

  void on(StepFinished finished) {
    step = finished.step();
    epoch = finished.epoch();
    lossSum += finished.loss();
    tokensSeen = finished.tokensSeen();
    means.loss += finished.loss();
    means.accuracy += finished.meanTokenAccuracy() * finished.microBatches();
    means.entropy += finished.entropy() * finished.microBatches();
    means.updates++;
    means.microBatches += finished.microBatches();
    if (step % loggingSteps == 0 || (step == 1 && config.evaluation().loggingFirstStep())) {
      log(finished);
    }
  }

  private void log(StepFinished finished) {
    Map<String, @Nullable Object> entry = new TreeMap<>();
    entry.put("entropy", means.entropy / means.microBatches);
    entry.put("epoch", epoch);
    entry.put("grad_norm", finished.gradientNorm());
    entry.put("learning_rate", finished.learningRate());
    entry.put("loss", means.loss / means.updates);
    entry.put("mean_token_accuracy", means.accuracy / means.microBatches);
    entry.put("num_tokens", (double) tokensSeen);
    entry.put("step", step);
    history.add(entry);
    means.loss = 0;
    means.accuracy = 0;
    means.entropy = 0;
    means.updates = 0;
    means.microBatches = 0;
  }

  void on(Evaluated evaluated) {
    EvaluationResult result = evaluated.result();
    double seconds = seconds(result.duration());
    Map<String, @Nullable Object> entry = new TreeMap<>();
    entry.put("epoch", evaluated.epoch());
    entry.put(evaluated.figure("entropy"), result.entropy());
    entry.put(evaluated.figure("loss"), result.rowWeightedLoss());
    entry.put(evaluated.figure("mean_token_accuracy"), result.meanTokenAccuracy());
    entry.put(evaluated.figure("num_tokens"), (double) tokensSeen);
    entry.put(evaluated.figure("runtime"), seconds);
    entry.put(evaluated.figure("samples_per_second"), result.rows() / seconds);
    entry.put("step", evaluated.step());
    entry.put(evaluated.figure("token_loss"), result.loss());
    for (EvaluationResult.SourceLoss source : result.sources()) {
      entry.put(evaluated.figure("token_loss/" + source.name()), source.loss());
    }
    result.exactMatch().ifPresent(share -> entry.put(evaluated.figure("exact_match"), share));
    history.add(entry);
  }

  /// Adds the summary of a run that is over.
  void finish(Duration elapsed, long rowsSeen) {
    double seconds = seconds(elapsed);
    Map<String, @Nullable Object> entry = new TreeMap<>();
    entry.put("epoch", epoch);
    entry.put("step", step);
    entry.put("total_flos", operations());
    entry.put("train_loss", meanLoss());
    entry.put("train_runtime", seconds);
    entry.put("train_samples_per_second", rowsSeen / seconds);
    entry.put("train_steps_per_second", step / seconds);
    history.add(entry);
  }

  /// Entries of the log so far.
  List<Map<String, @Nullable Object>> history() {
    return Collections.unmodifiableList(history);
  }

  /// Mean of the losses of all updates.
  double meanLoss() {
    return step == 0 ? 0 : lossSum / step;
  }

  private double operations() {
    return 6.0 * tokensSeen * parameters;
  }

  private static double seconds(Duration duration) {
    return Math.max(1e-9, duration.toNanos() * 1e-9);
  }

  /// The file's content, in the layout and order of transformers.
  String toJson() {
    Map<String, @Nullable Object> state = new LinkedHashMap<>();
    best.addTo(state);
    state.put("epoch", epoch);
    state.put("eval_steps", Steps.everyEvaluation(config.evaluation(), schedule.updates()));
    state.put("global_step", step);
    state.put("is_hyper_param_search", false);
    state.put("is_local_process_zero", true);
    state.put("is_world_process_zero", true);
    state.put("log_history", history);
    state.put("logging_steps", loggingSteps);
    state.put("max_steps", schedule.updates());
    state.put("num_input_tokens_seen", 0);
    state.put("num_train_epochs", schedule.epochs());
    state.put("save_steps", Steps.every(config.output().saveSteps(), schedule.updates()));
    state.put("stateful_callbacks", callbacks());
    state.put("total_flos", operations());
    state.put("train_batch_size", config.loop().perDeviceTrainBatchSize());
    state.put("trial_name", null);
    state.put("trial_params", null);
    return PythonJson.format(state) + "\n";
  }

  private Map<String, Object> callbacks() {
    Map<String, Object> callbacks = new LinkedHashMap<>();
    best.addCallbackTo(callbacks);
    callbacks.put("TrainerControl", control());
    return callbacks;
  }

  private Map<String, Object> control() {
    Map<String, Object> flags = new LinkedHashMap<>();
    flags.put("should_epoch_stop", false);
    flags.put("should_evaluate", false);
    flags.put("should_log", false);
    flags.put("should_save", true);
    flags.put("should_training_stop", step >= schedule.updates() || best.isPatienceOver());
    Map<String, Object> control = new LinkedHashMap<>();
    control.put("args", flags);
    control.put("attributes", Map.of());
    return control;
  }
}
