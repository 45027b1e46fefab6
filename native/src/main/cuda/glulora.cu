// Backward of a gated activation together with the narrow products of the low-rank updates around it, in one pass over the wide matrices.
//
//   dgate = dh * up * act'(gate);   dup = dh * act(gate);   h = act(gate) * up, which is not stored
//   dInner_gate = s * dgate B_gate;   dB_gate += s * dgate^T inner_gate;   the same for up;   dA_down += dInner_down^T h
//
// gate, up and dh bf16 [T, F], dgate and dup take the place of gate and up; F a multiple of 64, all rows start at multiples of 16 bytes.
// B [F, R], inner and dInner [T, R] bf16, R <= N a multiple of 8. The sums are partial, for lora_sum_f32: block (x, y) writes
// row_partial [gate, up][x] [T, R] and column_partial [gate, up][y] [F, R], and a_partial [y] [R, F], all f32.
// No atomics: the order of every sum follows from the sizes and the grid alone.
// A block owns `row_tiles` x `column_tiles` tiles of 128 x 64, streamed through a ring of `stages` of gate, up, dh and their parts of the
// narrow operands. The tile is turned into dgate, dup and h where it lies; then of the 16 warps the first eight work on dgate, the others
// on dup: each multiplies rows 16 (w % 8) ... with B, and half the rows of columns 16 (w % 4) ... with inner; and a quarter of the rows of
// those columns of h with dInner_down. A panel of row tiles keeps its row sums in registers while the columns pass; at its end the halves
// and quarters meet in shared memory.
// Launch: 512 threads, grid (ranges of columns, chunks of rows), dynamic shared memory stages * stage bytes + 1280 R.
// Bytes: 10 for each element of [T, F], and the partial sums written and read.
#include "activation.cuh"
#include "common.cuh"
#include "mma.cuh"

namespace gatun {

constexpr int ROWS = 128, COLUMNS = 64, THREADS = 512;
constexpr int MATRIX_BYTES = ROWS * COLUMNS * 2;

// One of gate and up.
struct GluSide {
  bf16* wide;
  int64_t wide_stride;
  const bf16* factor;
  int64_t factor_stride;
  const bf16* inner;
  int64_t inner_stride;
  float* row_partial;
  float* column_partial;
};

struct GluLoraArguments {
  GluSide gate, up;
  const bf16* dh;
  int64_t dh_stride;
  const bf16* down;  // dInner of down
  int64_t down_stride;
  float* a_partial;
  int64_t rows, wide;
  int rank, activation, row_tiles, column_tiles, stages;
};

template <int R>
struct GluLora {
  static constexpr int FACTOR_BYTES = COLUMNS * R * 2, NARROW_BYTES = ROWS * R * 2;
  static constexpr int GATE_AT = 0, UP_AT = MATRIX_BYTES, DH_AT = 2 * MATRIX_BYTES;
  static constexpr int FACTORS_AT = 3 * MATRIX_BYTES, NARROWS_AT = FACTORS_AT + 2 * FACTOR_BYTES;
  static constexpr int STAGE_BYTES = NARROWS_AT + 3 * NARROW_BYTES;
  static constexpr int PANEL = R <= 16 ? 4 : 2;  // row tiles whose sums are kept at once

  const GluLoraArguments& p;
  uint8_t* memory;
  uint32_t shared;
  int lane, warp;
  int row_begin, row_end, column_begin, column_end;
  int load_panel, load_column, load_row;  // the next tile to copy
  int load_slot, slot;

  __device__ __forceinline__ GluLora(const GluLoraArguments& arguments, uint8_t* shared_memory) : p(arguments), memory(shared_memory) {
    shared = shared_address(memory);
    lane = threadIdx.x & 31;
    warp = threadIdx.x >> 5;
    row_begin = blockIdx.y * p.row_tiles;
    row_end = min(row_begin + p.row_tiles, static_cast<int>((p.rows + ROWS - 1) / ROWS));
    column_begin = blockIdx.x * p.column_tiles;
    column_end = min(column_begin + p.column_tiles, static_cast<int>(p.wide / COLUMNS));
    load_panel = load_row = row_begin;
    load_column = column_begin;
    load_slot = slot = 0;
  }

  // Issues the copies of the next tile in the order of use: the rows of a panel, then its columns, then the next panel.
  __device__ __forceinline__ void load_next() {
    if (load_panel < row_end) {
      int64_t row0 = static_cast<int64_t>(load_row) * ROWS, column0 = static_cast<int64_t>(load_column) * COLUMNS;
      int rows = static_cast<int>(min(p.rows - row0, static_cast<int64_t>(ROWS)));
      uint32_t stage = shared + load_slot * STAGE_BYTES;
      copy_tile_async<ROWS, COLUMNS, THREADS>(stage + GATE_AT, p.gate.wide + row0 * p.gate.wide_stride + column0, p.gate.wide_stride, rows,
                                              COLUMNS);
      copy_tile_async<ROWS, COLUMNS, THREADS>(stage + UP_AT, p.up.wide + row0 * p.up.wide_stride + column0, p.up.wide_stride, rows,
                                              COLUMNS);
      copy_tile_async<ROWS, COLUMNS, THREADS>(stage + DH_AT, p.dh + row0 * p.dh_stride + column0, p.dh_stride, rows, COLUMNS);
      // Fewer pieces than threads.
      if (threadIdx.x < COLUMNS * 2) {
        copy_tile_async<COLUMNS, R, COLUMNS * 2>(stage + FACTORS_AT, p.gate.factor + column0 * p.gate.factor_stride, p.gate.factor_stride,
                                                 COLUMNS, p.rank);
        copy_tile_async<COLUMNS, R, COLUMNS * 2>(stage + FACTORS_AT + FACTOR_BYTES, p.up.factor + column0 * p.up.factor_stride,
                                                 p.up.factor_stride, COLUMNS, p.rank);
      }
      if (threadIdx.x < ROWS * 2) {
        uint32_t narrow = stage + NARROWS_AT;
        copy_tile_async<ROWS, R, ROWS * 2>(narrow, p.gate.inner + row0 * p.gate.inner_stride, p.gate.inner_stride, rows, p.rank);
        copy_tile_async<ROWS, R, ROWS * 2>(narrow + NARROW_BYTES, p.up.inner + row0 * p.up.inner_stride, p.up.inner_stride, rows, p.rank);
        copy_tile_async<ROWS, R, ROWS * 2>(narrow + 2 * NARROW_BYTES, p.down + row0 * p.down_stride, p.down_stride, rows, p.rank);
      }
      if (++load_row == min(load_panel + PANEL, row_end)) {
        if (++load_column == column_end) {
          load_column = column_begin;
          load_panel += PANEL;
        }
        load_row = load_panel;
      }
    }
    commit_copies();
    load_slot = load_slot + 1 == p.stages ? 0 : load_slot + 1;
  }

  // Waits for the next tile, sends for the one that takes the place of the previous, and returns where it is.
  __device__ __forceinline__ int next_tile() {
    if (p.stages == 2)  // the instruction takes a constant
      wait_copies<0>();
    else
      wait_copies<1>();
    __syncthreads();
    load_next();
    int tile = slot * STAGE_BYTES;
    slot = slot + 1 == p.stages ? 0 : slot + 1;
    return tile;
  }

  // gate, up and dh of a tile become dgate, dup and h; the first two go out too.
  template <int ACTIVATION>
  __device__ __forceinline__ void activate_tile(int tile, int row_tile, int column_tile) const {
    int64_t row0 = static_cast<int64_t>(row_tile) * ROWS, column0 = static_cast<int64_t>(column_tile) * COLUMNS;
#pragma unroll 1  // the body is there once for each row tile of a panel: more would not fit the instruction cache
    for (int i = 0; i < ROWS * COLUMNS / 8 / THREADS; i++) {
      int item = i * THREADS + threadIdx.x, row = item / (COLUMNS / 8), chunk = item % (COLUMNS / 8);
      uint8_t* at = memory + tile + swizzled<COLUMNS>(row, chunk);
      float g[8], u[8], d[8], h[8];
      unpack8(*reinterpret_cast<uint4*>(at + GATE_AT), g);
      unpack8(*reinterpret_cast<uint4*>(at + UP_AT), u);
      unpack8(*reinterpret_cast<uint4*>(at + DH_AT), d);
#pragma unroll
      for (int j = 0; j < 8; j++) {
        float value, slope;
        activate(g[j], ACTIVATION, value, slope);
        h[j] = value * u[j];
        g[j] = d[j] * u[j] * slope;
        u[j] = d[j] * value;
      }
      uint4 dgate = pack8(g), dup = pack8(u);
      *reinterpret_cast<uint4*>(at + GATE_AT) = dgate;
      *reinterpret_cast<uint4*>(at + UP_AT) = dup;
      *reinterpret_cast<uint4*>(at + DH_AT) = pack8(h);
      if (row0 + row < p.rows) {
        *reinterpret_cast<uint4*>(p.gate.wide + (row0 + row) * p.gate.wide_stride + column0 + chunk * 8) = dgate;
        *reinterpret_cast<uint4*>(p.up.wide + (row0 + row) * p.up.wide_stride + column0 + chunk * 8) = dup;
      }
    }
  }

  // The warp's 16 rows of a matrix times a factor.
  __device__ __forceinline__ void multiply_rows(float (&sum)[R / 8][4], uint32_t matrix, uint32_t factor) const {
#pragma unroll
    for (int k = 0; k < COLUMNS / 16; k++) {
      uint32_t a[4], b[4];
      load_a<COLUMNS>(a, matrix, (warp & 7) * 16, k, lane);
#pragma unroll
      for (int j = 0; j < R / 16; j++) {
        load_b_transposed<R>(b, factor, k * 16, j, lane);
        mma(sum[2 * j], a, b[0], b[1]);
        mma(sum[2 * j + 1], a, b[2], b[3]);
      }
    }
  }

  // Columns 16 * (warp % 4) ... of a matrix, transposed, times a narrow operand, over steps of 16 rows.
  template <int STEPS>
  __device__ __forceinline__ void multiply_columns(float (&sum)[R / 8][4], uint32_t matrix, uint32_t narrow, int first) const {
    int row = (lane & 7) + ((lane >> 4) << 3), chunk = 2 * (warp & 3) + ((lane >> 3) & 1);
#pragma unroll
    for (int i = 0; i < STEPS; i++) {
      int k = first + i;
      uint32_t a[4], b[4];
      ldmatrix_transposed(a, matrix + swizzled<COLUMNS>(k * 16 + row, chunk));
#pragma unroll
      for (int j = 0; j < R / 16; j++) {
        load_b_transposed<R>(b, narrow, k * 16, j, lane);
        mma(sum[2 * j], a, b[0], b[1]);
        mma(sum[2 * j + 1], a, b[2], b[3]);
      }
    }
  }

  __device__ __forceinline__ void store_rows(const float (&sum)[R / 8][4], float* partial, int row_tile) const {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int64_t row = static_cast<int64_t>(row_tile) * ROWS + (warp & 7) * 16 + half * 8 + lane / 4;
      if (row >= p.rows) continue;
      float* at = partial + (blockIdx.x * p.rows + row) * p.rank;
#pragma unroll
      for (int j = 0; j < R / 8; j++) {
        int column = j * 8 + lane % 4 * 2;
        if (column < p.rank) *reinterpret_cast<float2*>(at + column) = make_float2(sum[j][half * 2], sum[j][half * 2 + 1]);
      }
    }
  }

  // The first panel writes, later ones add to what this thread wrote before. The element of column c and rank r lies at
  // partial[c * along + r * across].
  __device__ __forceinline__ void store_columns(const float (&sum)[R / 8][4], float* partial, int column_tile, int64_t along,
                                                int64_t across, bool first) const {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int64_t column = static_cast<int64_t>(column_tile) * COLUMNS + (warp & 3) * 16 + half * 8 + lane / 4;
#pragma unroll
      for (int j = 0; j < R / 8; j++) {
        int r = j * 8 + lane % 4 * 2;
        if (r >= p.rank) continue;
        float* at = partial + column * along + r * across;
        at[0] = first ? sum[j][half * 2] : at[0] + sum[j][half * 2];
        at[across] = first ? sum[j][half * 2 + 1] : at[across] + sum[j][half * 2 + 1];
      }
    }
  }

  // The sums of a warp, for another to add.
  __device__ __forceinline__ float* exchange(int place) const {
    return reinterpret_cast<float*>(memory + p.stages * STAGE_BYTES) + place * (R / 8 * 4 * 32) + lane;
  }

  __device__ __forceinline__ void give(const float (&sum)[R / 8][4], int place) const {
    float* at = exchange(place);
#pragma unroll
    for (int i = 0; i < R / 8 * 4; i++) at[i * 32] = sum[i / 4][i % 4];
  }

  __device__ __forceinline__ void take(float (&sum)[R / 8][4], int place) const {
    const float* at = exchange(place);
#pragma unroll
    for (int i = 0; i < R / 8 * 4; i++) sum[i / 4][i % 4] += at[i * 32];
  }

  template <int ACTIVATION>
  __device__ __forceinline__ void run() {
    for (int i = 0; i < p.stages - 1; i++) load_next();
    int side = warp >> 3, half = warp >> 2 & 1, quarter = warp >> 2;
    const GluSide& mine = side == 0 ? p.gate : p.up;
    float* b_partial = mine.column_partial + blockIdx.y * p.wide * p.rank;
    float* a_partial = p.a_partial + blockIdx.y * p.wide * p.rank;
    for (int panel = row_begin; panel < row_end; panel += PANEL) {
      float row_sum[PANEL][R / 8][4] = {};
      for (int column = column_begin; column < column_end; column++) {
        float b_sum[R / 8][4] = {}, a_sum[R / 8][4] = {};
#pragma unroll
        for (int i = 0; i < PANEL; i++) {
          if (panel + i >= row_end) break;
          int tile = next_tile();
          activate_tile<ACTIVATION>(tile, panel + i, column);
          __syncthreads();
          uint32_t stage = shared + tile;
          multiply_rows(row_sum[i], stage + side * MATRIX_BYTES, stage + FACTORS_AT + side * FACTOR_BYTES);
          multiply_columns<ROWS / 32>(b_sum, stage + side * MATRIX_BYTES, stage + NARROWS_AT + side * NARROW_BYTES, half * (ROWS / 32));
          multiply_columns<ROWS / 64>(a_sum, stage + DH_AT, stage + NARROWS_AT + 2 * NARROW_BYTES, quarter * (ROWS / 64));
        }
        // Places: 8 second halves, then 12 later quarters.
        if (half == 1) give(b_sum, side * 4 + (warp & 3));
        if (quarter > 0) give(a_sum, 4 + warp);
        __syncthreads();
        bool first = panel == row_begin;
        if (half == 0) {
          take(b_sum, side * 4 + (warp & 3));
          store_columns(b_sum, b_partial, column, p.rank, 1, first);
        }
        if (quarter == 0) {
          take(a_sum, 8 + warp);
          take(a_sum, 12 + warp);
          take(a_sum, 16 + warp);
          store_columns(a_sum, a_partial, column, 1, p.wide, first);
        }
      }
#pragma unroll
      for (int i = 0; i < PANEL; i++) {
        if (panel + i >= row_end) break;
        store_rows(row_sum[i], mine.row_partial, panel + i);
      }
    }
    wait_copies<0>();
  }
};

// The launcher knows these sizes.
static_assert(GluLora<16>::STAGE_BYTES == 49152 + 1024 * 16 && GluLora<32>::STAGE_BYTES == 49152 + 1024 * 32,
              "bytes of a stage: three tiles, and 1024 bytes a column of the narrow operands");

}  // namespace gatun

using gatun::bf16;

#define GLU_LORA(R)                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(512, 1) glu_backward_lora_bf16_r##R(                                                \
      bf16* gate, int64_t gate_stride, const bf16* gate_factor, int64_t gate_factor_stride, const bf16* gate_inner,                \
      int64_t gate_inner_stride, float* gate_row_partial, float* gate_column_partial, bf16* up, int64_t up_stride,                 \
      const bf16* up_factor, int64_t up_factor_stride, const bf16* up_inner, int64_t up_inner_stride, float* up_row_partial,       \
      float* up_column_partial, const bf16* dh, int64_t dh_stride, const bf16* down, int64_t down_stride, float* a_partial,        \
      int64_t rows, int64_t wide, int rank, int activation, int row_tiles, int column_tiles, int stages) {                         \
    extern __shared__ __align__(1024) uint8_t shared[];                                                                            \
    gatun::GluLoraArguments p{{gate, gate_stride, gate_factor, gate_factor_stride, gate_inner, gate_inner_stride,                  \
                               gate_row_partial, gate_column_partial},                                                             \
                              {up, up_stride, up_factor, up_factor_stride, up_inner, up_inner_stride, up_row_partial,              \
                               up_column_partial},                                                                                 \
                              dh, dh_stride, down, down_stride, a_partial, rows, wide, rank, activation, row_tiles, column_tiles,  \
                              stages};                                                                                             \
    gatun::GluLora<R> kernel(p, shared);                                                                                           \
    if (activation == 0)                                                                                                           \
      kernel.template run<0>();                                                                                                    \
    else if (activation == 1)                                                                                                      \
      kernel.template run<1>();                                                                                                    \
    else                                                                                                                           \
      kernel.template run<2>();                                                                                                    \
  }
GLU_LORA(16)
GLU_LORA(32)
