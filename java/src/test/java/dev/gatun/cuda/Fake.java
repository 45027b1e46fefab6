package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.List;

/// The controls of the doubles, for tests that [FakeDriver] runs.
public final class Fake {
  /// Fields of the driver double's state, in its order.
  public enum State {
    VERSION,
    DEVICES,
    CAPABILITY,
    BUFFERS,
    PINNED,
    CAPTURING,
    CAPTURED,
    MISMATCH,
    /// Ordinal of the device that holds all memory.
    OWNER
  }

  /// What the last launch was given.
  public record Launch(
      List<Integer> grid,
      List<Integer> block,
      int shared,
      int cluster,
      long stream,
      long[] pointers,
      MemorySegment bytes) {}

  private Fake() {}

  static void reset() {
    call(FakeDriver.CUDA, "fake_reset");
    call(FakeDriver.CUBLASLT, "fake_reset");
  }

  public static void set(State what, int value) {
    call(FakeDriver.CUDA, "fake_set", what.ordinal(), value);
  }

  public static int get(State what) {
    return (int) call(FakeDriver.CUDA, "fake_get", what.ordinal());
  }

  /// Makes a call fail from now on.
  public static void fail(String name, int code) {
    call(FakeDriver.CUDA, "fake_fail", Arena.global().allocateFrom(name), code);
  }

  public static void errorLog(String text) {
    call(FakeDriver.CUDA, "fake_error_log", Arena.global().allocateFrom(text));
  }

  /// Sizes of the parameters of the kernel that is launched next.
  public static void parameters(int... bytes) {
    for (int size : bytes) {
      call(FakeDriver.CUDA, "fake_parameter", size);
    }
  }

  /// Names of the calls so far.
  public static List<String> calls() {
    String log = pointer("fake_calls").reinterpret(1 << 16).getString(0);
    return log.isBlank() ? List.of() : List.of(log.strip().split(" "));
  }

  public static Launch launch() {
    MemorySegment raw = pointer("fake_launch").reinterpret(2048);
    int[] head = raw.asSlice(0, 32).toArray(JAVA_INT);
    return new Launch(
        List.of(head[0], head[1], head[2]),
        List.of(head[3], head[4], head[5]),
        head[6],
        head[7],
        raw.get(JAVA_LONG, 32),
        raw.asSlice(40, 128).toArray(JAVA_LONG),
        raw.asSlice(40 + 128, 1024));
  }

  public static int cublas(String name, int... arguments) {
    Object[] boxed = java.util.Arrays.stream(arguments).boxed().toArray();
    Object result = call(FakeDriver.CUBLASLT, name, boxed);
    return result == null ? 0 : (int) result;
  }

  private static MemorySegment pointer(String name) {
    return invoke(FakeDriver.CUDA, name, FunctionDescriptor.of(ADDRESS)) instanceof MemorySegment s
        ? s
        : MemorySegment.NULL;
  }

  private static Object call(String library, String name, Object... arguments) {
    MemoryLayout[] layouts = new MemoryLayout[arguments.length];
    for (int i = 0; i < arguments.length; i++) {
      layouts[i] = arguments[i] instanceof Integer ? JAVA_INT : ADDRESS;
    }
    return invoke(library, name, FunctionDescriptor.of(JAVA_INT, layouts), arguments);
  }

  private static Object invoke(
      String library, String name, FunctionDescriptor descriptor, Object... arguments) {
    MemorySegment symbol =
        SymbolLookup.libraryLookup(
                java.nio.file.Path.of(System.getProperty(library)), Arena.global())
            .findOrThrow(name);
    try {
      return Linker.nativeLinker()
          .downcallHandle(symbol, descriptor)
          .invokeWithArguments(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
