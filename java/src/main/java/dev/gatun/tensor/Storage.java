package dev.gatun.tensor;

/// A region of memory that tensors view: host memory ([HostStorage]) or memory of a device. Storage
/// is owned by whoever allocated it (an arena, a mapped file); tensors never own it.
public interface Storage {
  /// Size of the region in bytes.
  long byteSize();
}
