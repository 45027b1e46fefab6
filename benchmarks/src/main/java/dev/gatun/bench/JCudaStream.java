package dev.gatun.bench;

import jcuda.driver.CUstream;

/// A JCuda stream that says where it is: JCuda keeps handles to subclasses.
public final class JCudaStream extends CUstream {
  /// The driver's `CUstream`.
  public long handle() {
    return getNativePointer();
  }
}
