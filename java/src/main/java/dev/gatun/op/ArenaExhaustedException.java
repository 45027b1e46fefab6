package dev.gatun.op;

/// An arena was asked for more than its plan reserved.
public final class ArenaExhaustedException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  public ArenaExhaustedException(
      String arena, long wantedBytes, long usedBytes, long capacityBytes) {
    super(
        "arena '%s' is full: %d bytes wanted, %d of %d in use"
            .formatted(arena, wantedBytes, usedBytes, capacityBytes));
  }
}
