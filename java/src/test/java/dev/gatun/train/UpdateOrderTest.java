package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Loop;
import dev.gatun.train.SftConfig.SamplingStrategy;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UpdateOrderTest {
  private static Loop loop(
      int batch, int accumulation, double epochs, @Nullable Integer maxSteps, boolean dropLast) {
    return new Loop(
        batch,
        accumulation,
        epochs,
        maxSteps,
        SftConfig.GradientCheckpointing.OFF,
        false,
        null,
        42,
        null,
        SamplingStrategy.SEQUENTIAL,
        dropLast,
        null);
  }

  /// Counts as transformers' trainer has them.
  @ParameterizedTest
  @CsvSource({
    "21, 2, 4, 3, , 9, 3, 3",
    "21, 2, 4, 3, 30, 30, 3, 10",
    "21, 2, 4, 0.5, , 2, 3, 1",
    "48, 4, 1, 3, 40, 40, 12, 4",
    "8, 8, 1, 2.5, , 3, 1, 3",
    "1, 8, 16, 1, , 1, 1, 1"
  })
  void lengthOfARun(
      int rows,
      int batch,
      int accumulation,
      double epochs,
      @Nullable Integer maxSteps,
      int updates,
      int updatesPerEpoch,
      int startedEpochs) {
    UpdateOrder order = new UpdateOrder(rows, loop(batch, accumulation, epochs, maxSteps, false));

    assertThat(order.updates()).isEqualTo(updates);
    assertThat(order.updatesPerEpoch()).isEqualTo(updatesPerEpoch);
    assertThat(order.epochs()).isEqualTo(startedEpochs);
  }

  @Test
  void theLastUpdateOfAnEpochTakesWhatIsLeft() {
    UpdateOrder order = new UpdateOrder(21, loop(2, 4, 2, null, false));

    assertThat(order.update(1).microBatches()).hasSize(4);
    assertThat(order.update(3).microBatches()).hasSize(3);
    assertThat(order.update(3).microBatches().getLast()).containsExactly(20);
    assertThat(order.update(3).endsEpoch()).isTrue();
    assertThat(order.update(1).epoch()).isEqualTo(4 / 11.0);
    assertThat(order.update(3).epoch()).isEqualTo(1);
    assertThat(order.update(4).epoch()).isEqualTo(1 + 4 / 11.0);
    assertThat(order.update(4).microBatches().getFirst()).containsExactly(0, 1);
  }

  @Test
  void dropLastLeavesShortBatchesOut() {
    UpdateOrder order = new UpdateOrder(7, loop(3, 1, 1, null, true));

    assertThat(order.updates()).isEqualTo(2);
    assertThatThrownBy(() -> new UpdateOrder(2, loop(3, 1, 1, null, true)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("dataloader_drop_last");
  }

  @Test
  void occurrencesAreCountedAsTransformersCounts() {
    UpdateOrder order = new UpdateOrder(4, loop(1, 1, 3, null, false));

    assertThat(Steps.every(0.1, 45)).isEqualTo(5);
    assertThat(Steps.every(10, 45)).isEqualTo(10);
    assertThat(due(order, Interval.STEPS, 5)).containsExactly(5, 10);
    assertThat(due(order, Interval.EPOCH, 5)).containsExactly(4, 8, 12);
    assertThat(due(order, Interval.NO, 1)).isEmpty();
  }

  private static int[] due(UpdateOrder order, Interval interval, int every) {
    return IntStream.rangeClosed(1, order.updates())
        .filter(step -> Steps.due(interval, every, order.update(step)))
        .toArray();
  }
}
