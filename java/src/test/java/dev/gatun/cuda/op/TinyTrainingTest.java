package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.Tolerances;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.op.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The run that a GPU is compared with is PyTorch's.
class TinyTrainingTest {
  @TempDir private Path directory;

  @Test
  void singlePrecisionLossesArePyTorchs() throws IOException {
    List<Double> expected = TinyTrainingGolden.read().float32();
    List<Double> actual;
    try (Backend backend = CpuBackend.create()) {
      TinyTraining training = new TinyTraining(directory);
      actual = training.run(backend, CheckpointPolicy.NONE, expected.size()).losses();
    }

    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.size(); i++) {
      assertThat(actual.get(i))
          .as("loss of step %d", i + 1)
          .isCloseTo(expected.get(i), within(Tolerances.SINGLE));
    }
  }
}
