package dev.gatun.optim;

import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;

/// Where an optimiser's state lies. The updates are the same to the bit.
public enum StatePlace {
  /// In the backend's memory.
  DEVICE,
  /// In host memory, which a GPU reads and writes over the bus once an update: bitsandbytes' paged
  /// optimisers, without the paging.
  HOST;

  TensorArena arena(Backend backend, String name, long bytes) {
    return switch (this) {
      case DEVICE -> backend.arena(name, bytes);
      case HOST -> backend.hostArena(name, bytes);
    };
  }
}
