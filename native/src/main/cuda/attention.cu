// Causal attention over packed sequences of different lengths: work list and forward pass.
//
//   s[j, i] = cap(scale · q[j]·k[i]),  cap(x) = softcap · tanh(x / softcap) or x
//   query j of n sees keys i <= m - n + j, with a window only the last `window` of them
//   lse[j] = log Σ exp s[j, i],  p = exp(s - lse),  out = p · v
//   delta[j] = dout[j]·out[j],  dp = dout · vᵀ,  ds = p ∘ (dp - delta) ∘ cap'(s)
//   dv = pᵀ · dout,  dq = scale · ds · k,  dk = scale · dsᵀ · q     (dk, dv summed over the query heads of a key head)
//
// Shapes: q, out, dq, dout bf16 [T, N, D]; k, v, dk, dv bf16 [rows, K, D]; element (t, h, d) at t * stride + h * D + d, strides in
// elements, 64-bit. lse f32 [T, N]. Softmax and all sums in float32; p and ds are rounded to bf16 for the tensor cores.
// query_start i32 [S + 1], key_start, key_length i32 [S]: first query row, first key row, keys; a sequence may be empty.
// Rows outside every sequence are not written. scale > 0. Results do not depend on the order in which blocks run.
//
// Which kernels: head sizes d32, d64, d96, d128, d256 take any D up to theirs (the next larger one serves) that is a multiple of 8,
// with strides multiples of 8 and 16-byte aligned pointers. For anything else (D <= 256) use the `any` entries of attention_any.cu,
// which need no work list. On compute capability 9.0 the entries of sm90a/attention_forward.cu and sm90a/attention_backward.cu serve
// D <= 128 of the same alignment: the same parameters and one more, `capacity`; their headers give tiles, grid and shared memory.
//
// Launcher contract: T = query_start[S], R = Σ key_length (any upper bounds of them do)
//   capacity(rows, tile) = rows / tile + S                      work list entries, 8 bytes each, scratch
//   1. attention_tiles, once per batch, window, direction and tile size: grid 1, block 1024, no dynamic shared memory
//        forward:  rows T, tile FORWARD_TILE[D], inner 64, over_keys 0
//        dq:       rows T, tile 64, inner 64, over_keys 0
//        dk, dv:   rows R, tile 64, inner 64, over_keys 1
//   2. attention_forward_bf16_dX: grid capacity · N, block 128
//   3. attention_backward_dq_bf16_dX: grid capacity · N, block 128; also writes the scratch `statistics` f32 [N, T, 2] that 4. reads
//   4. attention_backward_dkdv_bf16_dX: grid capacity · K (· 2 for d256), block 128
//   The entries of attention_any.cu and sm90a/ take the same parameters; base kernels ignore `capacity`, `any` ones `tiles`, and get the
//   number of sequences for `capacity`.
//   FORWARD_TILE: 128 for d32 and d64, else 64
//   dynamic shared memory, bytes:      d32    d64    d96   d128   d256
//     forward                        16384  32768  36864  49152  98304
//     dq                             24576  49152  73728  98304  98304
//     dkdv                           25600  50176  49664  66048  98560
// FLOPs per visible pair and query head: 4 D forward, 14 D backward (two products are computed twice so that no sum crosses blocks).
// Bytes: q, k, v, out once each; k and v are read again per query tile, from the L2 cache.
#include "attention.cuh"

namespace gatun {

constexpr int THREADS = 128;

// Scores of 64 · MT queries at a time against BN keys, FlashAttention-2's order: a warp owns 16 · MT whole rows, so the softmax
// needs no shared memory, and the accumulator of q·kᵀ is the left operand of p·v.
template <int D, int MT, int BN>
struct Forward {
  static constexpr int BM = 64 * MT;
  static constexpr int NT = BN / 8;
  static constexpr int DT = D / 8;
  float sum[MT][DT][4];
  float score[MT][NT][4];
  float maximum[MT][2], total[MT][2];
  int lane, row0;  // row0: the warp's first row in the tile

  __device__ __forceinline__ Forward() : lane(threadIdx.x & 31), row0((threadIdx.x >> 5) * 16 * MT) {
#pragma unroll
    for (int i = 0; i < MT; i++) {
#pragma unroll
      for (int j = 0; j < DT; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[i][j][e] = 0.f;
      maximum[i][0] = maximum[i][1] = -INFINITY;
      total[i][0] = total[i][1] = 0.f;
    }
  }

  __device__ __forceinline__ void scores(uint32_t q, uint32_t k) {
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
      for (int j = 0; j < NT; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) score[i][j][e] = 0.f;
#pragma unroll
    for (int d = 0; d < D / 16; d++) {
      uint32_t a[MT][4];
#pragma unroll
      for (int i = 0; i < MT; i++) load_a<D>(a[i], q, row0 + 16 * i, d, lane);
#pragma unroll
      for (int j = 0; j < NT; j += 2) {
        uint32_t b[4];
        load_b<D>(b, k, 8 * j, d, lane);
#pragma unroll
        for (int i = 0; i < MT; i++) {
          mma(score[i][j], a[i], b[0], b[1]);
          mma(score[i][j + 1], a[i], b[2], b[3]);
        }
      }
    }
  }

  __device__ __forceinline__ void cap(const Score& s) {
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
      for (int j = 0; j < NT; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) score[i][j][e] = s.capped(score[i][j][e]);
  }

  // `reach`: last key that the tile's first row sees; `key`: the key tile's first.
  __device__ __forceinline__ void mask(int key, int reach, int window) {
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
      for (int j = 0; j < NT; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          int row = row0 + 16 * i + (lane >> 2) + (e >> 1) * 8;
          if (!visible(key + 8 * j + 2 * (lane & 3) + (e & 1), reach + row, window)) score[i][j][e] = -INFINITY;
        }
  }

  // Scores become weights against the running maximum; what was summed so far is rescaled.
  __device__ __forceinline__ void soften(float factor) {
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float largest = maximum[i][half];
#pragma unroll
        for (int j = 0; j < NT; j++) largest = fmaxf(largest, fmaxf(score[i][j][2 * half], score[i][j][2 * half + 1]));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
        // A row that has seen no key yet keeps weights of zero instead of exp(-inf + inf).
        float base = largest == -INFINITY ? 0.f : largest * factor;
        float rescale = exp2_fast(maximum[i][half] * factor - base);
        maximum[i][half] = largest;
        float row_total = 0.f;
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
          for (int e = 2 * half; e < 2 * half + 2; e++) {
            score[i][j][e] = exp2_fast(fmaf(score[i][j][e], factor, -base));
            row_total += score[i][j][e];
          }
        total[i][half] = total[i][half] * rescale + row_total;
#pragma unroll
        for (int j = 0; j < DT; j++) {
          sum[i][j][2 * half] *= rescale;
          sum[i][j][2 * half + 1] *= rescale;
        }
      }
  }

  __device__ __forceinline__ void values(uint32_t v) {
#pragma unroll
    for (int n = 0; n < BN / 16; n++) {
      uint32_t a[MT][4];
#pragma unroll
      for (int i = 0; i < MT; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          a[i][2 * h] = pack(score[i][2 * n + h][0], score[i][2 * n + h][1]);
          a[i][2 * h + 1] = pack(score[i][2 * n + h][2], score[i][2 * n + h][3]);
        }
#pragma unroll
      for (int j = 0; j < DT; j += 2) {
        uint32_t b[4];
        load_b_transposed<D>(b, v, 16 * n, j / 2, lane);
#pragma unroll
        for (int i = 0; i < MT; i++) {
          mma(sum[i][j], a[i], b[0], b[1]);
          mma(sum[i][j + 1], a[i], b[2], b[3]);
        }
      }
    }
  }

  // Divides by the total and writes through the warp's own rows of `tile`, so that global stores are 16 bytes wide.
  __device__ __forceinline__ void store(unsigned char* tile, bf16* out, int64_t stride, float* lse, int heads, int rows, int columns,
                                        float factor) {
#pragma unroll
    for (int i = 0; i < MT; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float all = total[i][half];
        all += __shfl_xor_sync(0xffffffffu, all, 1);
        all += __shfl_xor_sync(0xffffffffu, all, 2);
        float inverse = all > 0.f ? 1.f / all : (all == 0.f ? 0.f : all);
        int row = row0 + 16 * i + 8 * half + (lane >> 2);
        if ((lane & 3) == 0 && row < rows)
          lse[static_cast<int64_t>(row) * heads] = all == 0.f ? -INFINITY : maximum[i][half] * (factor / LOG2E) + logf(all);
#pragma unroll
        for (int j = 0; j < DT; j++)
          *reinterpret_cast<uint32_t*>(tile + swizzled<D>(row, j) + (lane & 3) * 4) =
              pack(sum[i][j][2 * half] * inverse, sum[i][j][2 * half + 1] * inverse);
      }
    __syncwarp();
    store_rows<D, 16 * MT>(tile, row0, out, stride, rows, columns, lane);
  }
};

template <int D, int MT, int BN>
__device__ __forceinline__ void attention_forward(bf16* out, float* lse, const bf16* q, const bf16* k, const bf16* v, const int2* tiles,
                                                  const int* query_start, const int* key_start, const int* key_length,
                                                  int64_t out_stride, int64_t q_stride, int64_t k_stride, int64_t v_stride, int heads,
                                                  int key_heads, int head_size, int window, float scale, float softcap) {
  constexpr int BM = 64 * MT;
  extern __shared__ __align__(128) unsigned char shared[];
  int head;
  int2 item = work_item(tiles, heads, head);
  if (item.x < 0) return;
  Sequence s(query_start, key_start, key_length, item.x);
  int first = item.y * BM, key_head = head / (heads / key_heads);
  int rows = min(BM, s.queries - first), reach = s.offset + first;
  int begin = s.keys_begin(first, window) / BN, end = (s.keys_end(first + BM - 1) + BN - 1) / BN;
  q += (s.query + first) * q_stride + static_cast<int64_t>(head) * head_size;
  k += s.key * k_stride + static_cast<int64_t>(key_head) * head_size;
  v += s.key * v_stride + static_cast<int64_t>(key_head) * head_size;

  uint32_t q_tile = shared_address(shared), k_tile = q_tile + BM * D * 2, v_tile = k_tile + BN * D * 2;
  copy_tile_async<BM, D, THREADS>(q_tile, q, q_stride, rows, head_size);
  int64_t at = static_cast<int64_t>(end - 1) * BN;
  if (end > begin) copy_tile_async<BN, D, THREADS>(k_tile, k + at * k_stride, k_stride, s.keys - static_cast<int>(at), head_size);
  commit_copies();
  Forward<D, MT, BN> work;
  Score score(scale, softcap);
  for (int tile = end - 1; tile >= begin; tile--) {
    int key = tile * BN;
    wait_copies<0>();
    __syncthreads();  // this tile's keys are here, and nobody reads the last tile's values any more
    copy_tile_async<BN, D, THREADS>(v_tile, v + static_cast<int64_t>(key) * v_stride, v_stride, s.keys - key, head_size);
    commit_copies();
    work.scores(q_tile, k_tile);
    wait_copies<0>();
    __syncthreads();
    if (tile > begin) {
      copy_tile_async<BN, D, THREADS>(k_tile, k + static_cast<int64_t>(key - BN) * k_stride, k_stride, s.keys - key + BN, head_size);
      commit_copies();
    }
    if (softcap > 0.f) work.cap(score);
    if (key + BN - 1 > reach || (window > 0 && key <= reach + BM - 1 - window)) work.mask(key, reach, window);
    work.soften(score.factor);
    work.values(v_tile);
  }
  wait_copies<0>();
  if (end <= begin) __syncthreads();  // no tile has waited for the other warps' copies
  work.store(shared, out + (s.query + first) * out_stride + static_cast<int64_t>(head) * head_size, out_stride,
             lse + (s.query + first) * heads + head, heads, rows, head_size, score.factor);
}

// Fills the work list of `capacity` entries {sequence, tile}, heaviest first by a counting sort; the rest is {-1, 0}.
// Equal weights come in any order, which no result depends on.
__device__ __forceinline__ void attention_tiles(int2* tiles, const int* query_start, const int* key_start, const int* key_length,
                                                int sequences, int capacity, int longest_key, int tile, int inner, int window,
                                                int over_keys) {
  constexpr int BUCKETS = 1024;
  __shared__ int start[BUCKETS];
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  for (int i = threadIdx.x; i < BUCKETS; i += blockDim.x) start[i] = 0;
  __syncthreads();
  int heaviest = longest_key / inner + 2;
  for (int pass = 0; pass < 2; pass++) {
    for (int i = warp; i < sequences; i += blockDim.x / 32) {
      Sequence s(query_start, key_start, key_length, i);
      int count = ((over_keys ? s.keys : s.queries) + tile - 1) / tile;
      for (int t = lane; t < count; t += 32) {
        int first = t * tile, last = first + tile - 1;
        int weight = over_keys ? s.queries_end(last, window) - s.queries_begin(first) : s.keys_end(last) - s.keys_begin(first, window);
        int64_t scaled = static_cast<int64_t>(max(weight, 0) / inner + 1) * BUCKETS / heaviest;
        int bucket = BUCKETS - 1 - static_cast<int>(min(scaled, static_cast<int64_t>(BUCKETS - 1)));
        int at = atomicAdd(&start[bucket], 1);
        if (pass == 1 && at < capacity) tiles[at] = make_int2(i, t);
      }
    }
    __syncthreads();
    if (pass == 0) {  // exclusive prefix sum, one bucket a thread
      int own = threadIdx.x < BUCKETS ? start[threadIdx.x] : 0, sum = own;
      for (int step = 1; step < BUCKETS; step *= 2) {
        int below = threadIdx.x >= step && threadIdx.x < BUCKETS ? start[threadIdx.x - step] : 0;
        __syncthreads();
        if (threadIdx.x < BUCKETS) start[threadIdx.x] = sum += below;
        __syncthreads();
      }
      if (threadIdx.x < BUCKETS) start[threadIdx.x] = sum - own;
      __syncthreads();
    }
  }
  for (int i = start[BUCKETS - 1] + static_cast<int>(threadIdx.x); i < capacity; i += blockDim.x) tiles[i] = make_int2(-1, 0);
}

}  // namespace gatun

extern "C" __global__ void __launch_bounds__(1024)
    attention_tiles(int2* tiles, const int* query_start, const int* key_start, const int* key_length, int sequences, int capacity,
                    int longest_key, int tile, int inner, int window, int over_keys) {
  gatun::attention_tiles(tiles, query_start, key_start, key_length, sequences, capacity, longest_key, tile, inner, window, over_keys);
}

#define ATTENTION_FORWARD(D, MT, BN)                                                                                                \
  extern "C" __global__ void __launch_bounds__(128) attention_forward_bf16_d##D(                                                    \
      gatun::bf16* out, float* lse, const gatun::bf16* q, const gatun::bf16* k, const gatun::bf16* v, const int2* tiles,            \
      const int* query_start, const int* key_start, const int* key_length, int64_t out_stride, int64_t q_stride, int64_t k_stride,  \
      int64_t v_stride, int /*capacity*/, int heads, int key_heads, int head_size, int window, float scale, float softcap) {                          \
    gatun::attention_forward<D, MT, BN>(out, lse, q, k, v, tiles, query_start, key_start, key_length, out_stride, q_stride,         \
                                        k_stride, v_stride, heads, key_heads, head_size, window, scale, softcap);                   \
  }
ATTENTION_FORWARD(32, 2, 64)
ATTENTION_FORWARD(64, 2, 64)
ATTENTION_FORWARD(96, 1, 64)
ATTENTION_FORWARD(128, 1, 64)
ATTENTION_FORWARD(256, 1, 64)
