package dev.gatun.cuda.op;

import dev.gatun.FailureException;
import dev.gatun.op.Backend;
import org.junit.jupiter.api.Assumptions;

/// The GPU under test; without one, tests are skipped with the reason.
final class Gpu {
  private Gpu() {}

  static Backend open() {
    try {
      return CudaBackend.create(0);
    } catch (FailureException e) {
      return Assumptions.abort(e.getMessage());
    }
  }
}
