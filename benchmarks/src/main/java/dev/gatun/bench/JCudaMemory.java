package dev.gatun.bench;

import dev.gatun.cuda.DevicePtr;
import jcuda.driver.CUdeviceptr;

/// JCuda device memory that says where it is: JCuda keeps addresses to subclasses.
public final class JCudaMemory extends CUdeviceptr {
  /// The driver's `CUdeviceptr`.
  public DevicePtr pointer() {
    return new DevicePtr(getNativePointer() + getByteOffset());
  }
}
