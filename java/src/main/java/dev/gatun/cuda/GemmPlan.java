package dev.gatun.cuda;

import static dev.gatun.bindings.cublaslt.CublasLt.*;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.gatun.bindings.cublaslt.cublasLtMatmulHeuristicResult_t;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.function.Supplier;
import java.util.function.ToIntFunction;

/// The descriptors and the algorithm of one form of product. cuBLASLt is column-major, where a
/// row-major matrix is its transpose: it computes `Dᵀ = op(B)ᵀ · op(A)ᵀ` on the same memory.
final class GemmPlan {
  /// What the choice of an algorithm depends on. Alignments are powers of two up to 256 bytes.
  record Key(Gemm gemm, int alignA, int alignB, int alignC, int alignD, long workspaceBytes) {
    static Key of(Gemm gemm, CublasLt.Matrices at, long workspaceBytes) {
      return new Key(
          gemm,
          alignment(at.a()),
          alignment(at.b()),
          alignment(at.c()),
          alignment(at.d()),
          workspaceBytes);
    }

    private static int alignment(DevicePtr pointer) {
      return 1 << Math.min(8, Long.numberOfTrailingZeros(pointer.address()));
    }
  }

  // Large products are limited by the GPU's power, not by its clock; of the library's proposals for
  // outputs of up to 8192 columns, or few rows, tiles of 256x128 then come out fastest
  // (docs/performance.md has the figures of one GPU). 24 is CUBLASLT_MATMUL_TILE_256x128.
  private static final int PREFERRED_TILE = 24;
  private static final int PROPOSALS = 8;
  private static final long NARROW = 8192;
  private static final long FEW = 512;
  private static final double LARGE = 1e11; // multiplications

  private final Gemm gemm;
  private final Arena arena = Arena.ofShared();
  private final List<Runnable> destructors = new ArrayList<>();
  private final MemorySegment operation;
  private final MemorySegment layoutA;
  private final MemorySegment layoutB;
  private final MemorySegment layoutC;
  private final MemorySegment layoutD;
  private final MemorySegment algorithm;

  private GemmPlan(MemorySegment handle, Key key) {
    gemm = key.gemm();
    int output =
        switch (gemm.output()) {
          case BF16 -> CUDA_R_16BF();
          case F32 -> CUDA_R_32F();
        };
    operation = operation();
    layoutA = operand(gemm.a(), gemm.m(), gemm.k());
    layoutB = operand(gemm.b(), gemm.k(), gemm.n());
    layoutC = layout(output, gemm.m(), gemm.n(), gemm.strideC());
    layoutD = layout(output, gemm.m(), gemm.n(), gemm.strideD());
    algorithm = choose(handle, preference(key), key);
  }

  /// @throws CudaException if no algorithm computes this form
  static GemmPlan choose(MemorySegment handle, Key key) {
    return new GemmPlan(handle, key);
  }

  void run(
      MemorySegment handle,
      MemorySegment stream,
      CublasLt.Matrices at,
      MemorySegment factors,
      CublasLt.Workspace workspace) {
    int status =
        cublasLtMatmul(
            handle,
            operation,
            factors,
            pointer(at.b()),
            layoutB,
            pointer(at.a()),
            layoutA,
            factors.asSlice(4),
            pointer(at.c()),
            layoutC,
            pointer(at.d()),
            layoutD,
            algorithm,
            pointer(workspace.pointer()),
            workspace.bytes(),
            stream);
    if (status != 0) {
      throw failure(status, "cublasLtMatmul(" + gemm + ", " + at + ", " + workspace + ")");
    }
  }

  void destroy() {
    destructors.forEach(Runnable::run);
    destructors.clear();
    arena.close();
  }

  static void check(int status, Supplier<String> call) {
    if (status != 0) {
      throw failure(status, call.get());
    }
  }

  private static CudaException failure(int status, String call) {
    MemorySegment name = cublasLtGetStatusName(status);
    return CudaException.ofLibrary(
        status, name.address() == 0 ? "a cuBLAS error" : name.reinterpret(256).getString(0), call);
  }

  private MemorySegment operation() {
    MemorySegment result =
        create(
            out -> cublasLtMatmulDescCreate(out, CUBLAS_COMPUTE_32F(), CUDA_R_32F()),
            "cublasLtMatmulDescCreate");
    destructors.add(
        () -> check(cublasLtMatmulDescDestroy(result), () -> "cublasLtMatmulDescDestroy()"));
    IntUnaryOperator transpose =
        attribute ->
            cublasLtMatmulDescSetAttribute(
                result, attribute, arena.allocateFrom(JAVA_INT, CUBLAS_OP_T()), 4);
    if (gemm.b().transposed()) {
      check(
          transpose.applyAsInt(CUBLASLT_MATMUL_DESC_TRANSA()),
          () -> "cublasLtMatmulDescSetAttribute(TRANSA)");
    }
    if (gemm.a().transposed()) {
      check(
          transpose.applyAsInt(CUBLASLT_MATMUL_DESC_TRANSB()),
          () -> "cublasLtMatmulDescSetAttribute(TRANSB)");
    }
    return result;
  }

  private MemorySegment operand(Gemm.Operand operand, long rows, long columns) {
    return operand.transposed()
        ? layout(CUDA_R_16BF(), columns, rows, operand.stride())
        : layout(CUDA_R_16BF(), rows, columns, operand.stride());
  }

  /// The row-major matrix `[rows, columns]` as the column-major one `[columns, rows]`.
  private MemorySegment layout(int type, long rows, long columns, long stride) {
    MemorySegment result =
        create(
            out -> cublasLtMatrixLayoutCreate(out, type, columns, rows, stride),
            "cublasLtMatrixLayoutCreate");
    destructors.add(
        () -> check(cublasLtMatrixLayoutDestroy(result), () -> "cublasLtMatrixLayoutDestroy()"));
    return result;
  }

  private MemorySegment preference(Key key) {
    MemorySegment result =
        create(out -> cublasLtMatmulPreferenceCreate(out), "cublasLtMatmulPreferenceCreate");
    destructors.add(() ->
        check(cublasLtMatmulPreferenceDestroy(result), () -> "cublasLtMatmulPreferenceDestroy()"));
    MemorySegment workspace = arena.allocateFrom(JAVA_LONG, key.workspaceBytes());
    check(
        cublasLtMatmulPreferenceSetAttribute(
            result, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(), workspace, 8),
        () -> "cublasLtMatmulPreferenceSetAttribute(MAX_WORKSPACE_BYTES)");
    prefer(
        result,
        CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK(),
        CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE());
    prefer(result, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), key.alignB());
    prefer(result, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), key.alignA());
    prefer(result, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), key.alignC());
    prefer(result, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), key.alignD());
    return result;
  }

  private void prefer(MemorySegment preference, int attribute, int value) {
    check(
        cublasLtMatmulPreferenceSetAttribute(
            preference, attribute, arena.allocateFrom(JAVA_INT, value), 4),
        () -> "cublasLtMatmulPreferenceSetAttribute(" + attribute + ", " + value + ")");
  }

  /// The first of the library's proposals, best by its own model, unless it is a large product and
  /// a later one has the tile that draws less power. Measured nowhere at run time: the same product
  /// gets the same algorithm, hence the same bits, every time.
  private MemorySegment choose(MemorySegment handle, MemorySegment preference, Key key) {
    MemorySegment proposals = cublasLtMatmulHeuristicResult_t.allocateArray(PROPOSALS, arena);
    MemorySegment found = arena.allocate(JAVA_INT);
    int status =
        cublasLtMatmulAlgoGetHeuristic(
            handle,
            operation,
            layoutB,
            layoutA,
            layoutC,
            layoutD,
            preference,
            PROPOSALS,
            proposals,
            found);
    int count = found.get(JAVA_INT, 0);
    if (status != 0 || count == 0) {
      destroy();
      throw failure(
          status != 0 ? status : CUBLAS_STATUS_NOT_SUPPORTED(),
          "cublasLtMatmulAlgoGetHeuristic(" + key + ")");
    }
    boolean large = (double) gemm.m() * gemm.n() * gemm.k() >= LARGE && gemm.m() >= FEW;
    if (large && (gemm.n() <= NARROW || gemm.m() < 2 * FEW)) {
      for (int i = 0; i < count; i++) {
        MemorySegment algorithm = algorithm(proposals, i);
        if (tile(algorithm) == PREFERRED_TILE) {
          return algorithm;
        }
      }
    }
    return algorithm(proposals, 0);
  }

  private static MemorySegment algorithm(MemorySegment proposals, int index) {
    return cublasLtMatmulHeuristicResult_t.algo(
        cublasLtMatmulHeuristicResult_t.asSlice(proposals, index));
  }

  private int tile(MemorySegment algorithm) {
    MemorySegment tile = arena.allocate(JAVA_INT);
    int status =
        cublasLtMatmulAlgoConfigGetAttribute(
            algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID(), tile, 4, MemorySegment.NULL);
    return status == 0 ? tile.get(JAVA_INT, 0) : 0;
  }

  private MemorySegment create(ToIntFunction<MemorySegment> call, String name) {
    MemorySegment out = arena.allocate(ADDRESS);
    check(call.applyAsInt(out), () -> name + "(" + gemm + ")");
    return out.get(ADDRESS, 0);
  }

  private static MemorySegment pointer(DevicePtr device) {
    return MemorySegment.ofAddress(device.address());
  }
}
