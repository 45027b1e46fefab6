package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.train.SftConfig.Metric;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Which settings of evaluation, saving and the choice of the best go together.
class SelectionRulesTest {
  private static SftConfig config(String settings) {
    String required =
        """
        model_name_or_path: model
        dataset_path: train.jsonl
        eval_dataset_path: eval.jsonl
        output_dir: out
        """;
    return SftConfigReader.parse("c.yaml", required + settings.replace(", ", "\n"), List.of())
        .config();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          load_best_model_at_end: true | eval_strategy is no
          load_best_model_at_end: true, save_strategy: no | eval_strategy is no
          load_best_model_at_end: true, eval_strategy: epoch | eval_strategy is epoch and save_strategy is steps
          load_best_model_at_end: true, eval_strategy: steps, save_strategy: epoch | eval_strategy is steps and save_strategy is epoch
          load_best_model_at_end: true, eval_strategy: steps, eval_steps: 200 | save_steps (500) to be a multiple of eval_steps (200)
          load_best_model_at_end: true, eval_strategy: steps, logging_steps: 7 | save_steps (500) to be a multiple of eval_steps (7)
          load_best_model_at_end: true, eval_strategy: steps, eval_steps: 0.1 | save_steps (500) to be a multiple of eval_steps (0.1)
          load_best_model_at_end: true, eval_strategy: steps, eval_steps: 0.2, save_steps: 0.3 | save_steps (0.3) to be a multiple of eval_steps (0.2)
          early_stopping_patience: 2, eval_strategy: steps | set metric_for_best_model
          early_stopping_patience: 2, metric_for_best_model: loss | eval_strategy is no
          early_stopping_threshold: 0.1 | early_stopping_patience, which is not set
          early_stopping_patience: 0 | an integer of at least 1
          early_stopping_threshold: -1 | a number of at least 0
          eval_delay: -1 | a number of at least 0
          metric_for_best_model: eval_bleu | one of loss, token_loss, mean_token_accuracy, entropy, exact_match
          metric_for_best_model: eval_exact_match | eval_generation_samples is 0
          eval_generation_answer: '(a)' | eval_generation_samples, which is 0
          eval_generation_answer: 'no group', eval_generation_samples: 1 | whose first group is the answer
          eval_generation_answer: '(open', eval_generation_samples: 1 | whose first group is the answer
          eval_generation_samples: -1 | an integer of at least 0
          eval_generation_max_new_tokens: 0 | an integer of at least 1
          """)
  void whatDoesNotGoTogetherIsRefusedInOneSentence(String settings, String part) {
    assertThatThrownBy(() -> config(settings))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(part)
        .message()
        .hasLineCount(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "load_best_model_at_end: true, eval_strategy: steps, eval_steps: 100",
        "load_best_model_at_end: true, eval_strategy: steps",
        "load_best_model_at_end: true, eval_strategy: steps, eval_steps: 0.1, save_steps: 0.3",
        "load_best_model_at_end: true, eval_strategy: epoch, save_strategy: epoch, eval_steps: 3",
        "metric_for_best_model: loss, eval_strategy: epoch",
        "early_stopping_patience: 1, metric_for_best_model: eval_loss, eval_strategy: epoch",
      })
  void whatTransformersTakesIsTaken(String settings) {
    assertThat(config(settings).evaluation().selection().metric())
        .isEqualTo(EvalMetric.of(Metric.LOSS));
  }

  @Test
  void aMetricIsNamedWithOrWithoutItsPrefix() {
    assertThat(config("metric_for_best_model: eval_token_loss").evaluation().selection().metric())
        .isEqualTo(EvalMetric.of(Metric.TOKEN_LOSS));
    assertThat(config("").evaluation().selection().metric()).isNull();
  }
}
