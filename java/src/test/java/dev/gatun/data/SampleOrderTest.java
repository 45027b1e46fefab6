package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class SampleOrderTest {
  /// `torch.manual_seed(42); torch.randperm(10)`.
  @Test
  void permutationIsPyTorchs() {
    assertThat(SampleOrder.random(42, 0, 10)).containsExactly(2, 6, 1, 8, 4, 5, 0, 9, 3, 7);
  }

  @Test
  void theEpochIsAddedToTheSeed() {
    assertThat(SampleOrder.random(40, 2, 10)).containsExactly(2, 6, 1, 8, 4, 5, 0, 9, 3, 7);
    assertThat(SampleOrder.random(42, 1, 1000))
        .isNotEqualTo(SampleOrder.random(42, 0, 1000))
        .containsExactlyInAnyOrder(SampleOrder.sequential(1000));
  }

  /// Recorded from a TRL run with `seed` 1234, 46 rows and batches of 4.
  @Test
  void microBatchesAreTrls() {
    List<int[]> first = SampleOrder.microBatches(SampleOrder.random(1234, 0, 46), 4, false);
    assertThat(first.getFirst()).containsExactly(29, 22, 24, 36);
    assertThat(first.get(10)).containsExactly(43, 41, 11, 10);
    assertThat(first.getLast()).containsExactly(31, 0);
    List<int[]> second = SampleOrder.microBatches(SampleOrder.random(1234, 1, 46), 4, false);
    assertThat(second.getFirst()).containsExactly(9, 20, 28, 29);
    assertThat(second.get(1)).containsExactly(27, 14, 0, 34);
  }

  @Test
  void tinyDatasets() {
    assertThat(SampleOrder.random(1, 0, 0)).isEmpty();
    assertThat(SampleOrder.random(1, 0, 1)).containsExactly(0);
  }

  @Test
  void theLastAccumulationGroupOfAnEpochHasWhatIsLeft() {
    List<int[]> batches = SampleOrder.microBatches(SampleOrder.sequential(21), 2, false);
    assertThat(batches).hasSize(11);
    assertThat(batches.getLast()).containsExactly(20);
    List<List<int[]>> updates = SampleOrder.updates(batches, 4);
    assertThat(updates.stream().map(List::size)).containsExactly(4, 4, 3);
    assertThat(SampleOrder.updatesPerEpoch(21, 2, 4, false)).isEqualTo(3);
    assertThat(SampleOrder.microBatches(SampleOrder.sequential(21), 2, true)).hasSize(10);
    assertThat(SampleOrder.updatesPerEpoch(21, 2, 4, true)).isEqualTo(3);
  }

  @Test
  void batchesCoverTheOrder() {
    int[] order = SampleOrder.random(7, 3, 53);
    int[] joined =
        SampleOrder.microBatches(order, 4, false).stream().flatMapToInt(Arrays::stream).toArray();
    assertThat(joined).isEqualTo(order);
  }
}
