package dev.gatun.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.optim.Schedules.Run;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ScheduleTest {
  private static final Run RUN = new Run(1e-3, 10, 100);

  @ParameterizedTest
  @CsvSource({
    "0,100,0",
    "0.1,100,10",
    "0.101,100,11",
    "0.05,7,1",
    "1,100,1",
    "25,100,25",
    "2.9,9,2"
  })
  void warmupBelowOneIsARatio(double warmup, long total, long expected) {
    assertThat(Schedule.warmupSteps(warmup, total)).isEqualTo(expected);
  }

  @Test
  void warmupStartsAtZero() {
    for (String name : Schedules.NAMES) {
      Schedule schedule = Schedules.named(name, RUN, needed(name));
      boolean starts = !name.equals("constant") && !name.equals("cosine_warmup_with_min_lr");

      assertThat(schedule.factor(0))
          .as(name)
          .isEqualTo(
              switch (name) {
                case "constant" -> 1.0;
                case "cosine_warmup_with_min_lr" -> 0.1;
                default -> 0.0;
              });
      assertThat(schedule.factor(10)).as(name).isGreaterThan(0.99);
      assertThat(schedule.factor(5)).as(name).isEqualTo(starts ? 0.5 : schedule.factor(5));
    }
  }

  private static Map<String, Object> needed(String name) {
    return switch (name) {
      case "cosine_with_min_lr", "cosine_warmup_with_min_lr" -> Map.of("min_lr_rate", 0.2);
      case "warmup_stable_decay" -> Map.of("num_decay_steps", 20);
      default -> Map.of();
    };
  }

  @Test
  void decayEndsAtItsMinimum() {
    Schedule schedule =
        Schedules.named(
            "warmup_stable_decay",
            RUN,
            Map.of("num_stable_steps", 30, "num_decay_steps", 20, "min_lr_ratio", 0.25));

    assertThat(schedule.factor(39)).isEqualTo(1);
    assertThat(schedule.factor(50)).isEqualTo(0.625);
    assertThat(schedule.factor(60)).isEqualTo(0.25);
  }

  @Test
  void argumentsThatAreNullAreLeftOut() {
    Map<String, Object> arguments = new HashMap<>();
    arguments.put("num_cycles", null);

    assertThat(Schedules.named("cosine", RUN, arguments))
        .isEqualTo(Schedules.named("cosine", RUN, Map.of()));
  }

  @Test
  void refusesWhatItDoesNotKnow() {
    refuses("cosin", Map.of(), "cosine");
    refuses("linear", Map.of("num_cycles", 2), "num_cycles");
    refuses("cosine", Map.of("num_cycles", "two"), "two");
    refuses("cosine_with_restarts", Map.of("num_cycles", 1.5), "1.5");
    refuses("cosine_with_min_lr", Map.of(), "min_lr");
    refuses("cosine_with_min_lr", Map.of("min_lr", 1e-5, "min_lr_rate", 0.1), "either");
    refuses("polynomial", Map.of("lr_end", 1), "lr_end");
    refuses("warmup_stable_decay", Map.of(), "num_decay_steps");
    refuses("warmup_stable_decay", Map.of("num_decay_steps", 5, "decay_type", "exp"), "exp");
    refuses("inverse_sqrt", Map.of("timescale", 0), "timescale");
    assertThatThrownBy(() -> Schedules.named("reduce_lr_on_plateau", RUN, Map.of()))
        .isInstanceOf(UnsupportedException.class);
  }

  private static void refuses(String name, Map<String, Object> arguments, String reason) {
    assertThatThrownBy(() -> Schedules.named(name, RUN, arguments))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(reason);
  }
}
