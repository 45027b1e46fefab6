package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class PackedBatchTest {
  private static final PackedBatch BATCH =
      new PackedBatch(
          new int[] {1, 2, 3, 4, 5, 6},
          new int[] {0, 1, 2, 0, 0, 1},
          new int[] {1, 2, -100, 4, 5, 6},
          new int[] {3, 1, 2},
          new int[] {4, 2});

  @Test
  void targetsNeverCrossASampleAndSkipIgnoredLabels() {
    PackedBatch.Targets targets = BATCH.targets();
    assertThat(targets.rows()).containsExactly(0, 4);
    assertThat(targets.labels()).containsExactly(2, 6);
    assertThat(targets.count()).isEqualTo(2).isEqualTo(BATCH.targetCount());
  }

  @Test
  void countsRowsAndTokens() {
    assertThat(BATCH.rows()).isEqualTo(2);
    assertThat(BATCH.tokens()).isEqualTo(6);
  }
}
