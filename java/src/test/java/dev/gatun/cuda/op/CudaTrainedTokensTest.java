package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.conformance.TrainedTokensContract;
import dev.gatun.op.Backend;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/// Rows of single tokens, on a GPU.
@Tag("gpu")
class CudaTrainedTokensTest extends TrainedTokensContract {
  @RegisterExtension private static final Gpu gpu = new Gpu();

  @TempDir private Path directory;

  @Override
  protected Backend backend() {
    return gpu.backend();
  }

  @Override
  protected Path model() throws IOException {
    TinyTraining.copyFiles(directory);
    return directory.resolve("model");
  }

  @Test
  void aRunIsTheSameTwiceInTheMemoryThatWasPlanned() throws IOException {
    TinyTraining training = new TinyTraining(directory);
    TinyTraining.Outcome plain = training.run(gpu.backend(), 10);
    TinyTraining.Outcome first = training.runWithTokens(gpu.backend(), 10);
    TinyTraining.Outcome again = training.runWithTokens(gpu.backend(), 10);

    assertThat(again.losses()).isEqualTo(first.losses()).isNotEqualTo(plain.losses());
    assertThat(again.adapter()).isEqualTo(first.adapter());
    assertThat(first.losses().getLast()).isLessThan(first.losses().getFirst());
    assertThat(first.openBytes("device") - plain.openBytes("device"))
        .isEqualTo(TinyTraining.arenaBytes(first.plan()) - TinyTraining.arenaBytes(plain.plan()));
  }
}
