package dev.gatun.nn;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OptionsTest {
  @ParameterizedTest
  @ValueSource(ints = {2, 512, 32_000, 128_256, 151_936, 262_144, 2_000_000})
  void logitsOfAChunkStayBelowTheirLimitInWholeTiles(int vocabulary) {
    int rows = Options.lossChunkRows(vocabulary);

    assertThat(rows % 128).isZero();
    assertThat(rows).isBetween(128, 1024);
    assertThat(rows == 128 || 2L * rows * vocabulary <= 300_000_000).isTrue();
    assertThat(rows == 1024 || 2L * (rows + 128) * vocabulary > 300_000_000).isTrue();
  }
}
