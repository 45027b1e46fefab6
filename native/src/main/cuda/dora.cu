// Weight-decomposed low-rank updates (DoRA): y = m / |W + s B A| * ((W + s B A) x), one magnitude m and one norm an output feature.
//
//   inverse[o]     = 1 / sqrt(sum over i of (W[o, i] + s * sum over r of B[o, r] A[r, i])^2), 0 where the norm is 0
//   y[t, o]        = residual[t, o] + bias[o] + m[o] * inverse[o] * z[t, o]
//   dm[o]         += inverse[o] * sum over t of dy[t, o] * z[t, o]
//
// W [out, in], A [R, in], B [out, R], y, z, dy, residual [T, out] bf16, row strides in elements; bias of any type [out]; m, inverse, dm
// f32 [out]. Arithmetic in f32.
// FLOPs: norm 2 * out * in * (R + 1). Bytes: norm 2 * out * in, and A once for 8 rows, out of the L2 cache; scale 4 per element (6 with
// residual); gradient 4 per element. Aliasing: y may be z or residual (each element is read before the same thread writes it).
#include "common.cuh"

using gatun::bf16;

namespace {
constexpr int ROWS = 8;      // of W in a block
constexpr int COLUMNS = 4;   // of A in a thread
constexpr int RANKS = 128;   // of B in shared memory at a time
}  // namespace

// Grid ceil(rows / 8), 256 threads: a block holds the factors of 8 rows and goes along the columns, 1024 at a time.
extern "C" __global__ void __launch_bounds__(256)
    dora_inverse_norm_bf16(float* inverse, const bf16* weight, int64_t weight_stride, const bf16* a, int64_t a_stride, const bf16* b,
                           int64_t b_stride, int64_t rows, int64_t cols, int rank, float scale) {
  __shared__ float factors[RANKS][ROWS];
  __shared__ float shared[32];
  int64_t first_row = (int64_t)blockIdx.x * ROWS;
  float squares[ROWS] = {};
  for (int64_t first = 0; first < cols; first += 256 * COLUMNS) {
    float sum[ROWS][COLUMNS] = {};
    for (int from = 0; from < rank; from += RANKS) {
      int ranks = min(RANKS, rank - from);
      __syncthreads();
      for (int i = threadIdx.x; i < ranks * ROWS; i += 256) {
        int64_t row = first_row + i / ranks;
        factors[i % ranks][i / ranks] = row < rows ? scale * __bfloat162float(b[row * b_stride + from + i % ranks]) : 0.f;
      }
      __syncthreads();
      for (int r = 0; r < ranks; r++) {
        float av[COLUMNS];
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
          int64_t col = first + c * 256 + threadIdx.x;
          av[c] = col < cols ? __bfloat162float(a[(from + r) * a_stride + col]) : 0.f;
        }
#pragma unroll
        for (int k = 0; k < ROWS; k++) {
#pragma unroll
          for (int c = 0; c < COLUMNS; c++) sum[k][c] = fmaf(factors[r][k], av[c], sum[k][c]);
        }
      }
    }
#pragma unroll
    for (int k = 0; k < ROWS; k++) {
#pragma unroll
      for (int c = 0; c < COLUMNS; c++) {
        int64_t col = first + c * 256 + threadIdx.x, row = first_row + k;
        float v = col < cols && row < rows ? __bfloat162float(weight[row * weight_stride + col]) + sum[k][c] : 0.f;
        squares[k] = fmaf(v, v, squares[k]);
      }
    }
  }
#pragma unroll
  for (int k = 0; k < ROWS; k++) {
    float total = gatun::group_sum<256>(squares[k], shared);
    if (threadIdx.x == k && first_row + k < rows) inverse[first_row + k] = total > 0.f ? 1.f / sqrtf(total) : 0.f;
  }
}

// Grid-stride over rows * cols, 256 threads; residual and bias may be null.
extern "C" __global__ void __launch_bounds__(256)
    dora_scale_bf16(bf16* y, int64_t y_stride, const bf16* residual, int64_t residual_stride, const void* bias, int bias_type,
                    const bf16* z, int64_t z_stride, const float* magnitude, const float* inverse, int64_t rows, int64_t cols) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < rows * cols; i += gridDim.x * 256ll) {
    int64_t t = i / cols, o = i % cols;
    float v = magnitude[o] * inverse[o] * __bfloat162float(z[t * z_stride + o]);
    if (bias != nullptr) v += gatun::load_as_float(bias, o, bias_type);
    if (residual != nullptr) v += __bfloat162float(residual[t * residual_stride + o]);
    y[t * y_stride + o] = __float2bfloat16_rn(v);
  }
}

// First pass of dm: partial[chunk, o] = inverse[o] * sum over the rows of the chunk of dy * z, in row order; column_sum_f32 is the second.
// Grid (ceil(n / 128), chunks), 128 threads: one thread a column.
extern "C" __global__ void __launch_bounds__(128)
    dora_magnitude_partial_bf16(float* partial, const bf16* dy, int64_t dy_stride, const bf16* z, int64_t z_stride, const float* inverse,
                                int64_t rows, int n, int64_t rows_per_chunk) {
  int o = blockIdx.x * 128 + threadIdx.x;
  if (o >= n) return;
  int64_t begin = blockIdx.y * rows_per_chunk;
  int64_t end = min(rows, begin + rows_per_chunk);
  float sum = 0.f;
  for (int64_t t = begin; t < end; t++) sum = fmaf(__bfloat162float(dy[t * dy_stride + o]), __bfloat162float(z[t * z_stride + o]), sum);
  partial[(int64_t)blockIdx.y * n + o] = inverse[o] * sum;
}
