package dev.gatun.cuda;

import dev.gatun.FailureException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/// A device opened for work: owner of every stream, event, buffer and module made through it. Our
/// own context is the device's primary one, which JCuda, cuBLASLt and NCCL share.
///
/// Any thread may use it and its children; each call makes the context current for its thread and
/// leaves it so. Closing while children are open fails and lists them; it happens once, later calls
/// do nothing.
public final class Context implements AutoCloseable {
  private final Device device;
  private final MemorySegment handle;
  private final boolean owned;
  private final boolean blocking;
  private final Set<Lifetime> children = ConcurrentHashMap.newKeySet();
  private volatile boolean closed; // written under the lock of this

  private Context(Device device, MemorySegment handle, boolean owned, boolean blocking) {
    this.device = device;
    this.handle = handle;
    this.owned = owned;
    this.blocking = blocking;
  }

  /// Opens a device; `-Dgatun.cuda.blocking=true` switches the debug mode of [#isBlocking] on.
  ///
  /// @throws FailureException if the GPU is too old or is taken by another process
  public static Context open(Device device) {
    return open(device, Boolean.getBoolean("gatun.cuda.blocking"));
  }

  /// Opens a device with the debug mode of [#isBlocking] given.
  public static Context open(Device device, boolean blocking) {
    requireCapability(device);
    return new Context(device, Driver.retainPrimary(device.handle()), true, blocking);
  }

  /// Wraps the context that is current on this thread, made by another library. Closing the result
  /// does not touch it.
  ///
  /// @throws IllegalStateException if no context is current
  public static Context adopt() {
    Driver.initialise();
    MemorySegment current = Driver.currentContext();
    if (current.address() == 0) {
      throw new IllegalStateException("no CUDA context is current on this thread");
    }
    Device device =
        Device.list().stream()
            .filter(candidate -> candidate.handle() == Driver.currentDevice())
            .findFirst()
            .orElseThrow();
    requireCapability(device);
    return new Context(device, current, false, Boolean.getBoolean("gatun.cuda.blocking"));
  }

  public Device device() {
    return device;
  }

  /// Debug mode: every launch waits for its kernel, so that a fault names the launch that caused
  /// it.
  public boolean isBlocking() {
    return blocking;
  }

  /// A stream of normal priority that never waits for the default stream.
  public Stream stream(String name) {
    return Stream.create(this, name, false);
  }

  /// A stream of the highest priority: short work, such as copies, overtakes queued kernels.
  public Stream urgentStream(String name) {
    return Stream.create(this, name, true);
  }

  /// A stream that another library made and owns.
  ///
  /// @param streamHandle its `CUstream` or `cudaStream_t`
  public Stream foreignStream(String name, long streamHandle) {
    return Stream.foreign(this, name, MemorySegment.ofAddress(streamHandle));
  }

  /// An event for ordering streams.
  public Event event() {
    return new Event(this, false);
  }

  /// An event that also takes the time.
  public Event timingEvent() {
    return new Event(this, true);
  }

  /// Device memory of unspecified content.
  ///
  /// @throws CudaException `CUDA_ERROR_OUT_OF_MEMORY`
  public DeviceBuffer allocate(String name, long bytes) {
    return new DeviceBuffer(this, name, bytes);
  }

  /// A view of device memory that another library allocated and frees; closing it frees nothing.
  ///
  /// @param start for example JCuda's `CUdeviceptr`
  public DeviceBuffer foreignBuffer(String name, DevicePtr start, long bytes) {
    return DeviceBuffer.foreign(this, name, start, bytes);
  }

  /// Checks that this context's device can reach a range of another library's memory, so that a
  /// wrong address is an exception and not a fault that ruins the context. Two driver calls.
  ///
  /// @throws IllegalArgumentException if an end of the range is not memory of this device
  public void requireReachable(String what, DevicePtr start, long bytes) {
    makeCurrent();
    OptionalInt owner = Driver.pointerDevice(start.address());
    if (owner.isEmpty() || Driver.pointerDevice(start.address() + bytes - 1).isEmpty()) {
      throw new IllegalArgumentException(
          "%s: %d bytes at %s are not within memory that %s can reach"
              .formatted(what, bytes, start, device));
    }
    if (owner.getAsInt() != device.ordinal()) {
      throw new IllegalArgumentException(
          "%s: %s is memory of cuda:%d, not of %s"
              .formatted(what, start, owner.getAsInt(), device));
    }
  }

  /// Page-locked host memory of unspecified content.
  public PinnedBuffer allocatePinned(String name, long bytes) {
    return new PinnedBuffer(this, name, bytes);
  }

  /// Free device memory at this moment, all processes considered.
  public long freeMemoryBytes() {
    makeCurrent();
    return Driver.memoryInfo()[0];
  }

  /// Device memory that is taken at this moment, by this context and by all processes.
  public long takenMemoryBytes() {
    makeCurrent();
    long[] memory = Driver.memoryInfo();
    return memory[1] - memory[0];
  }

  /// Waits for all work of all streams; errors of that work surface here.
  public void synchronize() {
    makeCurrent();
    Driver.synchronizeContext();
  }

  /// What is open: kind, name and size of each child, sorted.
  public List<String> openChildren() {
    return children.stream().map(Lifetime::description).sorted().toList();
  }

  /// The driver's `CUcontext`, for other libraries.
  public long handle() {
    return handle.address();
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    if (!children.isEmpty()) {
      throw new IllegalStateException(
          device + " is closed while these are open: " + String.join(", ", openChildren()));
    }
    closed = true;
    if (owned) {
      Driver.releasePrimary(device.handle());
    }
  }

  @Override
  public String toString() {
    return device.toString();
  }

  /// Makes the context current for this thread. Always asks the driver: another library may have
  /// changed it.
  void makeCurrent() {
    if (closed) {
      throw new IllegalStateException("the context of " + device + " is closed");
    }
    Driver.setCurrent(handle);
  }

  synchronized void adopt(Lifetime child) {
    if (closed) {
      throw new IllegalStateException(child.description() + " is made from a closed context");
    }
    children.add(child);
  }

  void release(Lifetime child) {
    children.remove(child);
  }

  void requireSame(Context other, String what) {
    if (other.handle.address() != handle.address()) {
      throw new IllegalArgumentException(what + " belongs to " + other + ", not to " + this);
    }
  }

  /// One sentence for a GPU that is too old.
  static String tooOld(Device device) {
    return "%s has compute capability %s and the kernels need 8.0 (Ampere) or newer: use another GPU or --device cpu"
        .formatted(device, device.capabilityText());
  }

  private static void requireCapability(Device device) {
    if (!device.isSupported()) {
      throw new FailureException(tooOld(device));
    }
  }
}
