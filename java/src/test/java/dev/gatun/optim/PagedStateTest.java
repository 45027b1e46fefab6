package dev.gatun.optim;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import org.junit.jupiter.api.AfterEach;

class PagedStateTest extends PagedStateContract {
  private final CpuBackend backend = CpuBackend.create(1);

  @Override
  protected Backend backend() {
    return backend;
  }

  @AfterEach
  void close() {
    backend.close();
  }
}
