package dev.gatun.cuda.op;

import dev.gatun.op.Backend;
import dev.gatun.train.ResumeContract;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;

/// Runs that go on from a checkpoint, on a GPU.
@Tag("gpu")
class CudaResumeTest extends ResumeContract {
  private static Backend backend;

  @BeforeAll
  static void open() {
    backend = Gpu.open();
  }

  @AfterAll
  static void close() {
    if (backend != null) {
      backend.close();
    }
  }

  @Override
  protected Backend backend() {
    return backend;
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
