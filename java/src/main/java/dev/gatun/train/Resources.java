package dev.gatun.train;

import java.util.ArrayDeque;
import java.util.Deque;

/// What was opened, in order, to be closed in reverse.
final class Resources implements AutoCloseable {
  /// Something that closes without a checked exception.
  interface Closing {
    void close();
  }

  private final Deque<Closing> opened = new ArrayDeque<>();

  /// Takes over a resource.
  void add(Closing resource) {
    opened.push(resource);
  }

  @Override
  public void close() {
    while (!opened.isEmpty()) {
      opened.pop().close();
    }
  }
}
