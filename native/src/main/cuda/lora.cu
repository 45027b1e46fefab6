// The narrow products of low-rank updates: one pass over the wide matrix X [T, W], the activations x or their gradient dy.
//
//   row product      P [T, R] = scale * X * F          inner = x A^T (F = A^T, A [R, W]), dInner = scale * dy B (F = B [W, R])
//   column product   G += scale * X^T * N              dB [W, R] += scale * dy^T inner, dA [R, W] += (x^T dInner)^T, N [T, R]
//
// entry                       row product      column product
// lora_inner_bf16_rN          x A^T            -
// lora_inner_backward_bf16_rN dy B             -
// lora_gradient_bf16_rN       -                X^T N
// lora_backward_bf16_rN       dy B             dy^T inner       both from the same tile of dy in shared memory
// lora_sum_f32                sums the partial results of either, or of both in one launch
// lora_scale_rows_bf16        out[t] = factor[t] * x[t]: makes (x rstd w)^T N of the rows before a normalisation
//
// X, F and N are bf16 with rows of any stride that start at multiples of 16 bytes; R <= N a multiple of 8, W a multiple of 8, any T.
// Accumulation in f32. P is bf16 with rows of any such stride, G f32 likewise. Nothing aliases. No atomics: the order of every sum
// follows from the sizes and the grid alone.
// A block owns `row_tiles` x `column_tiles` tiles of 128 x 128, streamed through a ring of `stages` tiles in shared memory; the tile's
// rows of N and its part of F ride in the same stage. Warp w multiplies rows 16w ... of a tile for P and columns 16w ... for G, so that
// warps share no sums. With both products four row tiles make a panel, whose sums of P stay in registers while the columns pass.
// Block (x, y) writes its sums of P to row_partial[x] [T, R] f32 (or, the only block of its rows, rounded to `out`), and its sums of G to
// column_partial[y], [W, R], or [R, W] if `transposed`.
// Launch: 256 threads, grid (ranges of columns, chunks of rows), dynamic shared memory stages * stage bytes (see below).
// FLOPs 2*T*W*R a product. Bytes: X once; partial sums 4*R*(ranges*T + chunks*W) written and read again; F and N from L2 with each tile.
#include "common.cuh"
#include "mma.cuh"

namespace gatun {

constexpr int TILE = 128, THREADS = 256, PANEL = 4;
constexpr int TILE_BYTES = TILE * TILE * 2;

struct LoraArguments {
  const bf16* x;
  int64_t x_stride;
  int64_t rows, wide;
  int rank;
  const bf16* factor;
  int64_t factor_stride;
  const bf16* narrow;
  int64_t narrow_stride;
  bf16* out;
  int64_t out_stride;
  float scale;
  float* row_partial;
  float* column_partial;
  int transposed;
  int row_tiles, column_tiles;
  int stages;
};

// FACTOR_ROWS: F is stored as B is, its rows along W; else as A is.
template <int R, bool ROW, bool COLUMN, bool FACTOR_ROWS>
struct LoraProduct {
  static constexpr int NARROW_BYTES = TILE * R * 2;
  static constexpr int FACTOR_AT = TILE_BYTES;
  static constexpr int NARROW_AT = FACTOR_AT + (ROW ? NARROW_BYTES : 0);
  static constexpr int STAGE_BYTES = NARROW_AT + (COLUMN ? NARROW_BYTES : 0);
  // Row tiles whose sums of P are kept at once. Without P a panel is all of the block's rows.
  static constexpr int KEPT = ROW && COLUMN ? PANEL : 1;

  const LoraArguments& p;
  uint32_t shared;
  int lane, warp;
  int row_begin, row_end, column_begin, column_end, panel_tiles;
  int load_panel, load_column, load_row;  // the next tile to copy
  int load_slot, slot;

  __device__ __forceinline__ LoraProduct(const LoraArguments& arguments, const void* memory) : p(arguments) {
    shared = shared_address(memory);
    lane = threadIdx.x & 31;
    warp = threadIdx.x >> 5;
    row_begin = blockIdx.y * p.row_tiles;
    row_end = min(row_begin + p.row_tiles, static_cast<int>((p.rows + TILE - 1) / TILE));
    column_begin = blockIdx.x * p.column_tiles;
    column_end = min(column_begin + p.column_tiles, static_cast<int>((p.wide + TILE - 1) / TILE));
    panel_tiles = ROW ? KEPT : p.row_tiles;
    load_panel = load_row = row_begin;
    load_column = column_begin;
    load_slot = slot = 0;
  }

  // Issues the copies of the next tile in the order of use: the rows of a panel, then its columns, then the next panel.
  __device__ __forceinline__ void load_next() {
    if (load_panel < row_end) {
      int64_t row0 = static_cast<int64_t>(load_row) * TILE, column0 = static_cast<int64_t>(load_column) * TILE;
      int rows = static_cast<int>(min(p.rows - row0, static_cast<int64_t>(TILE)));
      int columns = static_cast<int>(min(p.wide - column0, static_cast<int64_t>(TILE)));
      uint32_t stage = shared + load_slot * STAGE_BYTES;
      copy_tile_async<TILE, TILE, THREADS>(stage, p.x + row0 * p.x_stride + column0, p.x_stride, rows, columns);
      if constexpr (ROW && FACTOR_ROWS)
        copy_tile_async<TILE, R, THREADS>(stage + FACTOR_AT, p.factor + column0 * p.factor_stride, p.factor_stride, columns, p.rank);
      if constexpr (ROW && !FACTOR_ROWS)
        copy_tile_async<R, TILE, THREADS>(stage + FACTOR_AT, p.factor + column0, p.factor_stride, p.rank, columns);
      if constexpr (COLUMN)
        copy_tile_async<TILE, R, THREADS>(stage + NARROW_AT, p.narrow + row0 * p.narrow_stride, p.narrow_stride, rows, p.rank);
      if (++load_row == min(load_panel + panel_tiles, row_end)) {
        if (++load_column == column_end) {
          load_column = column_begin;
          load_panel += panel_tiles;
        }
        load_row = load_panel;
      }
    }
    commit_copies();
    load_slot = load_slot + 1 == p.stages ? 0 : load_slot + 1;
  }

  // Waits for the next tile, sends for the one that takes the place of the previous, and returns where it is.
  __device__ __forceinline__ uint32_t next_tile() {
    switch (p.stages) {  // the instruction takes a constant
      case 2: wait_copies<0>(); break;
      case 3: wait_copies<1>(); break;
      case 4: wait_copies<2>(); break;
      case 5: wait_copies<3>(); break;
      default: wait_copies<4>();
    }
    __syncthreads();
    load_next();
    uint32_t tile = shared + slot * STAGE_BYTES;
    slot = slot + 1 == p.stages ? 0 : slot + 1;
    return tile;
  }

  // P of the warp's 16 rows += tile * F.
  __device__ __forceinline__ void multiply_rows(float (&sum)[R / 8][4], uint32_t tile) const {
#pragma unroll
    for (int k = 0; k < TILE / 16; k++) {
      uint32_t a[4], b[4];
      load_a<TILE>(a, tile, warp * 16, k, lane);
#pragma unroll
      for (int j = 0; j < R / 16; j++) {
        if constexpr (FACTOR_ROWS)
          load_b_transposed<R>(b, tile + FACTOR_AT, k * 16, j, lane);
        else
          load_b<TILE>(b, tile + FACTOR_AT, j * 16, k, lane);
        mma(sum[2 * j], a, b[0], b[1]);
        mma(sum[2 * j + 1], a, b[2], b[3]);
      }
    }
  }

  // G of the warp's 16 columns += tile^T * N.
  __device__ __forceinline__ void multiply_columns(float (&sum)[R / 8][4], uint32_t tile) const {
    int row = (lane & 7) + ((lane >> 4) << 3), chunk = 2 * warp + ((lane >> 3) & 1);
#pragma unroll
    for (int k = 0; k < TILE / 16; k++) {
      uint32_t a[4], b[4];
      ldmatrix_transposed(a, tile + swizzled<TILE>(k * 16 + row, chunk));
#pragma unroll
      for (int j = 0; j < R / 16; j++) {
        load_b_transposed<R>(b, tile + NARROW_AT, k * 16, j, lane);
        mma(sum[2 * j], a, b[0], b[1]);
        mma(sum[2 * j + 1], a, b[2], b[3]);
      }
    }
  }

  __device__ __forceinline__ void store_rows(const float (&sum)[R / 8][4], int row_tile) const {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int64_t row = static_cast<int64_t>(row_tile) * TILE + warp * 16 + half * 8 + lane / 4;
      if (row >= p.rows) continue;
      float* partial = p.row_partial + (blockIdx.x * p.rows + row) * p.rank;
#pragma unroll
      for (int j = 0; j < R / 8; j++) {
        int column = j * 8 + lane % 4 * 2;
        if (column >= p.rank) continue;
        float v0 = sum[j][half * 2], v1 = sum[j][half * 2 + 1];
        if (p.out != nullptr)
          *reinterpret_cast<uint32_t*>(p.out + row * p.out_stride + column) = pack(p.scale * v0, p.scale * v1);
        else
          *reinterpret_cast<float2*>(partial + column) = make_float2(v0, v1);
      }
    }
  }

  // The first panel writes, later ones add to what this thread wrote before.
  __device__ __forceinline__ void store_columns(const float (&sum)[R / 8][4], int column_tile, bool first) const {
    float* partial = p.column_partial + blockIdx.y * p.wide * p.rank;
    int64_t along = p.transposed ? 1 : p.rank, across = p.transposed ? p.wide : 1;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int64_t column = static_cast<int64_t>(column_tile) * TILE + warp * 16 + half * 8 + lane / 4;
      if (column >= p.wide) continue;
#pragma unroll
      for (int j = 0; j < R / 8; j++) {
        int r = j * 8 + lane % 4 * 2;
        if (r >= p.rank) continue;
        float v0 = sum[j][half * 2], v1 = sum[j][half * 2 + 1];
        float* at = partial + column * along + r * across;
        if (p.transposed) {
          at[0] = first ? v0 : at[0] + v0;
          at[across] = first ? v1 : at[across] + v1;
        } else {
          float2* pair = reinterpret_cast<float2*>(at);
          *pair = first ? make_float2(v0, v1) : make_float2(pair->x + v0, pair->y + v1);
        }
      }
    }
  }

  __device__ __forceinline__ void run() {
    for (int i = 0; i < p.stages - 1; i++) load_next();
    for (int panel = row_begin; panel < row_end; panel += panel_tiles) {
      int tiles = min(panel_tiles, row_end - panel);
      float row_sum[KEPT][R / 8][4] = {};
      for (int column = column_begin; column < column_end; column++) {
        float column_sum[R / 8][4] = {};
        if constexpr (ROW) {
#pragma unroll
          for (int i = 0; i < KEPT; i++) {
            if (i < tiles) {
              uint32_t tile = next_tile();
              multiply_rows(row_sum[i], tile);
              if constexpr (COLUMN) multiply_columns(column_sum, tile);
            }
          }
        } else {
          for (int i = 0; i < tiles; i++) multiply_columns(column_sum, next_tile());
        }
        if constexpr (COLUMN) store_columns(column_sum, column, panel == row_begin);
      }
      if constexpr (ROW) {
#pragma unroll
        for (int i = 0; i < KEPT; i++)
          if (i < tiles) store_rows(row_sum[i], panel + i);
      }
    }
    wait_copies<0>();
  }
};

// Sum of four neighbouring elements over `count` partial results, in order.
__device__ __forceinline__ float4 sum4(const float* partial, int count, int64_t size) {
  float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
#pragma unroll 8
  for (int z = 0; z < count; z++) {
    float4 v = *reinterpret_cast<const float4*>(partial + z * size);
    sum.x += v.x;
    sum.y += v.y;
    sum.z += v.z;
    sum.w += v.w;
  }
  return sum;
}

// The launcher knows these sizes.
static_assert(LoraProduct<16, true, true, true>::STAGE_BYTES == 32768 + 2 * 256 * 16 &&
                  LoraProduct<64, true, false, false>::STAGE_BYTES == 32768 + 256 * 64,
              "bytes of a stage: the tile, and 256 bytes a column for each product");

}  // namespace gatun

using gatun::bf16;

#define LORA(NAME, R, ROW, COLUMN, FACTOR_ROWS)                                                                                 \
  extern "C" __global__ void __launch_bounds__(256, 1)                                                                          \
      NAME(const bf16* x, int64_t x_stride, int64_t rows, int64_t wide, int rank, const bf16* factor, int64_t factor_stride,    \
           const bf16* narrow, int64_t narrow_stride, bf16* out, int64_t out_stride, float scale, float* row_partial,           \
           float* column_partial, int transposed, int row_tiles, int column_tiles, int stages) {                                \
    extern __shared__ __align__(1024) uint8_t shared[];                                                                         \
    gatun::LoraArguments p{x,   x_stride,   rows,  wide,        rank,           factor,     factor_stride, narrow,              \
                           narrow_stride, out, out_stride, scale, row_partial, column_partial, transposed, row_tiles,           \
                           column_tiles, stages};                                                                               \
    gatun::LoraProduct<R, ROW, COLUMN, FACTOR_ROWS>(p, shared).run();                                                           \
  }
#define LORA_RANK(R)                                            \
  LORA(lora_inner_bf16_r##R, R, true, false, false)             \
  LORA(lora_inner_backward_bf16_r##R, R, true, false, true)     \
  LORA(lora_gradient_bf16_r##R, R, false, true, false)          \
  LORA(lora_backward_bf16_r##R, R, true, true, true)
LORA_RANK(16)
LORA_RANK(32)
LORA_RANK(48)
LORA_RANK(64)

// inner [rows, rank] bf16 = scale * sum of row_partial, if there is one; then gradient [gradient_rows, gradient_columns] f32 +=
// scale * sum of column_partial, if there is one; times column_offset + column_weight[column], if there are such weights. Four elements a
// thread, grid-stride.
extern "C" __global__ void __launch_bounds__(256)
    lora_sum_f32(bf16* inner, int64_t inner_stride, const float* row_partial, int ranges, int64_t rows, int64_t rank, float* gradient,
                 int64_t gradient_stride, const float* column_partial, int chunks, int64_t gradient_rows, int64_t gradient_columns,
                 float scale, const void* column_weight, int column_weight_type, float column_offset) {
  int64_t inner_size = inner == nullptr ? 0 : rows * rank;
  int64_t gradient_size = gradient == nullptr ? 0 : gradient_rows * gradient_columns;
  for (int64_t i = (blockIdx.x * 256ll + threadIdx.x) * 4; i < inner_size + gradient_size; i += gridDim.x * 1024ll) {
    if (i < inner_size) {
      float4 sum = gatun::sum4(row_partial + i, ranges, inner_size);
      uint2 rounded = make_uint2(gatun::pack(scale * sum.x, scale * sum.y), gatun::pack(scale * sum.z, scale * sum.w));
      *reinterpret_cast<uint2*>(inner + i / rank * inner_stride + i % rank) = rounded;
    } else {
      int64_t at = i - inner_size;
      float4 sum = gatun::sum4(column_partial + at, chunks, gradient_size);
      int64_t column = at % gradient_columns;
      if (column_weight != nullptr) {
        sum.x *= column_offset + gatun::load_as_float(column_weight, column, column_weight_type);
        sum.y *= column_offset + gatun::load_as_float(column_weight, column + 1, column_weight_type);
        sum.z *= column_offset + gatun::load_as_float(column_weight, column + 2, column_weight_type);
        sum.w *= column_offset + gatun::load_as_float(column_weight, column + 3, column_weight_type);
      }
      float4* target = reinterpret_cast<float4*>(gradient + at / gradient_columns * gradient_stride + column);
      float4 before = *target;
      *target = make_float4(before.x + scale * sum.x, before.y + scale * sum.y, before.z + scale * sum.z, before.w + scale * sum.w);
    }
  }
}

// out [rows, cols] bf16 without gaps = factor[row] * x, x bf16 with rows of any stride of whole 16 bytes, cols a multiple of 8. Eight
// elements a thread, grid-stride.
extern "C" __global__ void __launch_bounds__(256)
    lora_scale_rows_bf16(bf16* out, const bf16* x, int64_t x_stride, const float* factor, int64_t rows, int64_t cols) {
  for (int64_t i = (blockIdx.x * 256ll + threadIdx.x) * 8; i < rows * cols; i += gridDim.x * 2048ll) {
    int64_t row = i / cols;
    float v[8];
    gatun::load<8>(x + row * x_stride + i % cols, v);
#pragma unroll
    for (int j = 0; j < 8; j++) v[j] *= factor[row];
    gatun::store<8>(out + i, v);
  }
}
