package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class DataCollatorTest {
  private final PreparedDataset rows =
      PreparedDataset.of(
          new int[][] {{1, 2, 3, 4}, {5, 6}, {7}},
          new int[][] {{1, -100, 3, 4}, {5, 6}, {7}},
          new int[][] {{3, 1}, {2}, {1}});

  @Test
  void joinsRowsInTheGivenOrder() {
    PackedBatch batch = DataCollator.collate(rows, 1, 0);
    assertThat(batch.inputIds()).containsExactly(5, 6, 1, 2, 3, 4);
    assertThat(batch.labels()).containsExactly(5, 6, 1, -100, 3, 4);
    assertThat(batch.positionIds()).containsExactly(0, 1, 0, 1, 2, 0);
    assertThat(batch.sequenceLengths()).containsExactly(2, 3, 1);
    assertThat(batch.rowLengths()).containsExactly(2, 4);
    assertThat(batch.targets().rows()).containsExactly(0, 3);
    assertThat(batch.targets().labels()).containsExactly(6, 3);
  }

  @Test
  void countsTargetsPerRow() {
    assertThat(rows.targetCount(0)).isEqualTo(1);
    assertThat(rows.targetCount(2)).isZero();
    assertThat(rows.report().trainedTokens()).isEqualTo(2);
    assertThat(rows.source(1)).isEqualTo("rows row 2");
  }

  @Test
  void flattenedTensorsBlankTheFirstLabelOfEverySample() {
    BatchTensors tensors = BatchTensors.flattened(DataCollator.collate(rows, 0, 1), 9, 4);
    assertThat(tensors.inputIds()).isDeepEqualTo(new int[][] {{1, 2, 3, 4, 5, 6, 9, 9}});
    assertThat(tensors.labels())
        .isDeepEqualTo(new int[][] {{-100, -100, 3, -100, -100, 6, -100, -100}});
    assertThat(tensors.attentionMask()).isNull();
  }

  @Test
  void paddedTensorsKeepRowsApart() {
    BatchTensors tensors = BatchTensors.padded(DataCollator.collate(rows, 1, 2), 9, 1, true);
    assertThat(tensors.inputIds()).isDeepEqualTo(new int[][] {{5, 6}, {7, 9}});
    assertThat(tensors.labels()).isDeepEqualTo(new int[][] {{5, 6}, {7, -100}});
    assertThat(tensors.attentionMask()).isDeepEqualTo(new int[][] {{1, 1}, {1, 0}});
    assertThat(tensors.positionIds()).isDeepEqualTo(new int[][] {{0, 1}, {0, 0}});
  }
}
