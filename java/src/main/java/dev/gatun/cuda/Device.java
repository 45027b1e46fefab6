package dev.gatun.cuda;

import dev.gatun.FailureException;
import dev.gatun.bindings.cuda.Cuda;
import java.util.List;
import java.util.stream.IntStream;

/// One GPU that the driver lists, with the properties that launch decisions need. A value: opening
/// the GPU is [Context#open].
///
/// @param ordinal position in the driver's list, after `CUDA_VISIBLE_DEVICES`
/// @param handle the driver's `CUdevice`
/// @param capability compute capability as `10 * major + minor`: 80, 90
/// @param memoryBytes total device memory
/// @param multiprocessors number of streaming multiprocessors
/// @param clocks clock rates
/// @param limits what one block or multiprocessor may use
public record Device(
    int ordinal,
    int handle,
    String name,
    int capability,
    long memoryBytes,
    int multiprocessors,
    Clocks clocks,
    Limits limits) {

  /// The oldest GPU that our kernels run on: Ampere.
  private static final int OLDEST_CAPABILITY = 80;

  /// Rates in kHz and the width of the memory bus in bits; 0 where the driver no longer tells.
  public record Clocks(int coreKilohertz, int memoryKilohertz, int memoryBusBits) {}

  /// Shared memory in bytes; `sharedPerBlock` is what a kernel may opt in to.
  public record Limits(int sharedPerBlock, int sharedPerMultiprocessor, int l2Bytes) {}

  /// All devices.
  ///
  /// @throws FailureException if there is no driver, no GPU, or the driver is too old
  public static List<Device> list() {
    Driver.initialise();
    return IntStream.range(0, Driver.deviceCount()).mapToObj(Device::read).toList();
  }

  /// The device at `ordinal`.
  ///
  /// @throws FailureException as [#list], or if there are fewer devices
  public static Device of(int ordinal) {
    Driver.initialise();
    int count = Driver.deviceCount();
    if (ordinal < 0 || ordinal >= count) {
      throw new FailureException(
          "there is no device cuda:%d: the driver lists %d GPU%s (check CUDA_VISIBLE_DEVICES)"
              .formatted(ordinal, count, count == 1 ? ", cuda:0" : "s"));
    }
    return read(ordinal);
  }

  /// CUDA version that the driver supports, as `1000 * major + 10 * minor`.
  public static int driverVersion() {
    Driver.initialise();
    return Driver.version();
  }

  /// True if our kernels run on it.
  public boolean isSupported() {
    return capability >= OLDEST_CAPABILITY;
  }

  /// `9.0` for 90.
  public String capabilityText() {
    return capability / 10 + "." + capability % 10;
  }

  @Override
  public String toString() {
    return "cuda:" + ordinal + " " + name;
  }

  private static Device read(int ordinal) {
    int handle = Driver.device(ordinal);
    return new Device(
        ordinal,
        handle,
        Driver.deviceName(handle),
        10 * Driver.attribute(handle, Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR())
            + Driver.attribute(handle, Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR()),
        Driver.totalMemory(handle),
        Driver.attribute(handle, Cuda.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT()),
        new Clocks(
            Driver.attributeOrZero(handle, Cuda.CU_DEVICE_ATTRIBUTE_CLOCK_RATE()),
            Driver.attributeOrZero(handle, Cuda.CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE()),
            Driver.attributeOrZero(handle, Cuda.CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH())),
        new Limits(
            Driver.attribute(handle, Cuda.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN()),
            Driver.attribute(
                handle, Cuda.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR()),
            Driver.attribute(handle, Cuda.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE())));
  }
}
