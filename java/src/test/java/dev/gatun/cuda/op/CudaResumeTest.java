package dev.gatun.cuda.op;

import dev.gatun.op.Backend;
import dev.gatun.train.ResumeContract;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;

/// Runs that go on from a checkpoint, on a GPU.
@Tag("gpu")
class CudaResumeTest extends ResumeContract {
  @RegisterExtension private static final Gpu gpu = new Gpu();

  @Override
  protected Backend backend() {
    return gpu.backend();
  }

  @Override
  protected Path model() throws IOException {
    Path quickstart = directory.resolve("quickstart");
    if (!Files.exists(quickstart)) {
      TinyTraining.copyFiles(quickstart);
    }
    return quickstart.resolve("model");
  }
}
