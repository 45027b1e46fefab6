// Softmax cross-entropy over one chunk of logits, forward and backward in one launch.
//
//   z = cap(logit_scale * (raw + bias)),  cap(u) = softcap * tanh(u / softcap) or u
//   token_loss = (1 - s) * (lse - z[label]) + s * (lse - mean(z))
//   draw = (softmax(z) - (1 - s) * onehot(label) - s / V) * upstream * logit_scale * cap'(u)
//
// raw [rows, V] f32 or bf16, row stride in elements; labels i32 [rows]; token_loss f32 [rows]; correct i32 [rows] (1 where the first
// largest logit is the label) or null; entropy f32 [rows] or null; upstream f32 [1].
// The gradient overwrites the logits as bf16: for f32 logits, element i of a row lies at bf16 index i of the same row, so that the row
// stride of the gradient is twice that of the logits. Launch: one block of 512 threads a row.
// Bytes: logits read twice (the second time mostly from the L2 cache), gradient written once.
#include <math_constants.h>

#include "common.cuh"

namespace gatun {

constexpr int LOSS_THREADS = 512;

// Running maximum, its index, and sums scaled by exp(-maximum).
struct Softmax {
  float max = -CUDART_INF_F;
  int index = 0x7fffffff;
  float sum = 0.f;       // of exp(z - max)
  float weighted = 0.f;  // of exp(z - max) * z
  float plain = 0.f;     // of z

  __device__ __forceinline__ void merge(const Softmax& o) {
    float m = fmaxf(max, o.max);
    if (o.max > max || (o.max == max && o.index < index)) index = o.index;
    float a = max == -CUDART_INF_F ? 0.f : __expf(max - m), b = o.max == -CUDART_INF_F ? 0.f : __expf(o.max - m);
    sum = sum * a + o.sum * b;
    weighted = weighted * a + o.weighted * b;
    plain += o.plain;
    max = m;
  }
};

__device__ __forceinline__ Softmax shuffle(const Softmax& s, int mask) {
  Softmax o;
  o.max = __shfl_xor_sync(0xffffffffu, s.max, mask);
  o.index = __shfl_xor_sync(0xffffffffu, s.index, mask);
  o.sum = __shfl_xor_sync(0xffffffffu, s.sum, mask);
  o.weighted = __shfl_xor_sync(0xffffffffu, s.weighted, mask);
  o.plain = __shfl_xor_sync(0xffffffffu, s.plain, mask);
  return o;
}

struct LossShape {
  float scale, softcap;
  const void* bias;
  int bias_type;

  __device__ __forceinline__ float logit(float raw, int i) const {
    if (bias != nullptr) raw += load_as_float(bias, i, bias_type);
    float u = raw * scale;
    return softcap > 0.f ? softcap * tanhf(u / softcap) : u;
  }
  // d logit / d raw, from the logit.
  __device__ __forceinline__ float slope(float z) const {
    float t = softcap > 0.f ? z / softcap : 0.f;
    return scale * (1.f - t * t);
  }
};

template <typename T, int WIDTH>
__device__ __forceinline__ void load_logits(const T* p, float (&out)[8]) {
  if constexpr (sizeof(T) == 2) {
    load<WIDTH>(p, out);
  } else {
    load_typed<WIDTH>(p, 0, F32, out);
  }
}

template <typename T, int WIDTH>
__device__ void cross_entropy(T* logits, int64_t stride, int vocabulary, const int* labels, float* token_loss, int* correct,
                              float* entropy, const float* upstream, float smoothing, LossShape shape) {
  __shared__ Softmax shared[LOSS_THREADS / 32];
  T* row = logits + blockIdx.x * stride;
  int label = labels[blockIdx.x];
  Softmax s;
  float v[8];
  for (int i = threadIdx.x * WIDTH; i < vocabulary; i += LOSS_THREADS * WIDTH) {
    load_logits<T, WIDTH>(row + i, v);
    float m = s.max;
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      v[j] = shape.logit(v[j], i + j);
      if (v[j] > m) m = v[j], s.index = i + j;
    }
    if (m > s.max) {
      float a = s.max == -CUDART_INF_F ? 0.f : __expf(s.max - m);
      s.sum *= a;
      s.weighted *= a;
      s.max = m;
    }
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      float e = __expf(v[j] - s.max);
      s.sum += e;
      s.weighted += e * v[j];
      s.plain += v[j];
    }
  }
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) s.merge(shuffle(s, mask));
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = s;
  __syncthreads();
  s = shared[0];
  for (int w = 1; w < LOSS_THREADS / 32; w++) s.merge(shared[w]);
  float lse = s.max + logf(s.sum);
  if (threadIdx.x == 0) {
    float target = shape.logit(load_as_float(row, label, sizeof(T) == 2 ? BF16 : F32), label);
    token_loss[blockIdx.x] = (1.f - smoothing) * (lse - target) + (smoothing > 0.f ? smoothing * (lse - s.plain / vocabulary) : 0.f);
    if (correct != nullptr) correct[blockIdx.x] = s.index == label;
    if (entropy != nullptr) entropy[blockIdx.x] = lse - s.weighted / s.sum;
  }
  if (upstream == nullptr) return;
  float up = upstream[0];
  float off = smoothing / vocabulary;
  bf16* gradient = reinterpret_cast<bf16*>(row);
  __syncthreads();  // the label's logit has been read
  for (int base = 0; base < vocabulary; base += LOSS_THREADS * WIDTH) {
    int i = base + threadIdx.x * WIDTH;
    bool inside = i < vocabulary;
    if (inside) {
      load_logits<T, WIDTH>(row + i, v);
#pragma unroll
      for (int j = 0; j < WIDTH; j++) {
        float z = shape.logit(v[j], i + j);
        float p = __expf(z - lse) - off - (i + j == label ? 1.f - smoothing : 0.f);
        v[j] = p * up * shape.slope(z);
      }
    }
    if constexpr (sizeof(T) == 4) __syncthreads();  // the gradient lands on logits of this chunk that others still read
    if (inside) store<WIDTH>(gradient + i, v);
  }
}

}  // namespace gatun

using gatun::bf16;

#define CROSS_ENTROPY(NAME, TYPE)                                                                                                \
  extern "C" __global__ void __launch_bounds__(gatun::LOSS_THREADS)                                                            \
      NAME(TYPE* logits, int64_t stride, int vocabulary, const int* labels, float* token_loss, int* correct, float* entropy,   \
           const float* upstream, float smoothing, float scale, float softcap, const void* bias, int bias_type, int vector) {  \
    gatun::LossShape shape{scale, softcap, bias, bias_type};                                                                   \
    if (vector)                                                                                                                \
      gatun::cross_entropy<TYPE, 8>(logits, stride, vocabulary, labels, token_loss, correct, entropy, upstream, smoothing,     \
                                    shape);                                                                                    \
    else                                                                                                                       \
      gatun::cross_entropy<TYPE, 1>(logits, stride, vocabulary, labels, token_loss, correct, entropy, upstream, smoothing,     \
                                    shape);                                                                                    \
  }
CROSS_ENTROPY(cross_entropy_f32, float)
