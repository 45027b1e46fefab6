// What every kernel family shares: 16-byte vectors of bf16, warp and block reductions in a fixed order, typed loads.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

namespace gatun {

using bf16 = __nv_bfloat16;

// Eight bf16 values as one 16-byte access.
union Vec8 {
  uint4 raw;
  __nv_bfloat162 pair[4];
};

__device__ __forceinline__ void unpack8(const uint4& raw, float (&out)[8]) {
  Vec8 v;
  v.raw = raw;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float2 f = __bfloat1622float2(v.pair[i]);
    out[2 * i] = f.x;
    out[2 * i + 1] = f.y;
  }
}

__device__ __forceinline__ uint4 pack8(const float (&in)[8]) {
  Vec8 v;
#pragma unroll
  for (int i = 0; i < 4; i++) v.pair[i] = __floats2bfloat162_rn(in[2 * i], in[2 * i + 1]);
  return v.raw;
}

// Loads `width` (8 or 1) consecutive bf16 values; only the first `width` entries of `out` are set.
template <int WIDTH>
__device__ __forceinline__ void load(const bf16* p, float (&out)[8]) {
  if constexpr (WIDTH == 8) {
    unpack8(*reinterpret_cast<const uint4*>(p), out);
  } else {
    out[0] = __bfloat162float(*p);
  }
}

template <int WIDTH>
__device__ __forceinline__ void store(bf16* p, const float (&in)[8]) {
  if constexpr (WIDTH == 8) {
    *reinterpret_cast<uint4*>(p) = pack8(in);
  } else {
    *p = __float2bfloat16_rn(in[0]);
  }
}

// Butterfly sum: every lane gets the same bits.
__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) v += __shfl_xor_sync(0xffffffffu, v, mask);
  return v;
}

__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, mask));
  return v;
}

// Sum over a group of GROUP threads that is one warp or the whole block; `shared` holds 32 floats. All threads get the sum.
template <int GROUP>
__device__ __forceinline__ float group_sum(float v, float* shared) {
  v = warp_sum(v);
  if constexpr (GROUP == 32) {
    return v;
  } else {
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    __syncthreads();
    if (lane == 0) shared[warp] = v;
    __syncthreads();
    return warp_sum(lane < GROUP / 32 ? shared[lane] : 0.f);
  }
}

// Element types of kernels that take more than bf16; the values match dev.gatun.cuda.op.
enum ElementType : int { F32 = 0, BF16 = 1, F16 = 2 };

__device__ __forceinline__ float load_as_float(const void* p, int64_t i, int type) {
  switch (type) {
    case BF16:
      return __bfloat162float(static_cast<const bf16*>(p)[i]);
    case F16:
      return __half2float(static_cast<const __half*>(p)[i]);
    default:
      return static_cast<const float*>(p)[i];
  }
}

__device__ __forceinline__ void store_as(void* p, int64_t i, int type, float v) {
  switch (type) {
    case BF16:
      static_cast<bf16*>(p)[i] = __float2bfloat16_rn(v);
      break;
    case F16:
      static_cast<__half*>(p)[i] = __float2half_rn(v);
      break;
    default:
      static_cast<float*>(p)[i] = v;
  }
}

// Loads WIDTH consecutive values of a typed array whose element `i` is aligned for a vector access when WIDTH is 8.
template <int WIDTH>
__device__ __forceinline__ void load_typed(const void* p, int64_t i, int type, float (&out)[8]) {
  if constexpr (WIDTH == 8) {
    if (type == BF16) {
      unpack8(*reinterpret_cast<const uint4*>(static_cast<const bf16*>(p) + i), out);
      return;
    }
    if (type == F32) {
      const float4* q = reinterpret_cast<const float4*>(static_cast<const float*>(p) + i);
      float4 a = q[0], b = q[1];
      out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w;
      out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
      return;
    }
  }
#pragma unroll
  for (int j = 0; j < WIDTH; j++) out[j] = load_as_float(p, i + j, type);
}

}  // namespace gatun
