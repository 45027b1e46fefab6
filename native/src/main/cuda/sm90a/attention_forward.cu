// Forward pass of causal attention for Hopper; equation, shapes and strides in ../attention.cu.
//
// FlashAttention-3's scheme. Persistent blocks of one producer warpgroup, which copies q, k and v tiles into rings in shared memory,
// and CONSUMERS warpgroups of 64 queries each. A consumer issues q·kᵀ of the next tile and p·v of this one together and computes the
// next softmax while p·v runs; named barriers make the consumers take turns, so that one's softmax runs under the other's products.
//
// d64 and d128 take any D up to theirs that is a multiple of 8, strides multiples of 8, pointers 16-byte aligned.
// Work list from attention_tiles: rows T, tile 128, inner 64, over_keys 0; `capacity` is its length.
// Launch: grid min(multiprocessors, capacity · N), block 384, one block a multiprocessor.
//   Dynamic shared memory 83968 bytes for d64, 165888 bytes for d128 (up to 2 KB of it for alignment)
// FLOPs: 4 D per visible pair and query head.
#include "attention_sm90a.cuh"

namespace gatun {

constexpr int BN = 128, STAGES = 2;

enum ForwardBarrier { Q_FULL, Q_EMPTY, K_FULL, K_EMPTY = K_FULL + STAGES, V_FULL = K_EMPTY + STAGES, V_EMPTY = V_FULL + STAGES, BARRIERS = V_EMPTY + STAGES };

// One tile of queries of one head, as producer and consumers both see it.
struct ForwardItem {
  Sequence s;
  int head, first, begin, end;

  __device__ __forceinline__ ForwardItem(int2 item, int head, int rows, int window, const int* query_start, const int* key_start,
                                         const int* key_length)
      : s(query_start, key_start, key_length, item.x), head(head), first(item.y * rows) {
    begin = s.keys_begin(first, window) / BN;
    end = max(begin, (s.keys_end(first + rows - 1) + BN - 1) / BN);
  }
};

// A consumer thread's two rows of scores, weights and sums.
template <int D>
struct ForwardRows {
  float sum[D / 2];
  float score[BN / 2];
  uint32_t weight[BN / 16][4];
  float maximum[2], total[2];

  __device__ __forceinline__ void cap(const Score& s) {
#pragma unroll
    for (int i = 0; i < BN / 2; i++) score[i] = s.capped(score[i]);
  }

  // `reach`: last key that the thread's first row sees, counted from the tile's first key and the thread's first column.
  __device__ __forceinline__ void mask(int reach, int window) {
#pragma unroll
    for (int i = 0; i < BN / 2; i++) {
      int column = 8 * (i >> 2) + (i & 1), last = reach + 8 * ((i >> 1) & 1);
      if (column > last) score[i] = -INFINITY;
    }
    if (window > 0) {
#pragma unroll
      for (int i = 0; i < BN / 2; i++) {
        int column = 8 * (i >> 2) + (i & 1), last = reach + 8 * ((i >> 1) & 1);
        if (column <= last - window) score[i] = -INFINITY;
      }
    }
  }

  // Scores become weights against the running maximum; returns by what earlier sums shrink.
  __device__ __forceinline__ void soften(float factor, float (&rescale)[2]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = maximum[half];
#pragma unroll
      for (int j = 0; j < BN / 8; j++) largest = fmaxf(largest, fmaxf(score[4 * j + 2 * half], score[4 * j + 2 * half + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      // A row that has seen no key yet keeps weights of zero instead of exp(-inf + inf).
      float base = largest == -INFINITY ? 0.f : largest * factor;
      rescale[half] = exp2_fast(maximum[half] * factor - base);
      maximum[half] = largest;
      float row_total = 0.f;
#pragma unroll
      for (int j = 0; j < BN / 8; j++)
#pragma unroll
        for (int e = 4 * j + 2 * half; e < 4 * j + 2 * half + 2; e++) {
          score[e] = exp2_fast(fmaf(score[e], factor, -base));
          row_total += score[e];
        }
      total[half] = total[half] * rescale[half] + row_total;
    }
  }

  __device__ __forceinline__ void shrink(const float (&rescale)[2]) {
#pragma unroll
    for (int i = 0; i < D / 2; i++) sum[i] *= rescale[(i >> 1) & 1];
  }
};

template <int D, int CONSUMERS>
struct ForwardKernel {
  static constexpr int BM = 64 * CONSUMERS;
  static constexpr uint32_t Q_BYTES = BM * D * 2, TILE_BYTES = BN * D * 2;

  uint32_t q_tile, k_tiles, v_tiles, barriers;

  __device__ __forceinline__ explicit ForwardKernel(unsigned char* shared) {
    barriers = shared_address(shared);
    q_tile = (barriers + BARRIERS * 8 + 1023) & ~1023u;
    k_tiles = q_tile + Q_BYTES;
    v_tiles = k_tiles + STAGES * TILE_BYTES;
    if (threadIdx.x == 0) {
      barrier_init(at(Q_FULL), 128);
      barrier_init(at(Q_EMPTY), 4 * CONSUMERS);
      for (int i = 0; i < STAGES; i++) {
        barrier_init(at(K_FULL, i), 128);
        barrier_init(at(V_FULL, i), 128);
        barrier_init(at(K_EMPTY, i), 4 * CONSUMERS);
        barrier_init(at(V_EMPTY, i), 4 * CONSUMERS);
      }
    }
    __syncthreads();
  }

  __device__ __forceinline__ uint32_t at(int barrier, int stage = 0) const { return barriers + 8 * (barrier + stage); }

  __device__ __forceinline__ void produce(Ring<STAGES>& ring, uint32_t tiles, int full, int empty, const bf16* rows, int64_t stride, int tile,
                                          const ForwardItem& item, int columns) const {
    barrier_wait(at(empty, ring.stage), ring.phase ^ 1);
    copy_panels_async<BN, D>(tiles + ring.stage * TILE_BYTES, rows + static_cast<int64_t>(tile) * BN * stride, stride,
                             item.s.keys - tile * BN, columns);
    barrier_arrive_after_copies(at(full, ring.stage));
    ring.advance();
  }

  // A warp is done with a stage; one lane speaks for it.
  __device__ __forceinline__ void release(int empty, int stage = 0) const {
    if ((threadIdx.x & 31) == 0) barrier_arrive(at(empty, stage));
  }

  __device__ __forceinline__ void await(int full, int stage, int phase) const {
    barrier_wait(at(full, stage), phase);
    fence_async_reads();
  }
};

template <int D, int CONSUMERS>
__device__ __forceinline__ void consume_item(const ForwardKernel<D, CONSUMERS>& kernel, ForwardRows<D>& rows, const ForwardItem& item,
                                             Ring<STAGES>& keys, Ring<STAGES>& values, int q_phase, const Score& score, int window) {
  constexpr uint32_t TILE_BYTES = ForwardKernel<D, CONSUMERS>::TILE_BYTES;
  int consumer = warpgroup() - 1, lane = threadIdx.x & 31;
  int turn = 1 + consumer, next_turn = 1 + (consumer + 1) % CONSUMERS;
  int top = item.s.offset + item.first + 64 * consumer;  // last key that the warpgroup's first row sees
  int own = top + ((threadIdx.x & 127) >> 5) * 16 + (lane >> 2) - 2 * (lane & 3);
  uint32_t q = kernel.q_tile + consumer * 64 * 128;
  auto finish_scores = [&](int tile, float (&rescale)[2]) {
    int key = tile * BN;
    if (score.softcap > 0.f) rows.cap(score);
    if (key + BN - 1 > top || (window > 0 && key <= top + 63 - window)) rows.mask(own - key, window);
    rows.soften(score.factor, rescale);
  };
  float rescale[2];
  rows.maximum[0] = rows.maximum[1] = -INFINITY;
  rows.total[0] = rows.total[1] = 0.f;
#pragma unroll
  for (int i = 0; i < D / 2; i++) rows.sum[i] = 0.f;

  kernel.await(Q_FULL, 0, q_phase);
  if (item.end == item.begin) {
    kernel.release(Q_EMPTY);
    return;
  }
  kernel.await(K_FULL, keys.stage, keys.phase);
  wgmma_fence();
  wgmma_transposed<D, 64 * CONSUMERS, BN>(rows.score, q, kernel.k_tiles + keys.stage * TILE_BYTES);
  wgmma_commit();
  wgmma_wait<0>();
  pin(rows.score);
  kernel.release(K_EMPTY, keys.stage);
  keys.advance();
  finish_scores(item.end - 1, rescale);
  to_operand<BN>(rows.weight, rows.score);
  for (int tile = item.end - 2; tile >= item.begin; tile--) {
    kernel.await(K_FULL, keys.stage, keys.phase);
    named_wait(turn, 256);
    wgmma_fence();
    wgmma_transposed<D, 64 * CONSUMERS, BN>(rows.score, q, kernel.k_tiles + keys.stage * TILE_BYTES);
    wgmma_commit();
    kernel.await(V_FULL, values.stage, values.phase);
    wgmma_add<D, BN>(rows.sum, rows.weight, kernel.v_tiles + values.stage * TILE_BYTES);
    wgmma_commit();
    named_arrive(next_turn, 256);
    wgmma_wait<1>();
    pin(rows.score);
    kernel.release(K_EMPTY, keys.stage);
    keys.advance();
    finish_scores(tile, rescale);
    wgmma_wait<0>();
    pin(rows.sum);
    pin(rows.weight);
    kernel.release(V_EMPTY, values.stage);
    values.advance();
    rows.shrink(rescale);
    to_operand<BN>(rows.weight, rows.score);
  }
  kernel.release(Q_EMPTY);
  kernel.await(V_FULL, values.stage, values.phase);
  wgmma_fence();
  wgmma_add<D, BN>(rows.sum, rows.weight, kernel.v_tiles + values.stage * TILE_BYTES);
  wgmma_commit();
  wgmma_wait<0>();
  pin(rows.sum);
  pin(rows.weight);
  kernel.release(V_EMPTY, values.stage);
  values.advance();
}

// The part of a consumer that owns no row of an item: it lets the tiles pass and its turns too.
template <int D, int CONSUMERS>
__device__ __forceinline__ void pass_by(const ForwardKernel<D, CONSUMERS>& kernel, const ForwardItem& item, Ring<STAGES>& keys,
                                        Ring<STAGES>& values, int q_phase) {
  int consumer = warpgroup() - 1, turn = 1 + consumer, next_turn = 1 + (consumer + 1) % CONSUMERS;
  kernel.await(Q_FULL, 0, q_phase);
  for (int tile = item.end - 1; tile >= item.begin; tile--) {
    kernel.await(K_FULL, keys.stage, keys.phase);
    kernel.release(K_EMPTY, keys.stage);
    keys.advance();
    if (tile < item.end - 1) {
      named_wait(turn, 256);
      named_arrive(next_turn, 256);
    }
    kernel.await(V_FULL, values.stage, values.phase);
    kernel.release(V_EMPTY, values.stage);
    values.advance();
  }
  kernel.release(Q_EMPTY);
}

template <int D>
__device__ __forceinline__ void store_item(const ForwardRows<D>& rows, const ForwardItem& item, bf16* out, float* lse, int64_t stride,
                                           int heads, int head_size, float factor) {
  int first = item.first + 64 * (static_cast<int>(threadIdx.x) / 128 - 1), lane = threadIdx.x & 31;
  int count = item.s.queries - first;
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float all = rows.total[half];
    all += __shfl_xor_sync(0xffffffffu, all, 1);
    all += __shfl_xor_sync(0xffffffffu, all, 2);
    inverse[half] = all == 0.f ? 0.f : 1.f / all;
    int row = ((threadIdx.x & 127) >> 5) * 16 + (lane >> 2) + 8 * half;
    if ((lane & 3) == 0 && row < count)
      lse[(item.s.query + first + row) * heads + item.head] =
          all == 0.f ? -INFINITY : rows.maximum[half] * (factor / LOG2E) + logf(all);
  }
  store_accumulator<D>(rows.sum, inverse[0], inverse[1],
                       out + (item.s.query + first) * stride + static_cast<int64_t>(item.head) * head_size, stride, count, head_size);
}

template <int D, int CONSUMERS, int PRODUCER_REGISTERS, int CONSUMER_REGISTERS>
__device__ __forceinline__ void attention_forward_sm90a(bf16* out, float* lse, const bf16* q, const bf16* k, const bf16* v,
                                                        const int2* tiles, const int* query_start, const int* key_start,
                                                        const int* key_length, int64_t out_stride, int64_t q_stride, int64_t k_stride,
                                                        int64_t v_stride, int capacity, int heads, int key_heads, int head_size,
                                                        int window, float scale, float softcap) {
  constexpr int BM = 64 * CONSUMERS;
  extern __shared__ __align__(128) unsigned char shared[];
  ForwardKernel<D, CONSUMERS> kernel(shared);
  int items = capacity * heads;
  int phase = 0;
  Ring<STAGES> keys, values;
  if (threadIdx.x < 128) {
    release_registers<PRODUCER_REGISTERS>();
    for (int round = 0; dealt(round) < items; round++, phase ^= 1) {
      int2 entry = tiles[dealt(round) / heads];
      if (entry.x < 0) break;
      ForwardItem item(entry, dealt(round) % heads, BM, window, query_start, key_start, key_length);
      int64_t column = static_cast<int64_t>(item.head) * head_size, key_column = static_cast<int64_t>(item.head / (heads / key_heads)) * head_size;
      const bf16 *key_rows = k + item.s.key * k_stride + key_column, *value_rows = v + item.s.key * v_stride + key_column;
      if (item.end > item.begin)  // the first stage is free before the last item ends
        kernel.produce(keys, kernel.k_tiles, K_FULL, K_EMPTY, key_rows, k_stride, item.end - 1, item, head_size);
      barrier_wait(kernel.at(Q_EMPTY), phase ^ 1);
      copy_panels_async<BM, D>(kernel.q_tile, q + (item.s.query + item.first) * q_stride + column, q_stride, item.s.queries - item.first,
                               head_size);
      barrier_arrive_after_copies(kernel.at(Q_FULL));
      for (int tile = item.end - 2; tile >= item.begin; tile--) {  // keys run one tile ahead of values, as they are used
        kernel.produce(keys, kernel.k_tiles, K_FULL, K_EMPTY, key_rows, k_stride, tile, item, head_size);
        kernel.produce(values, kernel.v_tiles, V_FULL, V_EMPTY, value_rows, v_stride, tile + 1, item, head_size);
      }
      if (item.end > item.begin)
        kernel.produce(values, kernel.v_tiles, V_FULL, V_EMPTY, value_rows, v_stride, item.begin, item, head_size);
    }
    wait_copies<0>();
  } else {
    take_registers<CONSUMER_REGISTERS>();
    Score score(scale, softcap);
    ForwardRows<D> rows;
    if (threadIdx.x / 128 == CONSUMERS) named_arrive(1, 256);  // the first consumer has the first turn
    for (int round = 0; dealt(round) < items; round++, phase ^= 1) {
      int2 entry = tiles[dealt(round) / heads];
      if (entry.x < 0) break;
      ForwardItem item(entry, dealt(round) % heads, BM, window, query_start, key_start, key_length);
      if (item.first + 64 * (warpgroup() - 1) >= item.s.queries) {  // a short sequence's last tile
        pass_by(kernel, item, keys, values, phase);
        continue;
      }
      consume_item<D, CONSUMERS>(kernel, rows, item, keys, values, phase, score, window);
      store_item<D>(rows, item, out, lse, out_stride, heads, head_size, score.factor);
    }
  }
}

}  // namespace gatun

#define ATTENTION_FORWARD_SM90A(D, CONSUMERS, PRODUCER_REGISTERS, CONSUMER_REGISTERS)                                               \
  extern "C" __global__ void __launch_bounds__(128 * (CONSUMERS + 1), 1) attention_forward_bf16_d##D##_sm90a(                       \
      gatun::bf16* out, float* lse, const gatun::bf16* q, const gatun::bf16* k, const gatun::bf16* v, const int2* tiles,            \
      const int* query_start, const int* key_start, const int* key_length, int64_t out_stride, int64_t q_stride, int64_t k_stride,  \
      int64_t v_stride, int capacity, int heads, int key_heads, int head_size, int window, float scale, float softcap) {            \
    gatun::attention_forward_sm90a<D, CONSUMERS, PRODUCER_REGISTERS, CONSUMER_REGISTERS>(                                           \
        out, lse, q, k, v, tiles, query_start, key_start, key_length, out_stride, q_stride, k_stride, v_stride, capacity, heads,    \
        key_heads, head_size, window, scale, softcap);                                                                              \
  }
ATTENTION_FORWARD_SM90A(64, 2, 40, 232)
ATTENTION_FORWARD_SM90A(128, 2, 40, 232)
