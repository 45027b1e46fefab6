package dev.gatun.op;

/// A point in the work issued to a backend, for [Backend#uploadAfter]. Before the first [#mark] it
/// is the beginning.
public interface Fence extends AutoCloseable {
  /// Moves the point to after all work issued so far.
  void mark();

  @Override
  void close();
}
