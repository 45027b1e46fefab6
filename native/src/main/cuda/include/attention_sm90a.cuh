// What Hopper's attention kernels share: tiles in the tensor cores' shared-memory layout, the producer's copies, the work order.
#pragma once
#include "attention.cuh"
#include "mbarrier.cuh"
#include "wgmma.cuh"

namespace gatun {

// A tile of ROWS rows and D columns is D / 64 panels of 128-byte rows, swizzled: byte offset of 16-byte chunk `chunk` of `row`.
template <int ROWS>
__device__ __forceinline__ uint32_t panel_offset(int row, int chunk) {
  return static_cast<uint32_t>((chunk >> 3) * (ROWS * 128) + row * 128 + (((chunk ^ row) & 7) << 4));
}

// One warpgroup copies ROWS rows; rows from `rows` on and columns from `columns` on become zero, so that nothing of a neighbouring
// sequence can reach a product. cp.async, not TMA: a tensor map knows no sequence boundaries, and packed rows start anywhere.
template <int ROWS, int D>
__device__ __forceinline__ void copy_panels_async(uint32_t tile, const bf16* source, int64_t stride, int rows, int columns) {
  constexpr int CHUNKS = D / 8, STEP = 128 / CHUNKS;
  static_assert(STEP % 8 == 0 && ROWS % STEP == 0, "a thread keeps its place in the swizzle");
  int row = static_cast<int>(threadIdx.x & 127) / CHUNKS, chunk = static_cast<int>(threadIdx.x & 127) % CHUNKS;
  uint32_t to = tile + panel_offset<ROWS>(row, chunk);
  const bf16* from = source + row * stride + chunk * 8;
  if (chunk * 8 >= columns) rows = 0;
#pragma unroll 8
  for (int i = 0; i < ROWS / STEP; i++) {
    copy16_async(to + i * STEP * 128, from, row + i * STEP < rows);
    from += STEP * stride;
  }
}

// Which stage of a ring of buffers comes next, and the parity of its barriers.
template <int STAGES>
struct Ring {
  int stage = 0, phase = 0;
  __device__ __forceinline__ int previous() const { return stage == 0 ? STAGES - 1 : stage - 1; }
  __device__ __forceinline__ void advance() {
    if (++stage == STAGES) {
      stage = 0;
      phase ^= 1;
    }
  }
};

// The persistent blocks' share of a list sorted heaviest first: dealt back and forth, so that the shares weigh about the same.
__device__ __forceinline__ int dealt(int round) {
  int blocks = gridDim.x, own = blockIdx.x;
  return round * blocks + ((round & 1) ? blocks - 1 - own : own);
}

// The first 64 rows of `left`, a tile of LEFT_ROWS rows, times `right`ᵀ; reduction over D. Descriptors advance by whole 16-byte units.
template <int D, int LEFT_ROWS, int RIGHT_ROWS>
__device__ __forceinline__ void wgmma_transposed(float (&acc)[RIGHT_ROWS / 2], uint32_t left, uint32_t right) {
  uint64_t a = wgmma_tile(left), b = wgmma_tile(right);
#pragma unroll
  for (int k = 0; k < D / 16; k++)
    Wgmma<RIGHT_ROWS>::template shared<0, 0>(acc, a + ((k >> 2) * (LEFT_ROWS * 128) + (k & 3) * 32) / 16,
                                             b + ((k >> 2) * (RIGHT_ROWS * 128) + (k & 3) * 32) / 16, k > 0);
}

// acc += left (registers) · right, whose INNER rows are the reduction.
template <int D, int INNER>
__device__ __forceinline__ void wgmma_add(float (&acc)[D / 2], const uint32_t (&left)[INNER / 16][4], uint32_t right) {
  uint64_t b = wgmma_tile(right, INNER * 128);
#pragma unroll
  for (int k = 0; k < INNER / 16; k++) Wgmma<D>::template registers<1>(acc, left[k], b + k * 128, true);
}

// The same in every lane, which the compiler then knows: addresses and branches that depend on it cost uniform registers only.
__device__ __forceinline__ int warpgroup() { return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 128, 0); }

// The accumulator of one product as the left operand of the next.
template <int N>
__device__ __forceinline__ void to_operand(uint32_t (&p)[N / 16][4], const float (&acc)[N / 2]) {
#pragma unroll
  for (int k = 0; k < N / 16; k++)
#pragma unroll
    for (int i = 0; i < 4; i++) p[k][i] = pack(acc[8 * k + 2 * i], acc[8 * k + 2 * i + 1]);
}

// Writes a warpgroup's accumulator [64, D] as bf16: the four lanes of a row exchange, so that each store is 16 bytes.
template <int D>
__device__ __forceinline__ void store_accumulator(const float (&acc)[D / 2], float low, float high, bf16* out, int64_t stride, int rows,
                                                  int columns) {
  int lane = threadIdx.x & 31, t = lane & 3;
  int row = ((threadIdx.x & 127) >> 5) * 16 + (lane >> 2);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float scale = half ? high : low;
#pragma unroll
    for (int m = 0; m < D / 32; m++) {
      uint32_t w[4];
#pragma unroll
      for (int j = 0; j < 4; j++) w[j] = pack(acc[16 * m + 4 * j + 2 * half] * scale, acc[16 * m + 4 * j + 2 * half + 1] * scale);
#pragma unroll
      for (int step = 1; step <= 2; step *= 2)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          int a = step == 1 ? 2 * i : i, b = a + step;
          uint32_t got = __shfl_xor_sync(0xffffffffu, (t & step) ? w[a] : w[b], step);
          if (t & step)
            w[a] = got;
          else
            w[b] = got;
        }
      int column = 32 * m + 8 * t, r = row + 8 * half;
      if (r < rows && column < columns) *reinterpret_cast<uint4*>(out + r * stride + column) = make_uint4(w[0], w[1], w[2], w[3]);
    }
  }
}

}  // namespace gatun
