package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gatun.bindings.cuda.CUgraphExecUpdateResultInfo_st;
import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// The driver calls about modules, functions and graphs, checked like those of [Driver].
final class DriverModules {
  private static final int LOG_BYTES = 16 << 10;

  private DriverModules() {}

  /// Compiles PTX for the current context's device; the driver caches the result on disk.
  static MemorySegment load(String name, String ptx) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = arena.allocateFrom(ptx); // ends in NUL, as the driver wants
      MemorySegment errors = arena.allocate(LOG_BYTES);
      MemorySegment info = arena.allocate(LOG_BYTES);
      MemorySegment options =
          arena.allocateFrom(
              JAVA_INT,
              Cuda.CU_JIT_ERROR_LOG_BUFFER(),
              Cuda.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES(),
              Cuda.CU_JIT_INFO_LOG_BUFFER(),
              Cuda.CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES());
      MemorySegment values =
          arena.allocateFrom(JAVA_LONG, errors.address(), LOG_BYTES, info.address(), LOG_BYTES);
      MemorySegment out = arena.allocate(ADDRESS);
      int status = Cuda.cuModuleLoadDataEx(out, image, 4, options, values);
      if (status != 0) {
        throw CudaException.ofCompiler(
            status, "cuModuleLoadDataEx(" + name + ")", text(errors) + "\n" + text(info));
      }
      return out.get(ADDRESS, 0);
    }
  }

  static void unload(MemorySegment module) {
    Driver.check(
        Cuda.cuModuleUnload(module), () -> "cuModuleUnload(module=" + Driver.hex(module) + ")");
  }

  static MemorySegment function(MemorySegment module, String moduleName, String entry) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom(entry);
      return Driver.outHandle(
          out -> Cuda.cuModuleGetFunction(out, module, name),
          () -> "cuModuleGetFunction(module=" + moduleName + ", name=" + entry + ")");
    }
  }

  static int functionAttribute(MemorySegment function, String name, int attribute) {
    return Driver.outInt(
        out -> Cuda.cuFuncGetAttribute(out, attribute, function),
        () -> "cuFuncGetAttribute(attribute=" + attribute + ", function=" + name + ")");
  }

  static void functionAttribute(MemorySegment function, String name, int attribute, int value) {
    Driver.check(
        Cuda.cuFuncSetAttribute(function, attribute, value),
        () ->
            "cuFuncSetAttribute(function=%s, attribute=%d, value=%d)"
                .formatted(name, attribute, value));
  }

  static int blocksPerMultiprocessor(
      MemorySegment function, String name, int threads, long dynamicSharedBytes) {
    return Driver.outInt(
        out ->
            Cuda.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                out, function, threads, dynamicSharedBytes),
        () ->
            "cuOccupancyMaxActiveBlocksPerMultiprocessor(function=%s, threads=%d, shared=%d)"
                .formatted(name, threads, dynamicSharedBytes));
  }

  // ---- graphs

  static void beginCapture(MemorySegment stream) {
    int mode = Cuda.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL();
    Driver.check(
        Cuda.cuStreamBeginCapture_v2(stream, mode),
        () -> "cuStreamBeginCapture_v2(stream=" + Driver.hex(stream) + ", mode=" + mode + ")");
  }

  static MemorySegment endCapture(MemorySegment stream) {
    return Driver.outHandle(
        out -> Cuda.cuStreamEndCapture(stream, out),
        () -> "cuStreamEndCapture(stream=" + Driver.hex(stream) + ")");
  }

  static MemorySegment instantiate(MemorySegment graph) {
    return Driver.outHandle(
        out -> Cuda.cuGraphInstantiateWithFlags(out, graph, 0),
        () -> "cuGraphInstantiateWithFlags(graph=" + Driver.hex(graph) + ")");
  }

  /// Puts the graph's parameters into an instance of the same topology; false if it has another.
  static boolean update(MemorySegment instance, MemorySegment graph) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(CUgraphExecUpdateResultInfo_st.layout());
      int status = Cuda.cuGraphExecUpdate_v2(instance, graph, result);
      if (status == Cuda.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE()) {
        return false;
      }
      Driver.check(status, () -> "cuGraphExecUpdate_v2(graph=" + Driver.hex(graph) + ")");
      return true;
    }
  }

  static void launchGraph(MemorySegment instance, MemorySegment stream) {
    int status = Cuda.cuGraphLaunch(instance, stream);
    if (status != 0) {
      throw CudaException.of(status, "cuGraphLaunch(graph=" + Driver.hex(instance) + ")");
    }
  }

  static long graphNodes(MemorySegment graph) {
    return Driver.outLong(
        out -> Cuda.cuGraphGetNodes(graph, MemorySegment.NULL, out),
        () -> "cuGraphGetNodes(graph=" + Driver.hex(graph) + ")");
  }

  static void destroyGraph(MemorySegment graph) {
    Driver.check(
        Cuda.cuGraphDestroy(graph), () -> "cuGraphDestroy(graph=" + Driver.hex(graph) + ")");
  }

  static void destroyInstance(MemorySegment instance) {
    Driver.check(
        Cuda.cuGraphExecDestroy(instance),
        () -> "cuGraphExecDestroy(graph=" + Driver.hex(instance) + ")");
  }

  private static String text(MemorySegment log) {
    log.set(JAVA_BYTE, LOG_BYTES - 1, (byte) 0);
    return log.getString(0);
  }
}
