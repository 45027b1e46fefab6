// Products of few rows with a 4-bit weight, at the speed at which the packed weight is read.
//
//   y[m, n] = sum over k of x[m, k] * W[n, k]  + lora_scale * sum over j of inner[m, j] * factor[n, j]  + bias[n] + residual[m, n]
//
// x, y, inner, factor, residual bf16 with row strides; bias any ElementType; sums f32. W [out, in] in NF4, blocks of 64, scales plain
// or nested, in % 64 == 0. inner, factor, bias and residual may be null; r and the strides of inner and factor are multiples of 8,
// their rows and those of x aligned to 16 bytes. Aliasing: residual may be y.
//
// A tile is 16 rows of W. A warp holds the fragments of x of its 256 columns in registers and goes through its block's tiles, which
// arrive in a ring of its own; the warps' sums of a tile meet in shared memory. Where a row is longer than the block's columns, the
// last block of those that share tiles (counted in `arrivals`, which is left as it was found: zero) adds their sums in order, so that
// the result does not depend on which came last.
//
// W rows are the M side of m16n8k16 and the rows of x its N side. A byte holds the two elements of one fragment register, so that
// decoding is one look-up of a bf16 pair; the table has a copy for each lane, hence no bank conflicts. The order of K inside a
// fragment is free as long as both sides agree: lane t of a quad takes 16 consecutive elements of each block of 64. The scale multiplies
// the f32 sum of its block.
//
// Grid (blocks that share the tiles, ranges of 256 * warps columns, groups of 8 * TILES rows of x), 32 * warps threads, at most 512.
// Dynamic shared memory: 33792 + warps * (6144 + 1280 * TILES) bytes. partial f32 [ranges, rows, out]; arrivals u32 [groups * blocks];
// both unused with one range. Bytes: the packed weight and its scales once a group of rows.
#include "mma.cuh"
#include "nf4.cuh"

using gatun::bf16;

namespace {

constexpr int ROWS = 16;         // of W a tile
constexpr int COLUMNS = 256;     // of W a warp
constexpr int BLOCKS = COLUMNS / 64;
constexpr int STAGES = 3;
constexpr int STAGE_BYTES = ROWS * COLUMNS / 2;
constexpr int TABLE_BYTES = 32768;
constexpr int MAP_BYTES = 1024;
constexpr int SUM_STRIDE = 20;   // floats from one row of x to the next: no bank conflicts when a warp writes its sums

struct Weight {
  const uint8_t* packed;
  gatun::Nf4Scales scales;
  int64_t out, in;
};

struct Epilogue {
  bf16* y;
  int64_t y_stride;
  const bf16* inner;
  int64_t inner_stride;
  const bf16* factor;
  int64_t factor_stride;
  int r;
  float lora_scale;
  const void* bias;
  int bias_type;
  const bf16* residual;
  int64_t residual_stride;

  __device__ __forceinline__ void operator()(int64_t m, int64_t n, float v) const {
    float update = 0.f;
    for (int j = 0; j < r; j += 8) {
      float a[8], b[8];
      gatun::load<8>(inner + m * inner_stride + j, a);
      gatun::load<8>(factor + n * factor_stride + j, b);
#pragma unroll
      for (int e = 0; e < 8; e++) update = fmaf(a[e], b[e], update);
    }
    v = fmaf(lora_scale, update, v);
    if (bias != nullptr) v += gatun::load_as_float(bias, n, bias_type);
    if (residual != nullptr) v += __bfloat162float(residual[m * residual_stride + n]);
    y[m * y_stride + n] = __float2bfloat16_rn(v);
  }
};

// A scale as it lies in memory, so that it is decoded where it is used and its loads are under way until then.
struct RawScale {
  uint32_t code;
  float absmax;
};

__device__ __forceinline__ RawScale fetch(const gatun::Nf4Scales& scales, uint32_t block, bool valid) {
  if (!valid) return {0, 0.f};
  if (scales.plain != nullptr) return {__float_as_uint(__ldg(scales.plain + block)), 0.f};
  return {__ldg(scales.codes + block), __ldg(scales.absmax + (block >> 8))};
}

__device__ __forceinline__ float decode(const gatun::Nf4Scales& scales, const float* map, RawScale raw) {
  if (scales.plain != nullptr) return __uint_as_float(raw.code);
  return __fadd_rn(__fmul_rn(map[raw.code], raw.absmax), scales.offset);
}

// The bf16 pair of one byte of a word, by the lane's copy of the table.
template <int BYTE>
__device__ __forceinline__ uint32_t look_up(const uint8_t* lane_table, uint32_t word) {
  uint32_t offset = BYTE == 0 ? word << 7 : word >> (8 * BYTE - 7);
  return *reinterpret_cast<const uint32_t*>(lane_table + (offset & 0x7f80));
}

template <int TILES>
__device__ __forceinline__ void few_rows(const Epilogue& epilogue, const bf16* x, int64_t x_stride, const Weight& w, int64_t all_rows,
                                         float* partial, uint32_t* arrivals) {
  extern __shared__ __align__(128) uint8_t shared[];
  uint8_t* table = shared;
  float* map = reinterpret_cast<float*>(shared + TABLE_BYTES);
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  uint8_t* ring = shared + TABLE_BYTES + MAP_BYTES + warp * (STAGES * STAGE_BYTES);
  float* sums = reinterpret_cast<float*>(shared + TABLE_BYTES + MAP_BYTES + warps * (STAGES * STAGE_BYTES));
  constexpr int WARP_SUMS = 8 * TILES * SUM_STRIDE;

  int tiles = (int)((w.out + ROWS - 1) / ROWS);
  int own_tiles = (tiles - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x;
  int64_t k0 = ((int64_t)blockIdx.y * warps + warp) * COLUMNS;
  int64_t m0 = blockIdx.z * (8ll * TILES);
  int rows = (int)min((int64_t)(8 * TILES), all_rows - m0);
  x += m0 * x_stride;

  // The first 64-block of the warp's columns in a row of the block's i-th tile; rows past the end read the last one.
  uint32_t row_blocks = (uint32_t)(w.in / 64), first_block = (uint32_t)(k0 / 64);
  auto block_of = [&](int i, int row) {
    return min((blockIdx.x + i * gridDim.x) * ROWS + row, (uint32_t)w.out - 1) * row_blocks + first_block;
  };
  // Two lanes a row of the tile, four pieces of 16 bytes each, halves of a 64-block side by side, blocks permuted by the row.
  int copied_row = lane >> 1;
  uint32_t ring_address = gatun::shared_address(ring);
  auto copy = [&](int i) {
    if (i < own_tiles) {
      const uint8_t* from = w.packed + (int64_t)block_of(i, copied_row) * 32;
      uint32_t to = ring_address + i % STAGES * STAGE_BYTES + copied_row * (COLUMNS / 2) + (lane & 1) * 16;
#pragma unroll
      for (int b = 0; b < BLOCKS; b++)
        gatun::copy16_async(to + ((b ^ (copied_row & 3)) << 5), from + b * 32 + (lane & 1) * 16, k0 + b * 64 < w.in);
    }
    gatun::commit_copies();
  };
  int g = lane / 4, t = lane % 4;
  auto fetch_scales = [&](int i, RawScale (&raw)[2]) {
    bool valid = i < own_tiles && k0 + t * 64 < w.in;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      raw[h] = fetch(w.scales, block_of(i, g + 8 * h) + t, valid);
    }
  };
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) copy(s);
  RawScale next[2];
  fetch_scales(0, next);

  uint32_t bx[TILES][BLOCKS][8];
#pragma unroll
  for (int i = 0; i < TILES; i++)
#pragma unroll
    for (int b = 0; b < BLOCKS; b++) {
      uint4 lo = make_uint4(0, 0, 0, 0), hi = lo;
      if (i * 8 + g < rows && k0 + b * 64 < w.in) {
        const uint4* q = reinterpret_cast<const uint4*>(x + (i * 8 + g) * x_stride + k0 + b * 64 + t * 16);
        lo = q[0], hi = q[1];
      }
      bx[i][b][0] = lo.x, bx[i][b][1] = lo.y, bx[i][b][2] = lo.z, bx[i][b][3] = lo.w;
      bx[i][b][4] = hi.x, bx[i][b][5] = hi.y, bx[i][b][6] = hi.z, bx[i][b][7] = hi.w;
    }
  for (int byte = warp; byte < 256; byte += warps) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(gatun::NF4_CODE[byte >> 4], gatun::NF4_CODE[byte & 15]);
    reinterpret_cast<uint32_t*>(table)[byte * 32 + lane] = *reinterpret_cast<uint32_t*>(&pair);
  }
  if (w.scales.plain == nullptr)
    for (int i = threadIdx.x; i < 256; i += blockDim.x) map[i] = w.scales.map[i];
  __syncthreads();

  const uint8_t* lane_table = table + lane * 4;
  for (int i = 0; i < own_tiles; i++) {
    copy(i + STAGES - 1);
    float scale[2] = {decode(w.scales, map, next[0]), decode(w.scales, map, next[1])};
    fetch_scales(i + 1, next);
    gatun::wait_copies<STAGES - 1>();
    __syncwarp();
    const uint8_t* stage = ring + i % STAGES * STAGE_BYTES + g * (COLUMNS / 2) + t * 8;
    float sum[TILES][4] = {};
#pragma unroll
    for (int b = 0; b < BLOCKS; b++) {
      // Rows g and g + 8 are permuted alike.
      const uint8_t* at = stage + ((b ^ (g & 3)) << 5);
      uint2 p0 = *reinterpret_cast<const uint2*>(at);
      uint2 p1 = *reinterpret_cast<const uint2*>(at + 8 * (COLUMNS / 2));
      float scale0 = __shfl_sync(0xffffffffu, scale[0], (lane & 28) | b);
      float scale1 = __shfl_sync(0xffffffffu, scale[1], (lane & 28) | b);
      float d[TILES][4] = {};
      auto step = [&](int s, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
        uint32_t a[4] = {a0, a1, a2, a3};
#pragma unroll
        for (int j = 0; j < TILES; j++) gatun::mma(d[j], a, bx[j][b][2 * s], bx[j][b][2 * s + 1]);
      };
      step(0, look_up<0>(lane_table, p0.x), look_up<0>(lane_table, p1.x), look_up<1>(lane_table, p0.x), look_up<1>(lane_table, p1.x));
      step(1, look_up<2>(lane_table, p0.x), look_up<2>(lane_table, p1.x), look_up<3>(lane_table, p0.x), look_up<3>(lane_table, p1.x));
      step(2, look_up<0>(lane_table, p0.y), look_up<0>(lane_table, p1.y), look_up<1>(lane_table, p0.y), look_up<1>(lane_table, p1.y));
      step(3, look_up<2>(lane_table, p0.y), look_up<2>(lane_table, p1.y), look_up<3>(lane_table, p0.y), look_up<3>(lane_table, p1.y));
#pragma unroll
      for (int j = 0; j < TILES; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[j][e] = fmaf(d[j][e], e < 2 ? scale0 : scale1, sum[j][e]);
    }
    float* all = sums + (i & 1) * warps * WARP_SUMS;
#pragma unroll
    for (int j = 0; j < TILES; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) all[warp * WARP_SUMS + (j * 8 + t * 2 + (e & 1)) * SUM_STRIDE + g + e / 2 * 8] = sum[j][e];
    __syncthreads();  // also: every warp is past the stage that the next copy fills, and past the sums of two tiles ago
    int64_t n0 = ((int64_t)blockIdx.x + (int64_t)i * gridDim.x) * ROWS;
    for (int item = threadIdx.x; item < rows * ROWS; item += blockDim.x) {
      int m = item / ROWS;
      int64_t n = n0 + item % ROWS;
      if (n >= w.out) continue;
      float v = 0.f;
#pragma unroll 4
      for (int other = 0; other < warps; other++) v += all[other * WARP_SUMS + m * SUM_STRIDE + item % ROWS];
      if (gridDim.y == 1)
        epilogue(m0 + m, n, v);
      else
        partial[(blockIdx.y * all_rows + m0 + m) * w.out + n] = v;
    }
  }
  if (gridDim.y == 1) return;

  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicInc(arrivals + blockIdx.z * gridDim.x + blockIdx.x, gridDim.y - 1) == gridDim.y - 1;
  __syncthreads();
  if (!last) return;
  __threadfence();
  for (int item = threadIdx.x; item < own_tiles * rows * ROWS; item += blockDim.x) {
    int64_t n = ((int64_t)blockIdx.x + (int64_t)(item / (rows * ROWS)) * gridDim.x) * ROWS + item % ROWS;
    int m = item / ROWS % rows;
    if (n >= w.out) continue;
    float v = 0.f;
#pragma unroll 4
    for (int range = 0; range < (int)gridDim.y; range++) v += __ldcg(partial + (range * all_rows + m0 + m) * w.out + n);
    epilogue(m0 + m, n, v);
  }
}

}  // namespace

#define FEW_ROWS(NAME, TILES)                                                                                                    \
  extern "C" __global__ void __launch_bounds__(512, 1)                                                                           \
      NAME(bf16* y, int64_t y_stride, const bf16* x, int64_t x_stride, const uint8_t* packed, const float* plain,                \
           const uint8_t* codes, const float* absmax, const float* map, float offset, int64_t rows, int64_t out, int64_t in,     \
           const bf16* inner, int64_t inner_stride, const bf16* factor, int64_t factor_stride, int r, float lora_scale,          \
           const void* bias, int bias_type, const bf16* residual, int64_t residual_stride, float* partial, uint32_t* arrivals) { \
    Weight weight{packed, {plain, codes, absmax, map, offset}, out, in};                                                         \
    Epilogue epilogue{y,          y_stride, inner,     inner_stride, factor,          factor_stride, r,                          \
                      lora_scale, bias,     bias_type, residual,     residual_stride};                                           \
    few_rows<TILES>(epilogue, x, x_stride, weight, rows, partial, arrivals);                                                     \
  }
FEW_ROWS(nf4_few_rows_8_bf16, 1)
FEW_ROWS(nf4_few_rows_16_bf16, 2)
