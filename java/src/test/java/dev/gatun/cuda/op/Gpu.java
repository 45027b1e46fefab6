package dev.gatun.cuda.op;

import dev.gatun.FailureException;
import dev.gatun.op.Backend;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/// The GPU under test, open while the tests of a class and of those nested in it run; without one,
/// tests are skipped with the reason.
final class Gpu implements BeforeAllCallback, AfterAllCallback {
  private @Nullable Backend backend;
  private int depth;

  static Backend open() {
    try {
      return CudaBackend.create(0);
    } catch (FailureException e) {
      return Assumptions.abort(e.getMessage());
    }
  }

  Backend backend() {
    return Objects.requireNonNull(backend, "only while tests run");
  }

  @Override
  public void beforeAll(ExtensionContext context) {
    depth++;
    if (backend == null) {
      backend = open();
    }
  }

  @Override
  public void afterAll(ExtensionContext context) {
    depth--;
    if (depth == 0 && backend != null) {
      backend.close();
      backend = null;
    }
  }
}
