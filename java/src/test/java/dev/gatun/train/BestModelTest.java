package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.io.JsonObject;
import dev.gatun.io.PythonJson;
import dev.gatun.train.SftConfig.Interval;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Replays what transformers' trainer decided on given evaluations.
class BestModelTest {
  @TempDir private Path directory;

  static List<BestModelCase> cases() {
    return BestModelCase.all();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void decidesAsTransformers(BestModelCase example) {
    SftConfig config = example.config(Path.of("model"), Path.of("data"), directory);
    BestModel best = newBest(config);
    List<Path> checkpoints = new ArrayList<>();
    for (JsonNode event : example.events().toList()) {
      int step = event.path("step").intValue();
      if (event.path("kind").stringValue().equals("save")) {
        save(best, step, checkpoints, config.output().saveTotalLimit());
        assertSame(best, checkpoints, event);
      } else if (step > 0) {
        assertThat(best.isPatienceOver()).as("before the evaluation after %d", step).isFalse();
        best.evaluated(step, Map.of("", result(event.path("value").doubleValue())));
      }
    }
    assertBest(best, example.end());
    assertThat(best.isPatienceOver()).isEqualTo(patienceIsOver(example));
    if (config.evaluation().selection().loadBestModelAtEnd()) {
      assertThat(name(best.checkpoint())).isEqualTo(example.loaded());
    }
  }

  /// The trainer notices at its last update, too, when it makes no difference.
  private static boolean patienceIsOver(BestModelCase example) {
    JsonNode last = example.events().toList().getLast().path("early_stopping_callback");
    return example.isStoppedEarly()
        || (last.isObject()
            && last.path("attributes").path("early_stopping_patience_counter").intValue()
                >= last.path("args").path("early_stopping_patience").intValue());
  }

  private void save(BestModel best, int step, List<Path> checkpoints, @Nullable Integer limit) {
    Path target = directory.resolve("checkpoint-" + step);
    best.saving(step, target);
    checkpoints.add(target);
    if (limit != null) {
      checkpoints.removeAll(RunDirectory.surplus(checkpoints, limit, best.checkpoint()));
    }
  }

  private void assertSame(BestModel best, List<Path> checkpoints, JsonNode event) {
    assertBest(best, event);
    JsonNode callback = json(best).path("stateful_callbacks").path("EarlyStoppingCallback");
    assertThat(plain(callback)).isEqualTo(plain(event.path("early_stopping_callback")));
    assertThat(checkpoints.stream().map(Resumption::step).toList())
        .isEqualTo(event.path("checkpoints").valueStream().map(JsonNode::intValue).toList());
  }

  private void assertBest(BestModel best, JsonNode expected) {
    JsonNode state = json(best);
    assertThat(state.path("best_global_step")).isEqualTo(expected.path("best_global_step"));
    assertThat(state.path("best_metric")).isEqualTo(expected.path("best_metric"));
    assertThat(state.path("best_model_checkpoint").stringValueOpt())
        .isEqualTo(
            expected
                .path("best_model_checkpoint")
                .stringValueOpt()
                .map(name -> directory.resolve(name).toString()));
  }

  private static JsonNode json(BestModel best) {
    return JsonMapper.shared().readTree(PythonJson.format(state(best)));
  }

  private static Map<String, @Nullable Object> state(BestModel best) {
    Map<String, @Nullable Object> state = new LinkedHashMap<>();
    best.addTo(state);
    Map<String, Object> callbacks = new LinkedHashMap<>();
    best.addCallbackTo(callbacks);
    state.put("stateful_callbacks", callbacks);
    return state;
  }

  /// As numbers of one type.
  private static @Nullable Object plain(JsonNode node) {
    if (node.isObject()) {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      node.propertyNames().forEach(name -> map.put(name, plain(node.path(name))));
      return map;
    }
    return node.isNumber() ? (Object) node.doubleValue() : null;
  }

  private static @Nullable String name(@Nullable Path path) {
    return path == null ? null : path.getFileName().toString();
  }

  /// A loss that is NaN makes the best so far infinite; a checkpoint of that moment must be
  /// readable.
  @Test
  void anEvaluationWithoutANumberIsGoneOnFrom() throws IOException {
    SftConfig config =
        BestModelCase.all().stream()
            .map(example -> example.config(Path.of("model"), Path.of("data"), directory))
            .filter(c -> c.evaluation().selection().loadBestModelAtEnd())
            .filter(c -> !c.evaluation().selection().isGreaterBetter())
            .findFirst()
            .orElseThrow();
    BestModel before = newBest(config);
    before.evaluated(1, Map.of("", result(Double.NaN)));
    Map<String, @Nullable Object> state = state(before);
    state.put("log_history", List.of(Map.of("eval_loss", Double.NaN)));
    Path file =
        Files.writeString(directory.resolve("trainer_state.json"), PythonJson.format(state));

    JsonObject saved = JsonObject.read(file);
    BestModel after = newBest(config);
    assertThat(after.restore(saved, directory)).isNull();
    after.evaluated(2, Map.of("", result(1.5)));

    assertThat(json(after).path("best_metric").doubleValue()).isEqualTo(1.5);
    assertThat(saved.objects("log_history").getFirst().toMap())
        .containsEntry("eval_loss", Double.NaN);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void goesOnAfterEverySaveAsIfNeverInterrupted(BestModelCase example) throws IOException {
    SftConfig config = example.config(Path.of("model"), Path.of("data"), directory);
    BestModel whole = newBest(config);
    BestModel interrupted = whole;
    for (JsonNode event : example.events().toList()) {
      int step = event.path("step").intValue();
      if (event.path("kind").stringValue().equals("save")) {
        Path target = Files.createDirectories(directory.resolve("checkpoint-" + step));
        whole.saving(step, target);
        interrupted.saving(step, target);
        Path file =
            Files.writeString(
                directory.resolve("trainer_state.json"), PythonJson.format(state(interrupted)));
        interrupted = newBest(config);
        assertThat(interrupted.restore(JsonObject.read(file), directory)).isNull();
      } else if (step > 0) {
        whole.evaluated(step, Map.of("", result(event.path("value").doubleValue())));
        interrupted.evaluated(step, Map.of("", result(event.path("value").doubleValue())));
      }
      assertThat(state(interrupted)).isEqualTo(state(whole));
      assertThat(interrupted.isPatienceOver()).isEqualTo(whole.isPatienceOver());
    }
  }

  @Test
  void aBestCheckpointThatIsGoneIsSaid() throws IOException {
    Path file =
        Files.writeString(
            directory.resolve("trainer_state.json"),
            """
            {"best_metric": 1.5, "best_global_step": 2, "best_model_checkpoint": "elsewhere/checkpoint-2"}
            """);
    BestModel best =
        new BestModel(new SftConfig.Selection(true, null, null, null, 0), Interval.STEPS);

    assertThat(best.restore(JsonObject.read(file), directory))
        .contains("elsewhere/checkpoint-2", "no longer there");
    assertThat(best.checkpoint()).isNull();
    assertThat(state(best)).containsEntry("best_metric", 1.5).containsEntry("best_global_step", 2);

    Path here = Files.createDirectories(directory.resolve("checkpoint-2"));
    assertThat(best.restore(JsonObject.read(file), directory)).isNull();
    assertThat(best.checkpoint()).isEqualTo(here);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"best_model_checkpoint\": \"/\"",
        "\"best_model_checkpoint\": \"\"",
        "\"best_model_checkpoint\": \"out/checkpoint-x\"",
        "\"best_model_checkpoint\": \"\\u0000/checkpoint-1\"",
        "\"best_model_checkpoint\": 4",
        "\"best_metric\": \"good\"",
        "\"best_global_step\": 0",
        "\"stateful_callbacks\": {\"EarlyStoppingCallback\": {\"attributes\": {}}}",
      })
  void whatCannotBeIsNamed(String key) throws IOException {
    Path file = Files.writeString(directory.resolve("trainer_state.json"), "{%s}".formatted(key));
    BestModel best =
        new BestModel(new SftConfig.Selection(true, null, null, null, 0), Interval.STEPS);

    assertThatThrownBy(() -> best.restore(JsonObject.read(file), directory))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("trainer_state.json")
        .message()
        .hasLineCount(1);
  }

  private static BestModel newBest(SftConfig config) {
    return new BestModel(config.evaluation().selection(), config.output().saveStrategy());
  }

  private static EvaluationResult result(double value) {
    return new EvaluationResult(
        value, value, value, value, 1, 1, Duration.ofSeconds(1), List.of(), List.of());
  }
}
