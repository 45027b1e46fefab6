package dev.gatun.cuda;

/// An address in device memory. It owns nothing and checks nothing: take it from
/// [DeviceBuffer#pointer], or wrap the address of memory that another library allocated.
public record DevicePtr(long address) {
  /// The null pointer, for kernel parameters that are optional.
  public static final DevicePtr NULL = new DevicePtr(0);

  /// This address plus `bytes`.
  public DevicePtr plus(long bytes) {
    return new DevicePtr(address + bytes);
  }

  public boolean isNull() {
    return address == 0;
  }

  @Override
  public String toString() {
    return "0x" + Long.toHexString(address);
  }
}
