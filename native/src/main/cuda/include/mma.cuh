// Warp-level tensor core instructions of sm_80: fragments, loads from swizzled shared memory, asynchronous copies.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

namespace gatun {

using bf16 = __nv_bfloat16;

// The tensor cores are reached through inline PTX because nvcc's wmma fragments have no documented layout, and attention
// turns an accumulator into the next product's operand in registers.
//
// Layout with g = lane / 4, t = lane % 4: a = {(g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)} of A [16, 16],
// b = {(2t, g), (2t + 8, g)} of B [16, 8], c = {(g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)} of C [16, 8].
__device__ __forceinline__ void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// One instruction instead of sixteen 2-byte loads: four 8 × 8 tiles arrive in fragment layout.
__device__ __forceinline__ void ldmatrix(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// The same, each tile transposed: an operand whose reduction runs over rows needs no transposed copy.
__device__ __forceinline__ void ldmatrix_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Global to shared memory past the registers; a false `valid` writes zeros and does not read, so that `source` may lie outside.
__device__ __forceinline__ void copy16_async(uint32_t destination, const void* source, bool valid) {
  int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(destination), "l"(source), "r"(bytes) : "memory");
}

__device__ __forceinline__ void copy8_async(uint32_t destination, const void* source, bool valid) {
  int bytes = valid ? 8 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(destination), "l"(source), "r"(bytes) : "memory");
}

// Closes the group of copies that wait_copies counts.
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most PENDING groups of this thread's copies are under way.
template <int PENDING>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

__device__ __forceinline__ uint32_t pack(float low, float high) {
  __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<uint32_t&>(v);
}

// The hardware's own instruction: two ulp suffice for weights that are rounded to bf16.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Byte offset of 16-byte chunk `chunk` of row `row` in a tile of D bf16 columns. Chunks are permuted within groups so that
// eight consecutive rows of one chunk column lie in eight different banks groups.
template <int D>
__device__ __forceinline__ uint32_t swizzled(int row, int chunk) {
  static_assert(D % 16 == 0, "rows are whole 32-byte pieces");
  int key = D % 64 == 0 ? row & 7 : D % 32 == 0 ? (row >> 1) & 3 : (row >> 2) & 1;
  return static_cast<uint32_t>(row * (D * 2) + ((chunk ^ key) << 4));
}

// Fragment A: rows row0 … row0 + 15, columns 16·k … 16·k + 15.
template <int D>
__device__ __forceinline__ void load_a(uint32_t (&a)[4], uint32_t tile, int row0, int k, int lane) {
  ldmatrix(a, tile + swizzled<D>(row0 + (lane & 15), 2 * k + (lane >> 4)));
}

// Fragments B of two neighbouring 8-column tiles where the tile's rows are B's columns (X · tileᵀ):
// {b[0], b[1]} for rows row0 … row0 + 7, {b[2], b[3]} for the next eight.
template <int D>
__device__ __forceinline__ void load_b(uint32_t (&b)[4], uint32_t tile, int row0, int k, int lane) {
  ldmatrix(b, tile + swizzled<D>(row0 + (lane & 7) + ((lane >> 4) << 3), 2 * k + ((lane >> 3) & 1)));
}

// Fragments B of two neighbouring 8-column tiles where the tile's rows are the reduction (X · tile), columns 16·j ….
template <int D>
__device__ __forceinline__ void load_b_transposed(uint32_t (&b)[4], uint32_t tile, int row0, int j, int lane) {
  ldmatrix_transposed(b, tile + swizzled<D>(row0 + (lane & 15), 2 * j + (lane >> 4)));
}

// Copies ROWS rows of D columns; rows from `rows` on and columns from `columns` on become zero.
template <int ROWS, int D, int THREADS>
__device__ __forceinline__ void copy_tile_async(uint32_t tile, const bf16* source, int64_t stride, int rows, int columns) {
  constexpr int CHUNKS = D / 8;
  if constexpr (THREADS % CHUNKS == 0) {  // a thread stays in one column: one pointer that advances
    constexpr int STEP = THREADS / CHUNKS;
    int row = static_cast<int>(threadIdx.x) / CHUNKS, chunk = static_cast<int>(threadIdx.x) % CHUNKS;
    const bf16* from = source + row * stride + chunk * 8;
    bool column = chunk * 8 < columns;
#pragma unroll 4
    for (int i = 0; i < ROWS / STEP; i++) {
      copy16_async(tile + swizzled<D>(row, chunk), from, column && row < rows);
      from += STEP * stride;
      row += STEP;
    }
  } else {
#pragma unroll 4
    for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
      int row = i / CHUNKS, chunk = i % CHUNKS;
      copy16_async(tile + swizzled<D>(row, chunk), source + row * stride + chunk * 8, row < rows && chunk * 8 < columns);
    }
  }
}

// Hides a value's origin, so that the compiler computes addresses derived from it where they are used instead of keeping all of
// an unrolled loop's addresses in registers across the outer loop.
__device__ __forceinline__ int opaque(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

// Writes rows row0 … row0 + ROWS - 1 of a tile by one warp, those below `rows` and their first `columns` columns.
template <int D, int ROWS>
__device__ __forceinline__ void store_rows(const unsigned char* tile, int row0, bf16* out, int64_t stride, int rows, int columns,
                                           int lane) {
  constexpr int CHUNKS = D / 8;
  for (int i = lane; i < ROWS * CHUNKS; i += 32) {
    int row = row0 + i / CHUNKS, chunk = i % CHUNKS;
    if (row < rows && chunk * 8 < columns)
      *reinterpret_cast<uint4*>(out + row * stride + chunk * 8) = *reinterpret_cast<const uint4*>(tile + swizzled<D>(row, chunk));
  }
}

}  // namespace gatun
