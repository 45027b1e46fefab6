package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gatun.FailureException;
import dev.gatun.bindings.NativeLibrary;
import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.OptionalInt;
import java.util.function.Supplier;
import java.util.function.ToIntFunction;

/// The driver calls about devices, contexts, memory, streams and events, each checked: a failure is
/// a [CudaException] with the call's name and arguments. Handles are opaque zero-length segments,
/// device addresses are longs. The caller has made the context current where one is needed.
final class Driver {
  /// The oldest driver that has every function used here (`cuEventElapsedTime_v2`): CUDA 12.8.
  static final int OLDEST_CUDA = 12080;

  private static volatile int version;

  private Driver() {}

  /// Opens the library and initialises the driver; later calls do nothing.
  ///
  /// @throws FailureException if there is no driver, no device, or the driver is too old
  static synchronized void initialise() {
    if (version != 0) {
      return;
    }
    if (!NativeLibrary.CUDA.isAvailable()) {
      throw new FailureException("no NVIDIA driver: " + NativeLibrary.CUDA.failure());
    }
    int found = outInt(Cuda::cuDriverGetVersion, () -> "cuDriverGetVersion()");
    if (found < OLDEST_CUDA) {
      throw tooOld(found, OLDEST_CUDA, "Gatun");
    }
    int status = Cuda.cuInit(0);
    if (status == Cuda.CUDA_ERROR_NO_DEVICE()) {
      throw new FailureException(
          "the NVIDIA driver finds no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES, or run with"
              + " --device cpu");
    }
    check(status, () -> "cuInit(0)");
    version = found;
  }

  /// CUDA version of the driver as `1000 * major + 10 * minor`; [#initialise] came before.
  static int version() {
    return version;
  }

  static FailureException tooOld(int found, int required, String who) {
    return new FailureException(
        "the NVIDIA driver supports CUDA %s and %s needs %s: install a driver of the R%d series or newer"
            .formatted(
                versionText(found), who, versionText(required), PtxVersion.driverSeries(required)));
  }

  /// `13.0` for 13000.
  static String versionText(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  static void check(int status, Supplier<String> call) {
    if (status != 0) {
      throw CudaException.of(status, call.get());
    }
  }

  // ---- devices and contexts

  static int deviceCount() {
    return outInt(Cuda::cuDeviceGetCount, () -> "cuDeviceGetCount()");
  }

  static int device(int ordinal) {
    return outInt(
        out -> Cuda.cuDeviceGet(out, ordinal), () -> "cuDeviceGet(ordinal=" + ordinal + ")");
  }

  static String deviceName(int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(256);
      check(
          Cuda.cuDeviceGetName(name, 256, device), () -> "cuDeviceGetName(device=" + device + ")");
      return name.getString(0);
    }
  }

  static int attribute(int device, int attribute) {
    return outInt(
        out -> Cuda.cuDeviceGetAttribute(out, attribute, device),
        () -> "cuDeviceGetAttribute(attribute=" + attribute + ", device=" + device + ")");
  }

  /// An attribute that the driver may no longer report: 0 then.
  static int attributeOrZero(int device, int attribute) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      return Cuda.cuDeviceGetAttribute(out, attribute, device) == 0 ? out.get(JAVA_INT, 0) : 0;
    }
  }

  static long totalMemory(int device) {
    return outLong(
        out -> Cuda.cuDeviceTotalMem_v2(out, device),
        () -> "cuDeviceTotalMem_v2(device=" + device + ")");
  }

  static MemorySegment retainPrimary(int device) {
    return outHandle(
        out -> Cuda.cuDevicePrimaryCtxRetain(out, device),
        () -> "cuDevicePrimaryCtxRetain(device=" + device + ")");
  }

  static void releasePrimary(int device) {
    check(
        Cuda.cuDevicePrimaryCtxRelease_v2(device),
        () -> "cuDevicePrimaryCtxRelease_v2(device=" + device + ")");
  }

  static MemorySegment currentContext() {
    return outHandle(Cuda::cuCtxGetCurrent, () -> "cuCtxGetCurrent()");
  }

  static int currentDevice() {
    return outInt(Cuda::cuCtxGetDevice, () -> "cuCtxGetDevice()");
  }

  static void setCurrent(MemorySegment context) {
    int status = Cuda.cuCtxSetCurrent(context);
    if (status != 0) {
      throw CudaException.of(status, "cuCtxSetCurrent(context=" + hex(context) + ")");
    }
  }

  static void synchronizeContext() {
    check(Cuda.cuCtxSynchronize(), () -> "cuCtxSynchronize()");
  }

  static int[] streamPriorityRange() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT, 2);
      check(
          Cuda.cuCtxGetStreamPriorityRange(out, out.asSlice(4)),
          () -> "cuCtxGetStreamPriorityRange()");
      return new int[] {out.getAtIndex(JAVA_INT, 0), out.getAtIndex(JAVA_INT, 1)};
    }
  }

  // ---- memory

  static long memAlloc(long bytes) {
    return outLong(
        out -> Cuda.cuMemAlloc_v2(out, bytes), () -> "cuMemAlloc_v2(bytes=" + bytes + ")");
  }

  static void memFree(long address) {
    check(Cuda.cuMemFree_v2(address), () -> "cuMemFree_v2(address=" + hex(address) + ")");
  }

  static MemorySegment hostAlloc(long bytes) {
    int flags = Cuda.CU_MEMHOSTALLOC_PORTABLE();
    return outHandle(
        out -> Cuda.cuMemHostAlloc(out, bytes, flags),
        () -> "cuMemHostAlloc(bytes=" + bytes + ", flags=" + flags + ")");
  }

  static void hostFree(MemorySegment memory) {
    check(Cuda.cuMemFreeHost(memory), () -> "cuMemFreeHost(address=" + hex(memory) + ")");
  }

  /// Free and total bytes of the current context's device.
  static long[] memoryInfo() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG, 2);
      check(Cuda.cuMemGetInfo_v2(out, out.asSlice(8)), () -> "cuMemGetInfo_v2()");
      return new long[] {out.getAtIndex(JAVA_LONG, 0), out.getAtIndex(JAVA_LONG, 1)};
    }
  }

  /// The ordinal of the device whose memory holds an address; empty if the driver knows none.
  static OptionalInt pointerDevice(long address) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      int status =
          Cuda.cuPointerGetAttribute(out, Cuda.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL(), address);
      return status == 0 ? OptionalInt.of(out.get(JAVA_INT, 0)) : OptionalInt.empty();
    }
  }

  static void upload(long target, MemorySegment source) {
    long bytes = source.byteSize();
    check(
        Cuda.cuMemcpyHtoD_v2(target, source, bytes),
        () -> copy("cuMemcpyHtoD_v2", target, source.address(), bytes));
  }

  static void download(MemorySegment target, long source) {
    long bytes = target.byteSize();
    check(
        Cuda.cuMemcpyDtoH_v2(target, source, bytes),
        () -> copy("cuMemcpyDtoH_v2", target.address(), source, bytes));
  }

  static void uploadAsync(long target, MemorySegment source, MemorySegment stream) {
    long bytes = source.byteSize();
    check(
        Cuda.cuMemcpyHtoDAsync_v2(target, source, bytes, stream),
        () -> copy("cuMemcpyHtoDAsync_v2", target, source.address(), bytes));
  }

  static void downloadAsync(MemorySegment target, long source, MemorySegment stream) {
    long bytes = target.byteSize();
    check(
        Cuda.cuMemcpyDtoHAsync_v2(target, source, bytes, stream),
        () -> copy("cuMemcpyDtoHAsync_v2", target.address(), source, bytes));
  }

  static void copyAsync(long target, long source, long bytes, MemorySegment stream) {
    check(
        Cuda.cuMemcpyDtoDAsync_v2(target, source, bytes, stream),
        () -> copy("cuMemcpyDtoDAsync_v2", target, source, bytes));
  }

  static void fillAsync(long target, byte value, long bytes, MemorySegment stream) {
    check(
        Cuda.cuMemsetD8Async(target, value, bytes, stream),
        () ->
            "cuMemsetD8Async(target=%s, value=%d, bytes=%d)".formatted(hex(target), value, bytes));
  }

  static void fillAsync(long target, int value, long count, MemorySegment stream) {
    check(
        Cuda.cuMemsetD32Async(target, value, count, stream),
        () ->
            "cuMemsetD32Async(target=%s, value=%d, count=%d)".formatted(hex(target), value, count));
  }

  // ---- streams and events

  static MemorySegment streamCreate(int priority) {
    int flags = Cuda.CU_STREAM_NON_BLOCKING();
    return outHandle(
        out -> Cuda.cuStreamCreateWithPriority(out, flags, priority),
        () -> "cuStreamCreateWithPriority(flags=" + flags + ", priority=" + priority + ")");
  }

  static void streamDestroy(MemorySegment stream) {
    check(Cuda.cuStreamDestroy_v2(stream), () -> "cuStreamDestroy_v2(stream=" + hex(stream) + ")");
  }

  static void streamSynchronize(MemorySegment stream, Supplier<String> what) {
    check(Cuda.cuStreamSynchronize(stream), () -> "cuStreamSynchronize(stream=" + what.get() + ")");
  }

  static boolean streamIsIdle(MemorySegment stream) {
    return isReady(Cuda.cuStreamQuery(stream), () -> "cuStreamQuery(stream=" + hex(stream) + ")");
  }

  static void streamWait(MemorySegment stream, MemorySegment event) {
    check(
        Cuda.cuStreamWaitEvent(stream, event, Cuda.CU_EVENT_WAIT_DEFAULT()),
        () -> "cuStreamWaitEvent(stream=" + hex(stream) + ", event=" + hex(event) + ")");
  }

  static MemorySegment eventCreate(boolean timing) {
    int flags = timing ? Cuda.CU_EVENT_DEFAULT() : Cuda.CU_EVENT_DISABLE_TIMING();
    return outHandle(
        out -> Cuda.cuEventCreate(out, flags), () -> "cuEventCreate(flags=" + flags + ")");
  }

  static void eventDestroy(MemorySegment event) {
    check(Cuda.cuEventDestroy_v2(event), () -> "cuEventDestroy_v2(event=" + hex(event) + ")");
  }

  static void eventRecord(MemorySegment event, MemorySegment stream) {
    check(
        Cuda.cuEventRecord(event, stream),
        () -> "cuEventRecord(event=" + hex(event) + ", stream=" + hex(stream) + ")");
  }

  static void eventSynchronize(MemorySegment event) {
    check(Cuda.cuEventSynchronize(event), () -> "cuEventSynchronize(event=" + hex(event) + ")");
  }

  static boolean eventIsDone(MemorySegment event) {
    return isReady(Cuda.cuEventQuery(event), () -> "cuEventQuery(event=" + hex(event) + ")");
  }

  static float eventElapsed(MemorySegment start, MemorySegment end) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_FLOAT);
      check(
          Cuda.cuEventElapsedTime_v2(out, start, end),
          () -> "cuEventElapsedTime_v2(start=" + hex(start) + ", end=" + hex(end) + ")");
      return out.get(JAVA_FLOAT, 0);
    }
  }

  // ---- shared with DriverModules

  static int outInt(ToIntFunction<MemorySegment> call, Supplier<String> what) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_INT);
      check(call.applyAsInt(out), what);
      return out.get(JAVA_INT, 0);
    }
  }

  static long outLong(ToIntFunction<MemorySegment> call, Supplier<String> what) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(JAVA_LONG);
      check(call.applyAsInt(out), what);
      return out.get(JAVA_LONG, 0);
    }
  }

  static MemorySegment outHandle(ToIntFunction<MemorySegment> call, Supplier<String> what) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment out = arena.allocate(ADDRESS);
      check(call.applyAsInt(out), what);
      return out.get(ADDRESS, 0);
    }
  }

  static String hex(MemorySegment handle) {
    return hex(handle.address());
  }

  static String hex(long address) {
    return "0x" + Long.toHexString(address);
  }

  private static boolean isReady(int status, Supplier<String> what) {
    if (status == Cuda.CUDA_ERROR_NOT_READY()) {
      return false;
    }
    check(status, what);
    return true;
  }

  private static String copy(String call, long target, long source, long bytes) {
    return "%s(target=%s, source=%s, bytes=%d)".formatted(call, hex(target), hex(source), bytes);
  }
}
