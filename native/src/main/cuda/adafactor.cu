// Adafactor for one parameter [R, C] (a vector is one row, without row means), f32.
//
//   r = b*r + (1 - b)*(mean over c of g*g + eps);  c = b*c + (1 - b)*(mean over r of g*g + eps)
//   u = g / sqrt(r/mean(r)) / sqrt(c);  u /= max(1, rms(u)/threshold);  p *= 1 - lr*wd;  p -= lr*u
//
// g is first multiplied by min(1, max_norm / (norm + 1e-6)) where `norm` is given. Sums run in an order that depends on
// shapes alone. Five launches of 256 threads: row means, column sums by chunks of rows, column means and the mean of r,
// sum of u*u, update. Bytes per element: 4 + 4 + 4 + 12 (14 with the bf16 copy); 5 + 5 + 9 flops or so.
#include "common.cuh"
#include "optimizer.cuh"

using gatun::bf16;
using gatun::clip_coefficient;

namespace {

constexpr int TILE = 1024;  // columns of a row that a block takes at a time

__device__ __forceinline__ double block_sum(double value, double* shared) {
  __syncthreads();
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = 128; half > 0; half >>= 1) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

// What g is multiplied by: 1 / sqrt(r/mean) of the row, 1 for a vector.
__device__ __forceinline__ float row_factor(const float* row_state, const float* row_mean, int64_t row) {
  return row_state == nullptr ? 1.f : 1.f / sqrtf(row_state[row] / row_mean[0]);
}

}  // namespace

// A block a row.
extern "C" __global__ void __launch_bounds__(256)
    adafactor_rows_f32(float* row_state, const float* gradient, const float* norm, float max_norm, int64_t rows, int64_t cols,
                       float decay, float one_minus_decay, float epsilon) {
  __shared__ double shared[256];
  float clip = clip_coefficient(norm, max_norm);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    double sum = 0;
    for (int64_t col = threadIdx.x; col < cols; col += 256) {
      float g = gradient[row * cols + col] * clip;
      sum += (double)g * g;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) row_state[row] = row_state[row] * decay + one_minus_decay * ((float)(sum / cols) + epsilon);
  }
}

// partial[chunk][col] = sum of g*g over the chunk's rows. Block (x, y): columns 32x … 32x+31, chunk y of `chunk_rows` rows.
extern "C" __global__ void __launch_bounds__(256)
    adafactor_columns_partial_f32(float* partial, const float* gradient, const float* norm, float max_norm, int64_t rows,
                                  int64_t cols, int64_t chunk_rows) {
  __shared__ float shared[8][33];
  float clip = clip_coefficient(norm, max_norm);
  int lane = threadIdx.x & 31, phase = threadIdx.x >> 5;
  int64_t col = blockIdx.x * 32ll + lane;
  int64_t end = min(rows, (blockIdx.y + 1) * chunk_rows);
  float sum = 0.f;
  if (col < cols) {
    for (int64_t row = blockIdx.y * chunk_rows + phase; row < end; row += 8) {
      float g = gradient[row * cols + col] * clip;
      sum += g * g;
    }
  }
  shared[phase][lane] = sum;
  __syncthreads();
  if (phase == 0 && col < cols) {
    for (int i = 1; i < 8; i++) sum += shared[i][lane];
    partial[blockIdx.y * cols + col] = sum;
  }
}

// A thread a column; one more block takes the mean of the row state, if there is one.
extern "C" __global__ void __launch_bounds__(256)
    adafactor_means_f32(float* column_state, float* row_mean, const float* partial, const float* row_state, int chunks,
                        int64_t rows, int64_t cols, float decay, float one_minus_decay, float epsilon) {
  __shared__ double shared[256];
  if (blockIdx.x == gridDim.x - 1) {
    if (row_state == nullptr) return;
    double sum = 0;
    for (int64_t row = threadIdx.x; row < rows; row += 256) sum += row_state[row];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) row_mean[0] = (float)(sum / rows);
    return;
  }
  int64_t col = blockIdx.x * 256ll + threadIdx.x;
  if (col >= cols) return;
  double sum = 0;
  for (int chunk = 0; chunk < chunks; chunk++) sum += partial[chunk * cols + col];
  column_state[col] = column_state[col] * decay + one_minus_decay * ((float)(sum / rows) + epsilon);
}

// squares[block] = sum of u*u over the block's tiles. The caller fixes the number of blocks.
extern "C" __global__ void __launch_bounds__(256)
    adafactor_squares_f32(double* squares, const float* gradient, const float* row_state, const float* row_mean,
                          const float* column_state, const float* norm, float max_norm, int64_t rows, int64_t cols) {
  __shared__ double shared[256];
  float clip = clip_coefficient(norm, max_norm);
  int64_t tiles = (cols + TILE - 1) / TILE;
  double sum = 0;
  for (int64_t tile = blockIdx.x; tile < rows * tiles; tile += gridDim.x) {
    int64_t row = tile / tiles, from = tile % tiles * TILE, end = min(cols, from + TILE);
    float factor = row_factor(row_state, row_mean, row);
    for (int64_t col = from + threadIdx.x; col < end; col += 256) {
      float u = gradient[row * cols + col] * clip * (factor * (1.f / sqrtf(column_state[col])));
      sum += (double)u * u;
    }
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256)
    adafactor_update_f32(float* parameter, bf16* copy, const double* squares, const float* gradient, const float* row_state,
                         const float* row_mean, const float* column_state, const float* norm, float max_norm, int square_count,
                         int64_t rows, int64_t cols, float decay, float learning_rate, float threshold) {
  __shared__ double shared[256];
  double sum = 0;
  for (int i = threadIdx.x; i < square_count; i += 256) sum += squares[i];
  float ratio = (float)(sqrt(block_sum(sum, shared) / ((double)rows * cols)) / threshold);
  float step = learning_rate / (ratio <= 1.f ? 1.f : ratio);  // NaN stays visible
  float clip = clip_coefficient(norm, max_norm);
  int64_t tiles = (cols + TILE - 1) / TILE;
  for (int64_t tile = blockIdx.x; tile < rows * tiles; tile += gridDim.x) {
    int64_t row = tile / tiles, from = tile % tiles * TILE, end = min(cols, from + TILE);
    float factor = row_factor(row_state, row_mean, row);
    for (int64_t col = from + threadIdx.x; col < end; col += 256) {
      int64_t i = row * cols + col;
      float p = parameter[i] * decay - step * (gradient[i] * clip * (factor * (1.f / sqrtf(column_state[col]))));
      parameter[i] = p;
      if (copy != nullptr) copy[i] = __float2bfloat16_rn(p);
    }
  }
}
