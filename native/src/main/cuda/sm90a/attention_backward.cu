// Gradients of causal attention for Hopper; equation, shapes and strides in ../attention.cu.
//
// As in ../attention_backward.cu, dq and (dk, dv) are separate kernels so that every sum has one owner and a fixed order, and the
// first writes the `statistics` that the second reads. Persistent blocks: a producer warpgroup copies tiles into rings in shared memory; two consumer warpgroups own 64 rows of the result each and
// run unsynchronised, so that one's exponentials run under the other's products.
//
// d64 and d128 take any D up to theirs that is a multiple of 8, strides multiples of 8, pointers 16-byte aligned.
// Work lists from attention_tiles, tile 128, inner 64: rows T and over_keys 0 for dq, rows R and over_keys 1 for
// dk, dv; `capacity` is the list's length. Launch: grid min(multiprocessors, capacity · N, or · K for dk, dv), block 384, one block a
// multiprocessor. Dynamic shared memory, bytes (up to 2 KB of it for alignment):
//              d64     d128
//   dq       100352   198656
//   dkdv     111616   168960
// FLOPs per visible pair and query head: dq 6 D, dk and dv 8 D.
#include "attention_sm90a.cuh"

namespace gatun {

constexpr int CONSUMERS = 2, OWN = 64 * CONSUMERS;

// Barriers of a block: one pair for the tiles that stay during an item, one pair a stage for those that stream. A consumer warp frees a
// tile by ARRIVALS of its lanes: one speaks for all where only the tensor cores read the tile, each for itself where lanes do.
template <int STAGES, int ARRIVALS>
struct BackwardBarriers {
  uint32_t base;

  __device__ __forceinline__ explicit BackwardBarriers(uint32_t address) : base(address) {
    if (threadIdx.x == 0) {
      barrier_init(own_full(), 128);
      barrier_init(own_empty(), 4 * CONSUMERS * ARRIVALS);
      for (int i = 0; i < STAGES; i++) {
        barrier_init(full(i), 128);
        barrier_init(empty(i), 4 * CONSUMERS * ARRIVALS);
      }
    }
    __syncthreads();
  }
  __device__ __forceinline__ uint32_t own_full() const { return base; }
  __device__ __forceinline__ uint32_t own_empty() const { return base + 8; }
  __device__ __forceinline__ uint32_t full(int stage) const { return base + 16 + 16 * stage; }
  __device__ __forceinline__ uint32_t empty(int stage) const { return base + 24 + 16 * stage; }
  __device__ __forceinline__ void release(uint32_t barrier) const {
    if (ARRIVALS == 32 || (threadIdx.x & 31) == 0) barrier_arrive(barrier);
  }
};

__device__ __forceinline__ void await(uint32_t barrier, int phase) {
  barrier_wait(barrier, phase);
  fence_async_reads();
}

// d cap / d score of a pair, from its weight: the score itself is gone by the time the gradient arrives.
__device__ __forceinline__ float slope_of_weight(float p, float lse2, const Score& s) {
  return p > 0.f ? s.slope((__log2f(p) + lse2) / LOG2E) : 0.f;
}

template <int N>
__device__ __forceinline__ void cap_all(float (&x)[N], const Score& s) {
#pragma unroll
  for (int i = 0; i < N; i++) x[i] = s.capped(x[i]);
}

// The part of a consumer that owns no row of an item: it lets `tiles` tiles pass.
template <int STAGES, int ARRIVALS>
__device__ __forceinline__ void pass_by(const BackwardBarriers<STAGES, ARRIVALS>& barriers, Ring<STAGES>& ring, int phase, int tiles) {
  await(barriers.own_full(), phase);
  for (int i = 0; i < tiles; i++, ring.advance()) {
    await(barriers.full(ring.stage), ring.phase);
    barriers.release(barriers.empty(ring.stage));
  }
  barriers.release(barriers.own_empty());
}

template <int D>
struct DqKernel {
  static constexpr int BN = 128, STAGES = 2, PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;
  static constexpr uint32_t OWN_BYTES = OWN * D * 2, TILE_BYTES = BN * D * 2;
};

template <int D>
__device__ __forceinline__ void attention_backward_dq_sm90a(bf16* dq, float2* statistics, const bf16* dout, const bf16* q,
                                                            const bf16* k, const bf16* v, const bf16* out, const float* lse,
                                                            const int2* tiles, const int* query_start, const int* key_start,
                                                            const int* key_length, int64_t dq_stride, int64_t dout_stride,
                                                            int64_t q_stride, int64_t k_stride, int64_t v_stride,
                                                            int64_t out_stride, int64_t tokens, int capacity, int heads, int key_heads, int head_size,
                                                            int window, float scale, float softcap) {
  using Kernel = DqKernel<D>;
  constexpr int BN = Kernel::BN, STAGES = Kernel::STAGES;
  constexpr uint32_t OWN_BYTES = Kernel::OWN_BYTES, TILE_BYTES = Kernel::TILE_BYTES;
  extern __shared__ __align__(128) unsigned char shared[];
  BackwardBarriers<STAGES, 1> barriers(shared_address(shared));
  uint32_t q_tile = (barriers.base + 128 + 1023) & ~1023u, dout_tile = q_tile + OWN_BYTES, stages = dout_tile + OWN_BYTES;
  int items = capacity * heads;
  int phase = 0;
  Ring<STAGES> ring;
  if (threadIdx.x < 128) {
    release_registers<Kernel::PRODUCER_REGISTERS>();
    for (int round = 0; dealt(round) < items; round++, phase ^= 1) {
      int2 entry = tiles[dealt(round) / heads];
      if (entry.x < 0) break;
      int head = dealt(round) % heads, first = entry.y * OWN;
      Sequence s(query_start, key_start, key_length, entry.x);
      int begin = s.keys_begin(first, window) / BN, end = (s.keys_end(first + OWN - 1) + BN - 1) / BN;
      int64_t query = s.query + first, column = static_cast<int64_t>(head) * head_size;
      int64_t key_column = static_cast<int64_t>(head / (heads / key_heads)) * head_size;
      auto fetch = [&](int tile) {
        int64_t key = s.key + tile * BN;
        uint32_t to = stages + ring.stage * (2 * TILE_BYTES);
        barrier_wait(barriers.empty(ring.stage), ring.phase ^ 1);
        copy_panels_async<BN, D>(to, k + key * k_stride + key_column, k_stride, s.keys - tile * BN, head_size);
        copy_panels_async<BN, D>(to + TILE_BYTES, v + key * v_stride + key_column, v_stride, s.keys - tile * BN, head_size);
        barrier_arrive_after_copies(barriers.full(ring.stage));
        ring.advance();
      };
      if (begin < end) fetch(begin);  // its stage is free before the last item ends
      barrier_wait(barriers.own_empty(), phase ^ 1);
      copy_panels_async<OWN, D>(q_tile, q + query * q_stride + column, q_stride, s.queries - first, head_size);
      copy_panels_async<OWN, D>(dout_tile, dout + query * dout_stride + column, dout_stride, s.queries - first, head_size);
      barrier_arrive_after_copies(barriers.own_full());
      for (int tile = begin + 1; tile < end; tile++) fetch(tile);
    }
    wait_copies<0>();
  } else {
    take_registers<Kernel::CONSUMER_REGISTERS>();
    Score score(scale, softcap);
    int consumer = warpgroup() - 1, lane = threadIdx.x & 31, row = ((threadIdx.x & 127) >> 5) * 16 + (lane >> 2);
    for (int round = 0; dealt(round) < items; round++, phase ^= 1) {
      int2 entry = tiles[dealt(round) / heads];
      if (entry.x < 0) break;
      int head = dealt(round) % heads, item_first = entry.y * OWN, first = item_first + 64 * consumer;
      Sequence s(query_start, key_start, key_length, entry.x);
      int begin = s.keys_begin(item_first, window) / BN, end = (s.keys_end(item_first + OWN - 1) + BN - 1) / BN;
      if (first >= s.queries) {  // a short sequence's last tile: leave the tensor cores to the other warpgroup
        pass_by(barriers, ring, phase, end - begin);
        continue;
      }
      float2 own[2];
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int r = first + row + 8 * half;
        int64_t query = s.query + r, column = static_cast<int64_t>(head) * head_size;
        bool inside = r < s.queries;
        own[half] = row_statistics<D>(dout + query * dout_stride + column, out + query * out_stride + column,
                                      lse + query * heads + head, head_size, inside);
        if (inside && (lane & 3) == 0) statistics[head * tokens + query] = own[half];
      }
      int top = s.offset + first;  // last key that the warpgroup's first row sees
      float sum[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; i++) sum[i] = 0.f;
      await(barriers.own_full(), phase);
      uint32_t operand[BN / 16][4];
      for (int tile = begin; tile < end; tile++, ring.advance()) {
        uint32_t k_tile = stages + ring.stage * (2 * TILE_BYTES);
        float p[BN / 2], ds[BN / 2];
        await(barriers.full(ring.stage), ring.phase);
        wgmma_fence();
        wgmma_transposed<D, OWN, BN>(p, q_tile + consumer * 8192, k_tile);
        wgmma_commit();
        wgmma_wait<1>();  // the last tile's dq
        pin(sum);
        pin(operand);
        if (tile > begin) barriers.release(barriers.empty(ring.previous()));
        wgmma_fence();
        wgmma_transposed<D, OWN, BN>(ds, dout_tile + consumer * 8192, k_tile + TILE_BYTES);
        wgmma_commit();
        wgmma_wait<1>();
        pin(p);
        if (softcap > 0.f) cap_all(p, score);
#pragma unroll
        for (int i = 0; i < BN / 2; i++) p[i] = exp2_fast(fmaf(p[i], score.factor, -own[(i >> 1) & 1].x));
        int key = tile * BN;
        if (key + BN - 1 > top || (window > 0 && key <= top + 63 - window)) {
          int reach = top + row - key - 2 * (lane & 3);
#pragma unroll
          for (int i = 0; i < BN / 2; i++) {
            int column = 8 * (i >> 2) + (i & 1), last = reach + 8 * ((i >> 1) & 1);
            if (column > last || (window > 0 && column <= last - window)) p[i] = 0.f;
          }
        }
        wgmma_wait<0>();
        pin(ds);
        if (softcap > 0.f) {
#pragma unroll
          for (int i = 0; i < BN / 2; i++) ds[i] = (ds[i] - own[(i >> 1) & 1].y) * slope_of_weight(p[i], own[(i >> 1) & 1].x, score) * p[i];
        } else {
#pragma unroll
          for (int i = 0; i < BN / 2; i++) ds[i] = (ds[i] - own[(i >> 1) & 1].y) * p[i];
        }
        to_operand<BN>(operand, ds);
        wgmma_fence();
        wgmma_add<D, BN>(sum, operand, k_tile);
        wgmma_commit();  // runs on under the next tile's scores
      }
      wgmma_wait<0>();
      pin(sum);
      if (end > begin) barriers.release(barriers.empty(ring.previous()));
      barriers.release(barriers.own_empty());
      store_accumulator<D>(sum, scale, scale, dq + (s.query + first) * dq_stride + static_cast<int64_t>(head) * head_size, dq_stride,
                           s.queries - first, head_size);
    }
  }
}

// The transposed scores k·qᵀ: a warpgroup owns 64 keys, so pᵀ and dsᵀ are left operands in registers.
template <int D>
struct DkdvKernel {
  static constexpr int BM = D == 64 ? 96 : 64, STAGES = 3;
  static constexpr int PRODUCER_REGISTERS = D == 64 ? 40 : 24, CONSUMER_REGISTERS = D == 64 ? 232 : 240;
  static constexpr uint32_t OWN_BYTES = OWN * D * 2, TILE_BYTES = BM * D * 2, ROW_BYTES = 1024, STAGE_BYTES = 2 * TILE_BYTES + ROW_BYTES;
};

template <int D>
__device__ __forceinline__ void attention_backward_dkdv_sm90a(bf16* dk, bf16* dv, const bf16* dout, const bf16* q, const bf16* k,
                                                              const bf16* v, const float2* statistics, const int2* tiles,
                                                              const int* query_start, const int* key_start, const int* key_length,
                                                              int64_t dk_stride, int64_t dv_stride, int64_t dout_stride,
                                                              int64_t q_stride, int64_t k_stride, int64_t v_stride, int64_t tokens,
                                                              int capacity, int heads, int key_heads, int head_size, int window,
                                                              float scale, float softcap) {
  using Kernel = DkdvKernel<D>;
  constexpr int BM = Kernel::BM, STAGES = Kernel::STAGES;
  constexpr uint32_t OWN_BYTES = Kernel::OWN_BYTES, TILE_BYTES = Kernel::TILE_BYTES, STAGE_BYTES = Kernel::STAGE_BYTES;
  extern __shared__ __align__(128) unsigned char shared[];
  BackwardBarriers<STAGES, 32> barriers(shared_address(shared));
  uint32_t k_tile = (barriers.base + 128 + 1023) & ~1023u, v_tile = k_tile + OWN_BYTES, stages = v_tile + OWN_BYTES;
  int items = capacity * key_heads;
  int phase = 0, group = heads / key_heads;
  Ring<STAGES> ring;
  if (threadIdx.x < 128) {
    release_registers<Kernel::PRODUCER_REGISTERS>();
    for (int round = 0; dealt(round) < items; round++, phase ^= 1) {
      int2 entry = tiles[dealt(round) / key_heads];
      if (entry.x < 0) break;
      int key_head = dealt(round) % key_heads, first = entry.y * OWN;
      Sequence s(query_start, key_start, key_length, entry.x);
      int begin = s.queries_begin(first) / BM, end = (s.queries_end(first + OWN - 1, window) + BM - 1) / BM;
      int64_t key = s.key + first, key_column = static_cast<int64_t>(key_head) * head_size;
      barrier_wait(barriers.own_empty(), phase ^ 1);
      copy_panels_async<OWN, D>(k_tile, k + key * k_stride + key_column, k_stride, s.keys - first, head_size);
      copy_panels_async<OWN, D>(v_tile, v + key * v_stride + key_column, v_stride, s.keys - first, head_size);
      barrier_arrive_after_copies(barriers.own_full());
      for (int head = key_head * group; head < (key_head + 1) * group; head++)
        for (int tile = begin; tile < end; tile++, ring.advance()) {
          int j = tile * BM, thread = threadIdx.x;
          int64_t query = s.query + j, column = static_cast<int64_t>(head) * head_size;
          uint32_t to = stages + ring.stage * STAGE_BYTES;
          barrier_wait(barriers.empty(ring.stage), ring.phase ^ 1);
          copy_panels_async<BM, D>(to, q + query * q_stride + column, q_stride, s.queries - j, head_size);
          copy_panels_async<BM, D>(to + TILE_BYTES, dout + query * dout_stride + column, dout_stride, s.queries - j, head_size);
          if (thread < BM)
            copy8_async(to + 2 * TILE_BYTES + thread * 8, statistics + head * tokens + query + thread, j + thread < s.queries);
          barrier_arrive_after_copies(barriers.full(ring.stage));
        }
    }
    wait_copies<0>();
  } else {
    take_registers<Kernel::CONSUMER_REGISTERS>();
    Score score(scale, softcap);
    int consumer = warpgroup() - 1, lane = threadIdx.x & 31, row = ((threadIdx.x & 127) >> 5) * 16 + (lane >> 2);
    for (int round = 0; dealt(round) < items; round++, phase ^= 1) {
      int2 entry = tiles[dealt(round) / key_heads];
      if (entry.x < 0) break;
      int item_first = entry.y * OWN, first = item_first + 64 * consumer;
      Sequence s(query_start, key_start, key_length, entry.x);
      int begin = s.queries_begin(item_first) / BM, end = (s.queries_end(item_first + OWN - 1, window) + BM - 1) / BM;
      if (first >= s.keys) {
        pass_by(barriers, ring, phase, max(end - begin, 0) * group);
        continue;
      }
      float dk_sum[D / 2], dv_sum[D / 2];
#pragma unroll
      for (int i = 0; i < D / 2; i++) dk_sum[i] = dv_sum[i] = 0.f;
      await(barriers.own_full(), phase);
      uint32_t p_operand[BM / 16][4], ds_operand[BM / 16][4];
      for (int head = 0; head < group; head++)
        for (int tile = begin; tile < end; tile++, ring.advance()) {
          uint32_t q_tile = stages + ring.stage * STAGE_BYTES, dout_tile = q_tile + TILE_BYTES;
          // {lse, delta} of two neighbouring queries
          const float4* rows = reinterpret_cast<const float4*>(shared + (dout_tile + TILE_BYTES - barriers.base)) + (lane & 3);
          uint32_t own = k_tile + consumer * 8192;
          float p[BM / 2], ds[BM / 2];
          await(barriers.full(ring.stage), ring.phase);
          wgmma_fence();
          wgmma_transposed<D, OWN, BM>(p, own, q_tile);
          wgmma_commit();
          wgmma_wait<1>();  // the last tile's dk
          pin(dk_sum);
          pin(ds_operand);
          if (tile > begin || head > 0) barriers.release(barriers.empty(ring.previous()));
          wgmma_wait<0>();
          pin(p);
          if (softcap > 0.f) cap_all(p, score);
#pragma unroll
          for (int j = 0; j < BM / 8; j++) {
            float4 two = rows[4 * j];
#pragma unroll
            for (int e = 0; e < 4; e++) p[4 * j + e] = exp2_fast(fmaf(p[4 * j + e], score.factor, -((e & 1) ? two.z : two.x)));
          }
          int reach = s.offset + tile * BM;  // last key that the tile's first query sees
          if (first + 63 > reach || (window > 0 && first <= reach + BM - 1 - window)) {
            int lowest = first + row - reach - 2 * (lane & 3);  // first column that sees the thread's first key
#pragma unroll
            for (int i = 0; i < BM / 2; i++) {
              int column = 8 * (i >> 2) + (i & 1), start = lowest + 8 * ((i >> 1) & 1);
              if (column < start || (window > 0 && column >= start + window)) p[i] = 0.f;
            }
          }
          to_operand<BM>(p_operand, p);
          wgmma_fence();
          wgmma_transposed<D, OWN, BM>(ds, own + OWN_BYTES, dout_tile);
          wgmma_commit();
          wgmma_add<D, BM>(dv_sum, p_operand, dout_tile);
          wgmma_commit();
          wgmma_wait<1>();
          pin(ds);
#pragma unroll
          for (int j = 0; j < BM / 8; j++) {
            float4 two = rows[4 * j];
#pragma unroll
            for (int e = 0; e < 4; e++) {
              int i = 4 * j + e;
              float slope = softcap > 0.f ? slope_of_weight(p[i], (e & 1) ? two.z : two.x, score) : 1.f;
              ds[i] = (ds[i] - ((e & 1) ? two.w : two.y)) * slope * p[i];
            }
          }
          wgmma_wait<0>();
          pin(dv_sum);
          pin(p_operand);
          to_operand<BM>(ds_operand, ds);
          wgmma_fence();
          wgmma_add<D, BM>(dk_sum, ds_operand, q_tile);
          wgmma_commit();  // runs on under the next tile's scores
        }
      wgmma_wait<0>();
      pin(dk_sum);
      if (end > begin) barriers.release(barriers.empty(ring.previous()));
      barriers.release(barriers.own_empty());
      int64_t key = key_start[entry.x] + first, key_column = static_cast<int64_t>(dealt(round) % key_heads) * head_size;
      int rows = key_length[entry.x] - first;  // read again: registers are short in the loop above
      store_accumulator<D>(dk_sum, scale, scale, dk + key * dk_stride + key_column, dk_stride, rows, head_size);
      store_accumulator<D>(dv_sum, 1.f, 1.f, dv + key * dv_stride + key_column, dv_stride, rows, head_size);
    }
  }
}

}  // namespace gatun

#define ATTENTION_BACKWARD_SM90A(D)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(384, 1) attention_backward_dq_bf16_d##D##_sm90a(                                     \
      gatun::bf16* dq, float2* statistics, const gatun::bf16* dout, const gatun::bf16* q, const gatun::bf16* k,                     \
      const gatun::bf16* v, const gatun::bf16* out, const float* lse, const int2* tiles, const int* query_start,                    \
      const int* key_start, const int* key_length, int64_t dq_stride, int64_t dout_stride, int64_t q_stride, int64_t k_stride,      \
      int64_t v_stride, int64_t out_stride, int64_t tokens, int capacity, int heads, int key_heads, int head_size, int window,      \
      float scale, float softcap) {                                                                                                 \
    gatun::attention_backward_dq_sm90a<D>(dq, statistics, dout, q, k, v, out, lse, tiles, query_start, key_start, key_length,       \
                                          dq_stride, dout_stride, q_stride, k_stride, v_stride, out_stride, tokens, capacity,       \
                                          heads, key_heads, head_size, window, scale, softcap);                                     \
  }                                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(384, 1) attention_backward_dkdv_bf16_d##D##_sm90a(                                   \
      gatun::bf16* dk, gatun::bf16* dv, const gatun::bf16* dout, const gatun::bf16* q, const gatun::bf16* k, const gatun::bf16* v,  \
      const float2* statistics, const int2* tiles, const int* query_start, const int* key_start, const int* key_length,             \
      int64_t dk_stride, int64_t dv_stride, int64_t dout_stride, int64_t q_stride, int64_t k_stride, int64_t v_stride,              \
      int64_t tokens, int capacity, int heads, int key_heads, int head_size, int window, float scale, float softcap) {              \
    gatun::attention_backward_dkdv_sm90a<D>(dk, dv, dout, q, k, v, statistics, tiles, query_start, key_start, key_length,           \
                                            dk_stride, dv_stride, dout_stride, q_stride, k_stride, v_stride, tokens, capacity,      \
                                            heads, key_heads, head_size, window, scale, softcap);                                   \
  }
ATTENTION_BACKWARD_SM90A(64)
ATTENTION_BACKWARD_SM90A(128)
