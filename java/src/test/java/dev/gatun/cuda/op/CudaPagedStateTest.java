package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.op.Backend;
import dev.gatun.optim.PagedStateContract;
import dev.gatun.train.SftConfig.OptimizerName;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Optimiser state in pinned host memory, on a GPU.
@Tag("gpu")
class CudaPagedStateTest extends PagedStateContract {
  @RegisterExtension private static final Gpu gpu = new Gpu();

  @TempDir private Path directory;

  @Override
  protected Backend backend() {
    return gpu.backend();
  }

  @ParameterizedTest
  @CsvSource({
    "ADAMW_TORCH, PAGED_ADAMW_32BIT",
    "ADAMW_8BIT, PAGED_ADAMW_8BIT",
    "LION_32BIT, PAGED_LION_32BIT",
    "LION_8BIT, PAGED_LION_8BIT"
  })
  void aRunTrainsTheSameAdapter(OptimizerName resident, OptimizerName paged) throws IOException {
    TinyTraining training = new TinyTraining(directory);
    TinyTraining.Outcome expected = training.run(gpu.backend(), resident, 10);
    TinyTraining.Outcome actual = training.run(gpu.backend(), paged, 10);

    assertThat(actual.losses()).isEqualTo(expected.losses());
    assertThat(actual.adapter()).isEqualTo(expected.adapter());
    assertThat(actual.plan().host().bytes()).isPositive();
    assertThat(actual.openBytes("pinned") - expected.openBytes("pinned"))
        .isEqualTo(actual.plan().host().bytes());
    assertThat(expected.openBytes("device") - actual.openBytes("device"))
        .isEqualTo(expected.plan().totalBytes() - actual.plan().totalBytes())
        .isPositive();
  }
}
