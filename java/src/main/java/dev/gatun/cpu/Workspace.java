package dev.gatun.cpu;

/// Heap buffers of one worker thread, kept from task to task: blocks that fit a cache and rows
/// being converted, a few MiB at most. What grows with the problem lives in the caller's
/// [dev.gatun.op.TensorArena].
final class Workspace {
  private static final int SLOTS = 12;
  private final float[][] buffers = new float[SLOTS][0];
  private byte[] bytes = new byte[0];

  /// A buffer of at least `size` floats with unspecified content; each slot is one buffer.
  float[] floats(int slot, int size) {
    if (buffers[slot].length < size) {
      buffers[slot] = new float[size];
    }
    return buffers[slot];
  }

  /// A buffer of at least `size` bytes with unspecified content.
  byte[] bytes(int size) {
    if (bytes.length < size) {
      bytes = new byte[size];
    }
    return bytes;
  }
}
