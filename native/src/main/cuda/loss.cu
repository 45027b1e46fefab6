// Softmax cross-entropy over one chunk of rows, whose logits exist in F32 for one slice of the vocabulary at a time and in 16 bits, as
// differences from a maximum near by, for all of it.
//
//   z = cap(logit_scale * (raw + bias)),  cap(u) = softcap * tanh(u / softcap) or u
//   token_loss = (1 - s) * (lse - z[label]) + s * (lse - mean(z))
//   draw = (softmax(z) - (1 - s) * onehot(label) - s / V) * upstream * logit_scale * cap'(u)
//
// cross_entropy_slice: for every row and group of 2048 columns of a slice its maximum, index of the first maximum and sums, from F32
//   logits; target[row] where the label lies in it; and kept = (maximum of the group - z) / step, rounded, unless null. A step is 2^-10,
//   or 2^-15 of softcap where that is more: half a step changes a probability by 2^-11 of itself at most, which is less than rounding the
//   gradient to bf16 does. The last code, 64 and more below the maximum, is read as probability 0.
//   raw [rows, columns] f32 and kept [rows, columns] u16 with any row stride; first is the slice's first column, a multiple of 2048; the
//   sums that entropy and smoothing want only with figures. One warp a row and group.
// cross_entropy_finish: losses from the groups of a row, and its gradient, bf16, in place of kept. One block a row.
//   token_loss f32 [rows]; correct i32 [rows] (1 where the first largest logit is the label) or null; entropy f32 [rows] or null;
//   upstream f32 [1], null to leave the gradient out.
// Bytes: each logit read once in F32 (from the L2 cache, if the slice fits), written, read and written once in 16 bits.
#include <math_constants.h>

#include "common.cuh"

namespace gatun {

constexpr int SLICE_THREADS = 256, FINISH_THREADS = 512, GROUP = 2048;

// Running maximum, its index, and sums scaled by exp(-maximum).
struct Softmax {
  float max = -CUDART_INF_F;
  int index = 0x7fffffff;
  float sum = 0.f;       // of exp(z - max)
  float weighted = 0.f;  // of exp(z - max) * (z - max)
  float plain = 0.f;     // of z

  __device__ __forceinline__ void merge(const Softmax& o) {
    float m = fmaxf(max, o.max);
    if (o.max > max || (o.max == max && o.index < index)) index = o.index;
    // Nothing yet, or nothing but minus infinities: no terms.
    float d = max == -CUDART_INF_F ? 0.f : max - m, od = o.max == -CUDART_INF_F ? 0.f : o.max - m;
    float a = __expf(d), b = __expf(od);
    weighted = (weighted + d * sum) * a + (o.weighted + od * o.sum) * b;
    sum = sum * a + o.sum * b;
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
  __device__ __forceinline__ float step() const { return fmaxf(0x1p-10f, softcap * 0x1p-15f); }
};

// Sixteen bits of a number of steps from 0 to 65535. Added to 2^23 they are the last bits of a float, rounded to nearest.
struct Code {
  static constexpr float ZERO = 0x1p23f, LAST = 65535.f;
  static constexpr unsigned ZERO_BITS = 0x4b000000u;

  // Not a number becomes LAST.
  static __device__ __forceinline__ unsigned encode(float below, float per_step) {
    return __float_as_uint(fminf(fmaf(below, per_step, ZERO), ZERO + LAST));
  }
  static __device__ __forceinline__ float decode(unsigned code) { return __uint_as_float(ZERO_BITS | code) - ZERO; }
};

__device__ __forceinline__ void store_codes(uint16_t* p, const float (&below)[8], float per_step) {
  unsigned pair[4];
#pragma unroll
  for (int j = 0; j < 4; j++)
    pair[j] = __byte_perm(Code::encode(below[2 * j], per_step), Code::encode(below[2 * j + 1], per_step), 0x5410);
  *reinterpret_cast<uint4*>(p) = make_uint4(pair[0], pair[1], pair[2], pair[3]);
}

template <int WIDTH>
__device__ __forceinline__ void load_codes(const uint16_t* p, float (&out)[8]) {
  if constexpr (WIDTH == 8) {
    uint4 q = *reinterpret_cast<const uint4*>(p);
    unsigned pair[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
    for (int j = 0; j < 4; j++) out[2 * j] = Code::decode(pair[j] & 0xffff), out[2 * j + 1] = Code::decode(pair[j] >> 16);
  } else {
    out[0] = Code::decode(*p);
  }
}

// Merges the parts of all threads; every thread gets the whole.
__device__ __forceinline__ Softmax merge_block(Softmax s, Softmax (&shared)[FINISH_THREADS / 32]) {
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) s.merge(shuffle(s, mask));
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = s;
  __syncthreads();
  s = shared[0];
#pragma unroll
  for (int w = 1; w < FINISH_THREADS / 32; w++) s.merge(shared[w]);
  return s;
}

struct SliceArguments {
  const float* raw;
  int64_t raw_stride, rows;
  int columns, first;
  const int* labels;
  Softmax* groups;
  int group_count;
  float* target;
  uint16_t* kept;
  int64_t kept_stride;
  int figures;
  LossShape shape;
};

// A warp has a row's group in registers: 64 logits a lane, in eight runs of eight.
template <int WIDTH>
__device__ __forceinline__ void cross_entropy_slice(const SliceArguments& p) {
  constexpr int RUNS = GROUP / 256;
  int lane = threadIdx.x & 31;
  int groups = (p.columns + GROUP - 1) / GROUP;
  int64_t index = blockIdx.x * int64_t{SLICE_THREADS / 32} + (threadIdx.x >> 5);
  int64_t row = index / groups;
  if (row >= p.rows) return;
  int group = static_cast<int>(index % groups);
  const float* raw = p.raw + row * p.raw_stride;
  int label = p.labels[row] - p.first;
  float v[RUNS][8];
  Softmax s;
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    int begin = group * GROUP + k * 256 + lane * 8;
    if (WIDTH == 8 && begin < p.columns) load_typed<8>(raw, begin, F32, v[k]);
#pragma unroll
    for (int j = 0; j < 8; j++) {
      if (WIDTH == 1) v[k][j] = begin + j < p.columns ? raw[begin + j] : 0.f;
      v[k][j] = begin + j < p.columns ? p.shape.logit(v[k][j], p.first + begin + j) : -CUDART_INF_F;
      if (v[k][j] > s.max) s.max = v[k][j], s.index = p.first + begin + j;
      if (begin + j == label) p.target[row] = v[k][j];
    }
  }
  float max = warp_max(s.max);
  int first = s.max == max ? s.index : 0x7fffffff;
#pragma unroll
  for (int mask = 16; mask > 0; mask >>= 1) first = min(first, __shfl_xor_sync(0xffffffffu, first, mask));
  // Nothing but minus infinities has no maximum to subtract.
  float reference = max == -CUDART_INF_F ? 0.f : max;
  float per_step = 1.f / p.shape.step();
#pragma unroll
  for (int k = 0; k < RUNS; k++) {
    int begin = group * GROUP + k * 256 + lane * 8;
    uint16_t* kept = p.kept + row * p.kept_stride + begin;
#pragma unroll
    for (int j = 0; j < 8; j++) {
      float z = v[k][j];
      v[k][j] = reference - z;
      if (begin + j >= p.columns) continue;
      float e = __expf(-v[k][j]);
      s.sum += e;
      if (p.figures) {
        s.weighted -= e > 0.f ? e * v[k][j] : 0.f;
        s.plain += z;
      }
      if (WIDTH == 1 && p.kept != nullptr) kept[j] = static_cast<uint16_t>(Code::encode(v[k][j], per_step));
    }
    if (WIDTH == 8 && p.kept != nullptr && begin < p.columns) store_codes(kept, v[k], per_step);
  }
  s.max = max;
  s.index = first;
  s.sum = warp_sum(s.sum);
  if (p.figures) {
    s.weighted = warp_sum(s.weighted);
    s.plain = warp_sum(s.plain);
  }
  if (lane == 0) p.groups[row * p.group_count + p.first / GROUP + group] = s;
}

struct FinishArguments {
  const Softmax* groups;
  int group_count, vocabulary;
  const int* labels;
  const float* target;
  float* token_loss;
  int* correct;
  float* entropy;
  const float* upstream;
  float smoothing;
  uint16_t* kept;  // and then the gradient
  int64_t stride;
  LossShape shape;
};

template <int WIDTH>
__device__ __forceinline__ void cross_entropy_finish(const FinishArguments& p) {
  __shared__ Softmax shared[FINISH_THREADS / 32];
  int64_t row = blockIdx.x;
  const Softmax* groups = p.groups + row * p.group_count;
  Softmax s;
  for (int g = threadIdx.x; g < p.group_count; g += FINISH_THREADS) s.merge(groups[g]);
  s = merge_block(s, shared);
  float lse = s.max + logf(s.sum);
  int label = p.labels[row];
  float target = p.target[row];
  if (threadIdx.x == 0) {
    p.token_loss[row] = (1.f - p.smoothing) * (lse - target) + (p.smoothing > 0.f ? p.smoothing * (lse - s.plain / p.vocabulary) : 0.f);
    if (p.correct != nullptr) p.correct[row] = s.index == label;
    if (p.entropy != nullptr) p.entropy[row] = logf(s.sum) - s.weighted / s.sum;
  }
  if (p.upstream == nullptr) return;
  float up = p.upstream[0];
  float off = p.smoothing / p.vocabulary;
  float step = p.shape.step();
  uint16_t* kept = p.kept + row * p.stride;
  float v[8];
  for (int i = threadIdx.x * WIDTH; i < p.vocabulary; i += FINISH_THREADS * WIDTH) {
    float reference = groups[i / GROUP].max;
    if (reference == -CUDART_INF_F) reference = 0.f;
    load_codes<WIDTH>(kept + i, v);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      // The label's own probability from its exact logit: what the gradient is largest at.
      float z = i + j == label ? target : fmaf(v[j], -step, reference);
      float e = i + j != label && v[j] == Code::LAST ? -CUDART_INF_F : z;
      float g = __expf(e - lse) - off - (i + j == label ? 1.f - p.smoothing : 0.f);
      v[j] = g * up * p.shape.slope(z);
    }
    store<WIDTH>(reinterpret_cast<bf16*>(kept) + i, v);
  }
}

}  // namespace gatun

extern "C" __global__ void __launch_bounds__(gatun::SLICE_THREADS)
    cross_entropy_slice(const float* raw, int64_t raw_stride, int64_t rows, int columns, int first, const int* labels,
                        gatun::Softmax* groups, int group_count, float* target, uint16_t* kept, int64_t kept_stride, int figures, float scale,
                        float softcap, const void* bias, int bias_type, int vector) {
  gatun::SliceArguments p{raw,         raw_stride, rows, columns,     first,   labels,
                          groups, group_count, target, kept, kept_stride, figures, {scale, softcap, bias, bias_type}};
  if (vector)
    gatun::cross_entropy_slice<8>(p);
  else
    gatun::cross_entropy_slice<1>(p);
}

extern "C" __global__ void __launch_bounds__(gatun::FINISH_THREADS)
    cross_entropy_finish(const gatun::Softmax* groups, int group_count, int vocabulary, const int* labels, const float* target,
                         float* token_loss, int* correct, float* entropy, const float* upstream, float smoothing, uint16_t* kept,
                         int64_t stride, float scale, float softcap, int vector) {
  gatun::FinishArguments p{groups,  group_count, vocabulary, labels,   target, token_loss, correct,
                           entropy, upstream,    smoothing,  kept, stride, {scale, softcap, nullptr, 0}};
  if (vector)
    gatun::cross_entropy_finish<8>(p);
  else
    gatun::cross_entropy_finish<1>(p);
}
