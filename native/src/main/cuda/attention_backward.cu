// Gradients of causal attention; equation, shapes, strides, launch geometry and scratch in attention.cu.
//
// Two kernels, so that every sum has one owner and a fixed order: dq per query tile over its keys, dk and dv per key tile over the
// queries that see it and, for grouped heads, over the query heads that share it. The dq
// kernel also leaves `statistics` f32 [N, T, 2] = {lse · log2 e, dout·out} of every row for the other. dq, dk and dv are replaced and
// alias nothing.
// FLOPs per visible pair and query head: dq 6 D, dk and dv 8 D.
#include "attention.cuh"

namespace gatun {

constexpr int THREADS = 128;

// acc[16 rows of `left`, rows of `right`] = left · rightᵀ over D.
template <int D, int COLUMNS>
__device__ __forceinline__ void multiply_transposed(float (&acc)[COLUMNS / 8][4], uint32_t left, int row0, uint32_t right, int lane) {
#pragma unroll
  for (int j = 0; j < COLUMNS / 8; j++)
#pragma unroll
    for (int e = 0; e < 4; e++) acc[j][e] = 0.f;
#pragma unroll
  for (int d = 0; d < D / 16; d++) {
    uint32_t a[4];
    load_a<D>(a, left, row0, d, lane);
#pragma unroll
    for (int j = 0; j < COLUMNS / 8; j += 2) {
      uint32_t b[4];
      load_b<D>(b, right, 8 * j, d, lane);
      mma(acc[j], a, b[0], b[1]);
      mma(acc[j + 1], a, b[2], b[3]);
    }
  }
}

// acc[16 rows, OUT columns from column0] += left (an accumulator, rounded) · right.
template <int D, int OUT, int INNER>
__device__ __forceinline__ void multiply_add(float (&acc)[OUT / 8][4], const float (&left)[INNER / 8][4], uint32_t right, int column0,
                                             int lane) {
#pragma unroll
  for (int n = 0; n < INNER / 16; n++) {
    uint32_t a[4] = {pack(left[2 * n][0], left[2 * n][1]), pack(left[2 * n][2], left[2 * n][3]),
                     pack(left[2 * n + 1][0], left[2 * n + 1][1]), pack(left[2 * n + 1][2], left[2 * n + 1][3])};
#pragma unroll
    for (int j = 0; j < OUT / 8; j += 2) {
      uint32_t b[4];
      load_b_transposed<D>(b, right, 16 * n, column0 / 16 + j / 2, lane);
      mma(acc[j], a, b[0], b[1]);
      mma(acc[j + 1], a, b[2], b[3]);
    }
  }
}

// Writes 16 accumulated rows through the warp's own rows of `tile`, columns column0 ….
template <int D, int OUT>
__device__ __forceinline__ void store_scaled(unsigned char* tile, const float (&acc)[OUT / 8][4], float scale, int row0, int column0,
                                             bf16* out, int64_t stride, int rows, int columns, int lane) {
#pragma unroll
  for (int j = 0; j < OUT / 8; j++)
#pragma unroll
    for (int half = 0; half < 2; half++)
      *reinterpret_cast<uint32_t*>(tile + swizzled<OUT>(row0 + 8 * half + (lane >> 2), j) + (lane & 3) * 4) =
          pack(acc[j][2 * half] * scale, acc[j][2 * half + 1] * scale);
  __syncwarp();
  store_rows<OUT, 16>(tile, row0, out + column0, stride, rows, columns - column0, lane);
}

// score and gradient become weight p and ds / scale, in place; keeps nothing for pairs that the mask hides.
__device__ __forceinline__ void differentiate(float& score, float& gradient, const Score& s, float2 row, bool seen) {
  float slope = 1.f;
  if (s.softcap > 0.f) {
    score = s.capped(score);
    slope = s.slope(score);
  }
  float p = seen ? exp2_fast(fmaf(score, s.factor, -row.x)) : 0.f;
  gradient = seen ? p * (gradient - row.y) * slope : 0.f;
  score = p;
}

template <int D, int BN, int STAGES>
__device__ __forceinline__ void attention_backward_dq(bf16* dq, float2* statistics, const bf16* dout, const bf16* q, const bf16* k,
                                                      const bf16* v, const bf16* out, const float* lse, const int2* tiles,
                                                      const int* query_start, const int* key_start, const int* key_length,
                                                      int64_t dq_stride, int64_t dout_stride, int64_t q_stride, int64_t k_stride,
                                                      int64_t v_stride, int64_t out_stride, int64_t tokens, int heads, int key_heads, int head_size, int window, float scale,
                                                      float softcap) {
  constexpr int BM = 64;
  extern __shared__ __align__(128) unsigned char shared[];
  int head;
  int2 item = work_item(tiles, heads, head);
  if (item.x < 0) return;
  Sequence s(query_start, key_start, key_length, item.x);
  int first = item.y * BM, rows = min(BM, s.queries - first), reach = s.offset + first;
  int begin = s.keys_begin(first, window) / BN, end = (s.keys_end(first + BM - 1) + BN - 1) / BN;
  int64_t query = s.query + first, column = static_cast<int64_t>(head) * head_size;
  int64_t key_column = static_cast<int64_t>(head / (heads / key_heads)) * head_size;
  k += s.key * k_stride + key_column;
  v += s.key * v_stride + key_column;
  uint32_t q_tile = shared_address(shared), dout_tile = q_tile + BM * D * 2, stage0 = dout_tile + BM * D * 2;
  constexpr uint32_t STAGE = 2 * BN * D * 2;
  auto fetch = [&](int tile) {
    int key = tile * BN;
    uint32_t to = stage0 + (STAGES == 2 ? tile & 1 : 0) * STAGE;
    copy_tile_async<BN, D, THREADS>(to, k + static_cast<int64_t>(key) * k_stride, k_stride, s.keys - key, head_size);
    copy_tile_async<BN, D, THREADS>(to + STAGE / 2, v + static_cast<int64_t>(key) * v_stride, v_stride, s.keys - key, head_size);
    commit_copies();
  };
  copy_tile_async<BM, D, THREADS>(q_tile, q + query * q_stride + column, q_stride, rows, head_size);
  copy_tile_async<BM, D, THREADS>(dout_tile, dout + query * dout_stride + column, dout_stride, rows, head_size);
  commit_copies();  // fetch may never run, and the result is staged where these copies land
  if (begin < end) fetch(begin);

  int lane = threadIdx.x & 31, row0 = (threadIdx.x >> 5) * 16;
  float2 row[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int r = row0 + 8 * half + (lane >> 2);
    bool inside = r < rows;
    row[half] = row_statistics<D>(dout + (query + r) * dout_stride + column, out + (query + r) * out_stride + column,
                                  lse + (query + r) * heads + head, head_size, inside);
    if (inside && (lane & 3) == 0) statistics[head * tokens + query + r] = row[half];
  }
  Score score(scale, softcap);
  float sum[D / 8][4] = {};
  for (int tile = begin; tile < end; tile++) {
    wait_copies<0>();
    __syncthreads();
    if (STAGES == 2 && tile + 1 < end) fetch(tile + 1);
    lane = opaque(lane);
    uint32_t k_tile = stage0 + (STAGES == 2 ? tile & 1 : 0) * STAGE;
    float p[BN / 8][4], ds[BN / 8][4];
    multiply_transposed<D, BN>(p, q_tile, row0, k_tile, lane);
    multiply_transposed<D, BN>(ds, dout_tile, row0, k_tile + STAGE / 2, lane);
    int key = tile * BN;
    bool whole = key + BN - 1 <= reach && (window <= 0 || key > reach + BM - 1 - window);
#pragma unroll
    for (int j = 0; j < BN / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int r = row0 + (e >> 1) * 8 + (lane >> 2);
        bool seen = whole || visible(key + 8 * j + 2 * (lane & 3) + (e & 1), reach + r, window);
        differentiate(p[j][e], ds[j][e], score, row[e >> 1], seen);
      }
    multiply_add<D, D, BN>(sum, ds, k_tile, 0, lane);
    if (STAGES == 1) {
      __syncthreads();
      if (tile + 1 < end) fetch(tile + 1);
    }
  }
  wait_copies<0>();
  __syncthreads();
  store_scaled<D, D>(shared, sum, scale, row0, 0, dq + query * dq_stride + column, dq_stride, rows, head_size, lane);
}

// The transposed scores k·qᵀ: a warp owns 16 keys, so pᵀ and dsᵀ are left operands in registers. PARTS > 1 splits the columns of dk
// and dv over blocks, where one block's registers cannot hold them; each part computes the scores again.
template <int D, int BM, int STAGES, int PARTS>
__device__ __forceinline__ void attention_backward_dkdv(bf16* dk, bf16* dv, const bf16* dout, const bf16* q, const bf16* k,
                                                        const bf16* v, const float2* statistics, const int2* tiles,
                                                        const int* query_start, const int* key_start, const int* key_length,
                                                        int64_t dk_stride, int64_t dv_stride, int64_t dout_stride, int64_t q_stride,
                                                        int64_t k_stride, int64_t v_stride, int64_t tokens, int heads, int key_heads,
                                                        int head_size, int window, float scale, float softcap) {
  constexpr int BN = 64, OUT = D / PARTS;
  extern __shared__ __align__(128) unsigned char shared[];
  int within;
  int2 item = work_item(tiles, key_heads * PARTS, within);
  if (item.x < 0) return;
  int key_head = within / PARTS, column0 = (within % PARTS) * OUT, group = heads / key_heads;
  Sequence s(query_start, key_start, key_length, item.x);
  int first = item.y * BN, rows = min(BN, s.keys - first);
  int begin = s.queries_begin(first) / BM, end = (s.queries_end(first + BN - 1, window) + BM - 1) / BM;
  int steps = max(0, end - begin), total = steps * group;
  int64_t key = s.key + first, column = static_cast<int64_t>(key_head) * head_size;
  uint32_t k_tile = shared_address(shared), v_tile = k_tile + BN * D * 2, stage0 = v_tile + BN * D * 2;
  constexpr uint32_t TILE = BM * D * 2, STAGE = 2 * TILE + BM * 8;
  auto fetch = [&](int step) {
    int head = key_head * group + step / steps, j = (begin + step % steps) * BM;
    int64_t query = s.query + j, head_column = static_cast<int64_t>(head) * head_size;
    uint32_t to = stage0 + (STAGES == 2 ? step & 1 : 0) * STAGE;
    copy_tile_async<BM, D, THREADS>(to, q + query * q_stride + head_column, q_stride, s.queries - j, head_size);
    copy_tile_async<BM, D, THREADS>(to + TILE, dout + query * dout_stride + head_column, dout_stride, s.queries - j, head_size);
    if (threadIdx.x < BM) {
      copy8_async(to + 2 * TILE + threadIdx.x * 8, statistics + head * tokens + query + threadIdx.x,
                  j + static_cast<int>(threadIdx.x) < s.queries);
    }
    commit_copies();
  };
  copy_tile_async<BN, D, THREADS>(k_tile, k + key * k_stride + column, k_stride, rows, head_size);
  copy_tile_async<BN, D, THREADS>(v_tile, v + key * v_stride + column, v_stride, rows, head_size);
  commit_copies();  // a window can hide these keys from every query: then fetch never runs, and the zeros are staged where these land
  if (total > 0) fetch(0);

  int lane = threadIdx.x & 31, row0 = (threadIdx.x >> 5) * 16;
  Score score(scale, softcap);
  float dk_sum[OUT / 8][4] = {}, dv_sum[OUT / 8][4] = {};
  for (int step = 0; step < total; step++) {
    wait_copies<0>();
    __syncthreads();
    if (STAGES == 2 && step + 1 < total) fetch(step + 1);
    lane = opaque(lane);
    uint32_t offset = 2 * BN * D * 2 + (STAGES == 2 ? step & 1 : 0) * STAGE;
    uint32_t q_tile = k_tile + offset, dout_tile = q_tile + TILE;
    const float2* row = reinterpret_cast<const float2*>(shared + offset + 2 * TILE);
    float p[BM / 8][4], ds[BM / 8][4];
    multiply_transposed<D, BM>(p, k_tile, row0, q_tile, lane);
    multiply_transposed<D, BM>(ds, v_tile, row0, dout_tile, lane);
    int reach = s.offset + (begin + step % steps) * BM;
    bool whole = first + BN - 1 <= reach && (window <= 0 || first > reach + BM - 1 - window);
#pragma unroll
    for (int j = 0; j < BM / 8; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int r = 8 * j + 2 * (lane & 3) + (e & 1);
        bool seen = whole || visible(first + row0 + (e >> 1) * 8 + (lane >> 2), reach + r, window);
        differentiate(p[j][e], ds[j][e], score, row[r], seen);
      }
    multiply_add<D, OUT, BM>(dv_sum, p, dout_tile, column0, lane);
    multiply_add<D, OUT, BM>(dk_sum, ds, q_tile, column0, lane);
    if (STAGES == 1) {
      __syncthreads();
      if (step + 1 < total) fetch(step + 1);
    }
  }
  wait_copies<0>();
  __syncthreads();
  store_scaled<D, OUT>(shared, dk_sum, scale, row0, column0, dk + key * dk_stride + column, dk_stride, rows, head_size, lane);
  store_scaled<D, OUT>(shared + BN * D * 2, dv_sum, 1.f, row0, column0, dv + key * dv_stride + column, dv_stride, rows, head_size, lane);
}

}  // namespace gatun

#define ATTENTION_BACKWARD_DQ(D, BN, STAGES)                                                                                        \
  extern "C" __global__ void __launch_bounds__(128) attention_backward_dq_bf16_d##D(                                                \
      gatun::bf16* dq, float2* statistics, const gatun::bf16* dout, const gatun::bf16* q, const gatun::bf16* k,                     \
      const gatun::bf16* v, const gatun::bf16* out, const float* lse, const int2* tiles, const int* query_start,                    \
      const int* key_start, const int* key_length, int64_t dq_stride, int64_t dout_stride, int64_t q_stride, int64_t k_stride,      \
      int64_t v_stride, int64_t out_stride, int64_t tokens, int /*capacity*/, int heads, int key_heads, int head_size, int window,  \
      float scale, float softcap) {                                                                                                 \
    gatun::attention_backward_dq<D, BN, STAGES>(dq, statistics, dout, q, k, v, out, lse, tiles, query_start, key_start, key_length, \
                                                dq_stride, dout_stride, q_stride, k_stride, v_stride, out_stride, tokens, heads,    \
                                                key_heads, head_size, window, scale, softcap);                                      \
  }
ATTENTION_BACKWARD_DQ(32, 64, 2)
ATTENTION_BACKWARD_DQ(64, 64, 2)
ATTENTION_BACKWARD_DQ(96, 64, 2)
ATTENTION_BACKWARD_DQ(128, 64, 2)
ATTENTION_BACKWARD_DQ(256, 32, 1)

#define ATTENTION_BACKWARD_DKDV(D, BM, STAGES, PARTS)                                                                               \
  extern "C" __global__ void __launch_bounds__(128) attention_backward_dkdv_bf16_d##D(                                              \
      gatun::bf16* dk, gatun::bf16* dv, const gatun::bf16* dout, const gatun::bf16* q, const gatun::bf16* k, const gatun::bf16* v,  \
      const float2* statistics, const int2* tiles, const int* query_start, const int* key_start, const int* key_length,             \
      int64_t dk_stride, int64_t dv_stride, int64_t dout_stride, int64_t q_stride, int64_t k_stride, int64_t v_stride,              \
      int64_t tokens, int /*capacity*/, int heads, int key_heads, int head_size, int window, float scale, float softcap) {                            \
    gatun::attention_backward_dkdv<D, BM, STAGES, PARTS>(dk, dv, dout, q, k, v, statistics, tiles, query_start, key_start,          \
                                                         key_length, dk_stride, dv_stride, dout_stride, q_stride, k_stride,         \
                                                         v_stride, tokens, heads, key_heads, head_size, window, scale, softcap);    \
  }
ATTENTION_BACKWARD_DKDV(32, 64, 2, 1)
ATTENTION_BACKWARD_DKDV(64, 64, 2, 1)
ATTENTION_BACKWARD_DKDV(96, 32, 2, 1)
ATTENTION_BACKWARD_DKDV(128, 32, 2, 1)
ATTENTION_BACKWARD_DKDV(256, 32, 1, 2)
