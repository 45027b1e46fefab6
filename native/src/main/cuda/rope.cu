// Rotary position embedding, in place.
//
//   x[i]        = x[i] * cos - x[i + half] * sin
//   x[i + half] = x[i + half] * cos + x[i] * sin         for i < half = rotary / 2; sin negated for the backward pass
//
// x bf16 [T, heads, D], token stride in elements; rows i32 [T]; cos, sin f32 [P, half].
// Launch: grid-stride over T * heads * (half / WIDTH) items, 256 threads. `vector` is 1 where half, D and the stride are multiples
// of 8 and x is 16-byte aligned. Bytes: 4 per rotated element; the tables stay in the L2 cache.
#include "common.cuh"

namespace gatun {

template <int WIDTH>
__device__ void rope(bf16* x, const int* rows, const float* cosine, const float* sine, int64_t tokens, int heads, int head_size,
                     int half, int64_t stride, float sign) {
  int per_head = half / WIDTH;
  int64_t items = tokens * heads * per_head;
  for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < items; item += (int64_t)gridDim.x * blockDim.x) {
    int i = (int)(item % per_head) * WIDTH;
    int64_t rest = item / per_head;
    int h = (int)(rest % heads);
    int64_t t = rest / heads;
    bf16* p = x + t * stride + (int64_t)h * head_size + i;
    int64_t angle = (int64_t)rows[t] * half + i;
    float a[8], b[8], c[8], s[8];
    load_typed<WIDTH>(cosine, angle, F32, c);
    load_typed<WIDTH>(sine, angle, F32, s);
    load<WIDTH>(p, a);
    load<WIDTH>(p + half, b);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      float sj = s[j] * sign, cj = c[j];
      float u = a[j] * cj - b[j] * sj;
      b[j] = b[j] * cj + a[j] * sj;
      a[j] = u;
    }
    store<WIDTH>(p, a);
    store<WIDTH>(p + half, b);
  }
}

}  // namespace gatun

extern "C" __global__ void __launch_bounds__(256)
    rope_apply_bf16(gatun::bf16* x, const int* rows, const float* cosine, const float* sine, int64_t tokens, int heads,
                    int head_size, int half, int64_t stride, float sign, int vector) {
  if (vector)
    gatun::rope<8>(x, rows, cosine, sine, tokens, heads, head_size, half, stride, sign);
  else
    gatun::rope<1>(x, rows, cosine, sine, tokens, heads, head_size, half, stride, sign);
}
