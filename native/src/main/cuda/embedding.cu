// Token embedding.
//
//   y[t] = scale * table[ids[t]]                     dtable[ids[t]] += scale * dy[t], in the order of t
//   and the same of columns: y[t] = scale * table[:, ids[t]]; the strides of ids and of elements in the table are given.
//
// y, dy bf16 [T, H], row strides in elements; table [V, H] or [H, V] contiguous, any ElementType; ids i32 [T]; dtable f32 [V, H].
#include "common.cuh"

using gatun::bf16;

// Grid T blocks of 128 threads. Bytes: 2 * H * (2 + size of an element) a token.
extern "C" __global__ void __launch_bounds__(128)
    embedding_gather_bf16(bf16* y, const void* table, int table_type, const int* ids, int hidden, int64_t y_stride,
                          int64_t id_stride, int64_t element_stride, float scale, int vector) {
  int64_t t = blockIdx.x;
  int64_t row = ids[t] * id_stride;
  float v[8];
  if (vector) {
    for (int i = threadIdx.x * 8; i < hidden; i += 128 * 8) {
      gatun::load_typed<8>(table, row + i, table_type, v);
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] *= scale;
      gatun::store<8>(y + t * y_stride + i, v);
    }
  } else {
    for (int i = threadIdx.x; i < hidden; i += 128)
      y[t * y_stride + i] = __float2bfloat16_rn(scale * gatun::load_as_float(table, row + i * element_stride, table_type));
  }
}

// One block of 256 threads a token. The block of the first token with an id adds the rows of all tokens with that id, in order, so
// that no two blocks touch one row and the order of additions is fixed; the other blocks leave. Finding equal ids reads T ids a block,
// which the L2 cache serves.
extern "C" __global__ void __launch_bounds__(256)
    embedding_scatter_add_bf16(float* dtable, const bf16* dy, const int* ids, int tokens, int hidden, int64_t dy_stride,
                               int64_t id_stride, int64_t element_stride, float scale) {
  __shared__ int matches[256];
  __shared__ int match_count;
  int first = blockIdx.x;
  int id = ids[first];
  int earlier = 0;
  for (int t = threadIdx.x; t < first; t += 256) earlier |= ids[t] == id;
  if (__syncthreads_or(earlier)) return;
  float* row = dtable + id * id_stride;
  for (int base = first; base < tokens; base += 256) {
    int t = base + (int)threadIdx.x;
    bool match = t < tokens && ids[t] == id;
    // Ordered compaction: ballots give each match its place.
    unsigned ballot = __ballot_sync(0xffffffffu, match);
    __shared__ int warp_counts[8];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    __syncthreads();
    if (lane == 0) warp_counts[warp] = __popc(ballot);
    __syncthreads();
    int place = __popc(ballot & ((1u << lane) - 1));
    for (int w = 0; w < warp; w++) place += warp_counts[w];
    if (match) matches[place] = t;
    if (threadIdx.x == 0) {
      int total = 0;
      for (int w = 0; w < 8; w++) total += warp_counts[w];
      match_count = total;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < hidden && match_count > 0; i += 256) {
      float sum = row[i * element_stride];
      for (int m = 0; m < match_count; m++) sum += scale * __bfloat162float(dy[matches[m] * dy_stride + i]);
      row[i * element_stride] = sum;
    }
  }
}

// out[i] = x[rows[i]]: gathers the trained rows before the loss. Grid n blocks of 128 threads; hidden bf16.
extern "C" __global__ void __launch_bounds__(128)
    rows_gather_bf16(bf16* out, const bf16* x, const int* rows, int hidden, int64_t x_stride, int vector) {
  const bf16* source = x + (int64_t)rows[blockIdx.x] * x_stride;
  bf16* target = out + (int64_t)blockIdx.x * hidden;
  if (vector) {
    for (int i = threadIdx.x * 8; i < hidden; i += 128 * 8)
      *reinterpret_cast<uint4*>(target + i) = *reinterpret_cast<const uint4*>(source + i);
  } else {
    for (int i = threadIdx.x; i < hidden; i += 128) target[i] = source[i];
  }
}

// x[rows[i]] = in[i]; rows are distinct. Grid n blocks of 128 threads.
extern "C" __global__ void __launch_bounds__(128)
    rows_scatter_bf16(bf16* x, const bf16* in, const int* rows, int hidden, int64_t x_stride, int vector) {
  bf16* target = x + (int64_t)rows[blockIdx.x] * x_stride;
  const bf16* source = in + (int64_t)blockIdx.x * hidden;
  if (vector) {
    for (int i = threadIdx.x * 8; i < hidden; i += 128 * 8)
      *reinterpret_cast<uint4*>(target + i) = *reinterpret_cast<const uint4*>(source + i);
  } else {
    for (int i = threadIdx.x; i < hidden; i += 128) target[i] = source[i];
  }
}
