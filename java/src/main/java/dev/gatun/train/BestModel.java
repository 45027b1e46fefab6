package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.io.JsonObject;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Metric;
import dev.gatun.train.SftConfig.Selection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Which evaluation of a run was the best, which checkpoint holds its model, and whether it is
/// worth going on: the rules of transformers' trainer and of its `EarlyStoppingCallback`.
final class BestModel {
  private static final String CALLBACK = "EarlyStoppingCallback";
  private static final String COUNTER = "early_stopping_patience_counter";

  private final Selection selection;
  private final @Nullable Metric metric;
  private final boolean savesCheckpoints;
  private @Nullable Double value;
  private @Nullable Integer step;
  private @Nullable Path checkpoint;
  private int withoutProgress;

  /// @param saveStrategy without checkpoints no update is recorded as the best
  BestModel(Selection selection, Interval saveStrategy) {
    this.selection = selection;
    savesCheckpoints = saveStrategy != Interval.NO;
    metric = selection.metric();
  }

  /// Whether evaluations are compared at all.
  boolean isTracked() {
    return metric != null;
  }

  /// Compares an evaluation with the best before it.
  ///
  /// @param at updates done
  void evaluated(int at, EvaluationResult result) {
    if (metric == null) {
      return;
    }
    double now = metric.of(result);
    // Patience asks for more than the threshold, but what is only a little better is the best, too.
    boolean progress =
        value == null
            || (isBetter(now, value) && Math.abs(now - value) > selection.earlyStoppingThreshold());
    withoutProgress = progress ? 0 : withoutProgress + 1;
    if (value == null) {
      value = selection.isGreaterBetter() ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
    }
    if (isBetter(now, value)) {
      value = now;
      step = savesCheckpoints ? (Integer) at : null;
    }
  }

  private boolean isBetter(double now, double before) {
    return selection.isGreaterBetter() ? now > before : now < before;
  }

  /// Whether the last evaluations were in vain, as many as there is patience for.
  boolean isPatienceOver() {
    Integer patience = selection.earlyStoppingPatience();
    return patience != null && withoutProgress >= patience;
  }

  /// A checkpoint of the parameters after update `at` is about to be written.
  void saving(int at, Path target) {
    if (step != null && step == at) {
      checkpoint = target;
    }
  }

  /// The checkpoint of the best evaluation that has one; null for none.
  @Nullable Path checkpoint() {
    return checkpoint;
  }

  /// The best evaluation, for people: `eval_loss 0.1234 at step 4`.
  String describe() {
    return String.format(Locale.ROOT, "%s %.4f at step %s", metricName(), value, step);
  }

  /// Why a run ends before its last update.
  String describePatience() {
    return "early stopping: %s did not improve%s in %d evaluation%s"
        .formatted(
            metricName(),
            selection.earlyStoppingThreshold() > 0
                ? " by more than " + selection.earlyStoppingThreshold()
                : "",
            withoutProgress,
            withoutProgress == 1 ? "" : "s");
  }

  private String metricName() {
    return metric == null ? "" : metric.figure();
  }

  /// Adds its keys of `trainer_state.json`.
  void addTo(Map<String, @Nullable Object> state) {
    state.put("best_global_step", step);
    state.put("best_metric", value);
    state.put("best_model_checkpoint", checkpoint == null ? null : checkpoint.toString());
  }

  /// Adds its entry under `stateful_callbacks`.
  void addCallbackTo(Map<String, Object> callbacks) {
    Integer patience = selection.earlyStoppingPatience();
    if (patience != null) {
      Map<String, Object> arguments = new LinkedHashMap<>();
      arguments.put("early_stopping_patience", patience);
      arguments.put("early_stopping_threshold", selection.earlyStoppingThreshold());
      Map<String, Object> callback = new LinkedHashMap<>();
      callback.put("args", arguments);
      callback.put("attributes", Map.of(COUNTER, withoutProgress));
      callbacks.put(CALLBACK, callback);
    }
  }

  /// Goes on from a file with what [#addTo] and [#addCallbackTo] added.
  ///
  /// @param output where the checkpoint lies from which the run goes on; the best one is looked for
  ///   there first, since the directory may have been moved
  /// @return what the user should know, or null
  /// @throws InputException naming the file and the key that is malformed
  @Nullable String restore(JsonObject saved, Path output) {
    value = saved.optionalFloat("best_metric");
    step = saved.optionalInteger("best_global_step", 1, Integer.MAX_VALUE);
    JsonObject callbacks = saved.object("stateful_callbacks");
    JsonObject callback = callbacks == null ? null : callbacks.object(CALLBACK);
    JsonObject attributes = callback == null ? null : callback.object("attributes");
    withoutProgress = attributes == null ? 0 : attributes.integer(COUNTER, 0, Integer.MAX_VALUE);
    String recorded = saved.optionalString("best_model_checkpoint");
    if (recorded == null) {
      return null;
    }
    Path before = Resumption.checkpoint(recorded);
    if (before == null) {
      throw saved.bad("best_model_checkpoint", "is not the path of a checkpoint-N");
    }
    Path here = output.resolve(before.getFileName());
    checkpoint = Files.isDirectory(here) ? here : Files.isDirectory(before) ? before : null;
    return checkpoint == null
        ? "the best checkpoint so far, %s, is no longer there and cannot become the final model"
            .formatted(recorded)
        : null;
  }
}
