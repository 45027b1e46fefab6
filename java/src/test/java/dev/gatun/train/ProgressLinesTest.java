package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.generate.Answer;
import dev.gatun.generate.Question;
import dev.gatun.train.TrainingEvent.StepFinished;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ProgressLinesTest {
  private static StepFinished step(int step) {
    return step(step, 0);
  }

  private static StepFinished step(int step, double peakFlops) {
    return new StepFinished(
        step,
        8,
        0.5,
        1.25,
        0.5,
        2e-4,
        1,
        10,
        400,
        400L * step,
        0.5,
        2,
        Duration.ofSeconds(30L * step),
        Duration.ofSeconds(2),
        new TrainingEvent.Work(3e12, peakFlops));
  }

  @Test
  void aLineSaysWhatCounts() {
    assertThat(ProgressLines.line(step(2)))
        .isEqualTo("step 2/8  loss 1.2500  grad norm 0.500  lr 0.000200  200 tokens/s  ETA 3:00");
  }

  @Test
  void aLineSaysWhichShareOfTheDevicesPeakIsReached() {
    assertThat(step(2, 4e12).flopsPerSecond()).isEqualTo(1.5e12);
    assertThat(step(2, 4e12).shareOfPeak()).hasValue(0.375);
    assertThat(ProgressLines.line(step(2, 4e12)))
        .endsWith("  200 tokens/s  38 % of peak  ETA 3:00");
  }

  @Test
  void anEvaluationSaysLossAndPerplexity() {
    var result =
        new EvaluationResult(
            Math.log(8), 2, 0.5, 1, 1000, 10, Duration.ofSeconds(1), List.of(), List.of());

    assertThat(ProgressLines.line(new TrainingEvent.Evaluated(4, 0.5, "", result)))
        .isEqualTo(
            "step 4  eval loss 2.0794 (row-weighted 2.0000)  perplexity 8.000  accuracy 50.00 %  1,000 targets");
  }

  @Test
  void anEvaluationWithAnswersSaysHowManyAreRight() {
    Question question = new Question("held.jsonl line 1", "1+2=", new int[] {1}, "3");
    var result =
        new EvaluationResult(1, 1, 0.5, 1, 10, 3, Duration.ofSeconds(1), List.of(), List.of())
            .withAnswers(
                List.of(
                    new Answer(question, "3", true),
                    new Answer(question, "4", false),
                    new Answer(question, "5", false)));

    assertThat(ProgressLines.line(new TrainingEvent.Evaluated(4, 0.5, "", result)))
        .endsWith("  10 targets  exact match 33.3 % (1 of 3)");
  }

  @Test
  void everySoManyUpdatesAndTheEnds() {
    List<String> lines = new ArrayList<>();
    ProgressLines progress = new ProgressLines(lines::add, 3);
    for (int i = 1; i <= 8; i++) {
      progress.on(step(i));
    }

    assertThat(lines)
        .extracting(line -> line.substring(0, 8))
        .containsExactly("step 1/8", "step 3/8", "step 6/8", "step 8/8");
  }

  @Test
  void clock() {
    assertThat(ProgressLines.clock(Duration.ofSeconds(5))).isEqualTo("0:05");
    assertThat(ProgressLines.clock(Duration.ofSeconds(3725))).isEqualTo("1:02:05");
  }
}
