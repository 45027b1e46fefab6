// The counter-based generator behind dropout and noise: Philox4x32-10 (Salmon et al., 2011), the same bits as dev.gatun.op.Philox.
// Word `index & 3` of the block with key (seed, seed >> 32) and counter (index >> 2, index >> 34, stream, step) belongs to element `index`.
#pragma once
#include <stdint.h>

namespace gatun {

__device__ __forceinline__ uint4 philox(uint64_t seed, uint32_t step, uint32_t stream, uint64_t block) {
  uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = stream, c3 = step;
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    uint32_t h0 = __umulhi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0;
    uint32_t h1 = __umulhi(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return make_uint4(c0, c1, c2, c3);
}

}  // namespace gatun
