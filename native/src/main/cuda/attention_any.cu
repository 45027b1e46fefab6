// Causal attention for shapes that the tensor core kernels do not take: any D <= 256, any alignment. Equation, shapes and strides in
// attention.cu. Simple on purpose: a warp owns one row, a lane D / 32 of its columns, sums run in a fixed order.
//
// Launch: grid (ceil(longest / 4), heads, min(S, 65535)), block 128, no dynamic shared memory; longest = longest query and heads = N
// for forward and dq, longest key and heads = K for dk and dv. No work list. dq writes `statistics` f32 [N, T, 2], dk and dv
// read it.
// A sequence longer than the bound `longest` is an error of the caller's: its further rows are not written.
// FLOPs per visible pair and query head: 4 D forward, 6 D dq, 8 D dk and dv, on the float32 units.
#include "attention.cuh"

namespace gatun {

constexpr int COLUMNS = 8;  // a lane's: lane, lane + 32, …

__device__ __forceinline__ float sum_over_warp(float v) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}

__device__ __forceinline__ void load_row(float (&x)[COLUMNS], const bf16* p, int columns) {
#pragma unroll
  for (int i = 0; i < COLUMNS; i++) {
    int d = (threadIdx.x & 31) + 32 * i;
    x[i] = d < columns ? __bfloat162float(p[d]) : 0.f;
  }
}

__device__ __forceinline__ void store_row(bf16* p, const float (&x)[COLUMNS], float scale, int columns) {
#pragma unroll
  for (int i = 0; i < COLUMNS; i++) {
    int d = (threadIdx.x & 31) + 32 * i;
    if (d < columns) p[d] = __float2bfloat16_rn(x[i] * scale);
  }
}

__device__ __forceinline__ float dot(const float (&x)[COLUMNS], const float (&y)[COLUMNS]) {
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < COLUMNS; i++) sum = fmaf(x[i], y[i], sum);
  return sum_over_warp(sum);
}

__device__ __forceinline__ void add(float (&sum)[COLUMNS], float factor, const float (&x)[COLUMNS]) {
#pragma unroll
  for (int i = 0; i < COLUMNS; i++) sum[i] = fmaf(factor, x[i], sum[i]);
}

// Weight and ds / scale of one pair.
__device__ __forceinline__ float2 pair_gradient(float product, float dp, const Score& s, float2 row) {
  float slope = 1.f;
  if (s.softcap > 0.f) {
    product = s.capped(product);
    slope = s.slope(product);
  }
  float p = exp2f(fmaf(product, s.factor, -row.x));
  return make_float2(p, p * (dp - row.y) * slope);
}

}  // namespace gatun

extern "C" __global__ void __launch_bounds__(128)
    attention_forward_bf16_any(gatun::bf16* out, float* lse, const gatun::bf16* q, const gatun::bf16* k, const gatun::bf16* v,
                               const int2* /*tiles*/, const int* query_start, const int* key_start, const int* key_length, int64_t out_stride,
                               int64_t q_stride, int64_t k_stride, int64_t v_stride, int sequences, int heads, int key_heads,
                               int head_size, int window, float scale, float softcap) {
  using namespace gatun;
  int j = blockIdx.x * 4 + (threadIdx.x >> 5), head = blockIdx.y;
  int64_t column = static_cast<int64_t>(head) * head_size, key_column = static_cast<int64_t>(head / (heads / key_heads)) * head_size;
  Score score(scale, softcap);
  for (int i = blockIdx.z; i < sequences; i += gridDim.z) {
    Sequence s(query_start, key_start, key_length, i);
    if (j >= s.queries) continue;
    float own[COLUMNS], other[COLUMNS], sum[COLUMNS] = {}, maximum = -INFINITY, total = 0.f;
    load_row(own, q + (s.query + j) * q_stride + column, head_size);
    for (int key = s.keys_begin(j, window); key < s.keys_end(j); key++) {
      load_row(other, k + (s.key + key) * k_stride + key_column, head_size);
      float x = dot(own, other);
      x = (softcap > 0.f ? score.capped(x) : x) * score.factor;
      float largest = fmaxf(maximum, x);
      // A score of -infinity (overflowed inputs) has no weight, also as the first.
      float base = largest == -INFINITY ? 0.f : largest;
      float rescale = exp2f(maximum - base), p = exp2f(x - base);
      maximum = largest;
      total = fmaf(total, rescale, p);
      load_row(other, v + (s.key + key) * v_stride + key_column, head_size);
#pragma unroll
      for (int c = 0; c < COLUMNS; c++) sum[c] = fmaf(p, other[c], sum[c] * rescale);
    }
    store_row(out + (s.query + j) * out_stride + column, sum, total == 0.f ? 0.f : 1.f / total, head_size);
    if ((threadIdx.x & 31) == 0) lse[(s.query + j) * heads + head] = total == 0.f ? -INFINITY : maximum / LOG2E + logf(total);
  }
}

// Five blocks a multiprocessor: left alone, ptxas aims at seven on sm_80 and spills.
extern "C" __global__ void __launch_bounds__(128, 5)
    attention_backward_dq_bf16_any(gatun::bf16* dq, float2* statistics, const gatun::bf16* dout, const gatun::bf16* q,
                                   const gatun::bf16* k, const gatun::bf16* v, const gatun::bf16* out, const float* lse,
                                   const int2* /*tiles*/, const int* query_start, const int* key_start, const int* key_length,
                                   int64_t dq_stride, int64_t dout_stride, int64_t q_stride, int64_t k_stride, int64_t v_stride,
                                   int64_t out_stride, int64_t tokens, int sequences, int heads, int key_heads, int head_size,
                                   int window, float scale, float softcap) {
  using namespace gatun;
  int j = blockIdx.x * 4 + (threadIdx.x >> 5), head = blockIdx.y;
  int64_t column = static_cast<int64_t>(head) * head_size, key_column = static_cast<int64_t>(head / (heads / key_heads)) * head_size;
  Score score(scale, softcap);
  for (int i = blockIdx.z; i < sequences; i += gridDim.z) {
    Sequence s(query_start, key_start, key_length, i);
    if (j >= s.queries) continue;
    int64_t query = s.query + j;
    float own[COLUMNS], upstream[COLUMNS], key_row[COLUMNS], value_row[COLUMNS], sum[COLUMNS] = {};
    load_row(upstream, dout + query * dout_stride + column, head_size);
    load_row(own, out + query * out_stride + column, head_size);
    float2 row = make_float2(lse[query * heads + head] * LOG2E, dot(upstream, own));
    if ((threadIdx.x & 31) == 0) statistics[head * tokens + query] = row;
    load_row(own, q + query * q_stride + column, head_size);
    for (int key = s.keys_begin(j, window); key < s.keys_end(j); key++) {
      load_row(key_row, k + (s.key + key) * k_stride + key_column, head_size);
      load_row(value_row, v + (s.key + key) * v_stride + key_column, head_size);
      add(sum, pair_gradient(dot(own, key_row), dot(upstream, value_row), score, row).y, key_row);
    }
    store_row(dq + query * dq_stride + column, sum, scale, head_size);
  }
}

extern "C" __global__ void __launch_bounds__(128)
    attention_backward_dkdv_bf16_any(gatun::bf16* dk, gatun::bf16* dv, const gatun::bf16* dout, const gatun::bf16* q,
                                     const gatun::bf16* k, const gatun::bf16* v, const float2* statistics, const int2* /*tiles*/, const int* query_start,
                                     const int* key_start, const int* key_length, int64_t dk_stride, int64_t dv_stride,
                                     int64_t dout_stride, int64_t q_stride, int64_t k_stride, int64_t v_stride, int64_t tokens,
                                     int sequences, int heads, int key_heads, int head_size, int window, float scale, float softcap) {
  using namespace gatun;
  int key = blockIdx.x * 4 + (threadIdx.x >> 5), key_head = blockIdx.y, group = heads / key_heads;
  int64_t key_column = static_cast<int64_t>(key_head) * head_size;
  Score score(scale, softcap);
  for (int i = blockIdx.z; i < sequences; i += gridDim.z) {
    Sequence s(query_start, key_start, key_length, i);
    if (key >= s.keys) continue;
    float key_row[COLUMNS], value_row[COLUMNS], other[COLUMNS], upstream[COLUMNS], dk_sum[COLUMNS] = {}, dv_sum[COLUMNS] = {};
    load_row(key_row, k + (s.key + key) * k_stride + key_column, head_size);
    load_row(value_row, v + (s.key + key) * v_stride + key_column, head_size);
    for (int head = key_head * group; head < (key_head + 1) * group; head++) {
      int64_t column = static_cast<int64_t>(head) * head_size;
      for (int j = s.queries_begin(key); j < s.queries_end(key, window); j++) {
        load_row(other, q + (s.query + j) * q_stride + column, head_size);
        load_row(upstream, dout + (s.query + j) * dout_stride + column, head_size);
        float2 weight = pair_gradient(dot(key_row, other), dot(value_row, upstream), score, statistics[head * tokens + s.query + j]);
        add(dv_sum, weight.x, upstream);
        add(dk_sum, weight.y, other);
      }
    }
    store_row(dk + (s.key + key) * dk_stride + key_column, dk_sum, scale, head_size);
    store_row(dv + (s.key + key) * dv_stride + key_column, dv_sum, 1.f, head_size);
  }
}
