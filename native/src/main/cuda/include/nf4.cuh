// The 4-bit NormalFloat code book and how blocks of it are decoded, exactly as bitsandbytes does: value = code[nibble] * scale in f32.
#pragma once
#include "common.cuh"

namespace gatun {

__device__ __constant__ const float NF4_CODE[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
    -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

// The scales of a weight: plain f32, or 8-bit codes with scales of their own in blocks of 256. Each product and sum is rounded by
// itself (no fused multiply-add), as in the reference.
struct Nf4Scales {
  const float* plain;
  const uint8_t* codes;
  const float* absmax;
  const float* map;
  float offset;

  __device__ __forceinline__ float operator()(int64_t block) const {
    if (plain != nullptr) return plain[block];
    return __fadd_rn(__fmul_rn(map[codes[block]], absmax[block >> 8]), offset);
  }
};

// Eight elements from four packed bytes (lowest address first, even element in the high nibble). `code` is the code book in shared
// memory: its 16 entries lie in 16 banks, so that any mix of nibbles is read without conflict.
__device__ __forceinline__ void decode8(uint32_t packed, float scale, const float* code, float (&out)[8]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    uint32_t byte = packed >> (8 * i);
    out[2 * i] = code[(byte >> 4) & 15] * scale;
    out[2 * i + 1] = code[byte & 15] * scale;
  }
}

}  // namespace gatun
