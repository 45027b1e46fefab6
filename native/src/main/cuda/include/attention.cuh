// What every attention kernel shares: the work list, the mask and the score function.
#pragma once
#include "mma.cuh"

namespace gatun {

constexpr float LOG2E = 1.4426950408889634f;

// One sequence: where its rows are, and how far its first query is into its keys.
struct Sequence {
  int64_t query, key;  // first rows
  int queries, keys;
  int offset;  // query j sees keys up to offset + j

  __device__ __forceinline__ Sequence(const int* query_start, const int* key_start, const int* key_length, int s) {
    query = query_start[s];
    queries = query_start[s + 1] - query_start[s];
    key = key_start[s];
    keys = key_length[s];
    offset = keys - queries;
  }

  // Keys that queries first … last see, [begin, end).
  __device__ __forceinline__ int keys_begin(int first, int window) const {
    return window > 0 ? max(0, offset + first - window + 1) : 0;
  }
  __device__ __forceinline__ int keys_end(int last) const { return min(keys, offset + min(last, queries - 1) + 1); }

  // Queries that see any of keys first … last, [begin, end).
  __device__ __forceinline__ int queries_begin(int first) const { return max(0, first - offset); }
  __device__ __forceinline__ int queries_end(int last, int window) const {
    return window > 0 ? min(queries, min(last, keys - 1) - offset + window) : queries;
  }
};

// Which keys a query sees; `key` and `reach` = offset + query count within the sequence.
__device__ __forceinline__ bool visible(int key, int reach, int window) {
  return key <= reach && (window <= 0 || key > reach - window);
}

// score = cap(scale · q·k), kept so that score · factor is in units of log 2.
struct Score {
  float factor;   // of the (capped) score, for exp2
  float inner;    // scale / softcap, 0 without a cap
  float softcap;

  __device__ __forceinline__ Score(float scale, float cap)
      : factor(cap > 0.f ? LOG2E : scale * LOG2E), inner(cap > 0.f ? scale / cap : 0.f), softcap(cap) {}

  // tanh by exp2 and a fast division: 1e-7 absolute, where tanh.approx would be wrong by 5e-4 of the cap.
  __device__ __forceinline__ float capped(float product) const {
    float e = exp2_fast(product * inner * (2.f * LOG2E));
    return softcap * (1.f - __fdividef(2.f, 1.f + e));
  }
  // d capped / d (scale · product), from the capped value.
  __device__ __forceinline__ float slope(float capped_score) const {
    float t = capped_score / softcap;
    return 1.f - t * t;
  }
};

// {lse · log2 e, dout·out} of one row, in each of the four neighbouring lanes that share it in an accumulator: every fourth 16-byte
// chunk is one lane's. Zeros where not `inside`, which must be the same for the four.
template <int D>
__device__ __forceinline__ float2 row_statistics(const bf16* dout, const bf16* out, const float* lse, int columns, bool inside) {
  uint4 x[D / 32] = {}, y[D / 32] = {};
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    int d = 8 * (static_cast<int>(threadIdx.x & 3) + 4 * i);
    if (inside && d < columns) {
      x[i] = *reinterpret_cast<const uint4*>(dout + d);
      y[i] = *reinterpret_cast<const uint4*>(out + d);
    }
  }
  float log_sum = inside ? *lse * LOG2E : 0.f, sum = 0.f;
#pragma unroll
  for (int i = 0; i < D / 32; i++) {
    const __nv_bfloat162* xs = reinterpret_cast<const __nv_bfloat162*>(&x[i]);
    const __nv_bfloat162* ys = reinterpret_cast<const __nv_bfloat162*>(&y[i]);
#pragma unroll
    for (int e = 0; e < 4; e++) {
      float2 u = __bfloat1622float2(xs[e]), w = __bfloat1622float2(ys[e]);
      sum = fmaf(u.y, w.y, fmaf(u.x, w.x, sum));
    }
  }
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  sum += __shfl_xor_sync(0xffffffffu, sum, 2);
  return make_float2(log_sum, sum);
}

// Entry of the work list: sequence (negative: none) and tile within it, heaviest first.
__device__ __forceinline__ int2 work_item(const int2* tiles, int per_tile, int& within) {
  within = static_cast<int>(blockIdx.x % per_tile);
  return tiles[blockIdx.x / per_tile];
}

}  // namespace gatun
