// Root-mean-square normalisation over the last dimension.
//
//   rstd = 1/sqrt(mean(x^2) + eps)      y = x * rstd * (offset + w)
//   dx = residual + rstd * (g - xhat * mean(g * xhat)),  g = dy * (offset + w),  xhat = x * rstd
//   dw += sum over rows of dy * xhat
//
// x, y, dy, dx, residual bf16 [T, heads, n], the stride between tokens given apiece (elements), heads and n contiguous; w bf16 or
// f32 [n]; rstd f32 [T * heads]; dw f32 [n]. Statistics in f32.
// Launch, 256 threads: one warp a row (`_warp`, 8 rows a block, for n <= 1024); one block a row (`_block`); or, where `vector` holds, a
// few blocks a multiprocessor that take rows in turn (`_rows4096`, `_rows8192`, for n up to that).
// `vector` is 1 where n and all strides are multiples of 8 and all pointers 16-byte aligned.
// Aliasing: y may be x; dx may be dy or residual (each element is read before it is written by the same thread).
// Bytes: forward 4 per element (read + write), backward 6 (8 with residual). The second read of x hits the L1 cache.
#include "common.cuh"

namespace gatun {

template <int GROUP, int WIDTH>
__device__ void norm_forward(bf16* y, float* rstd, const bf16* x, const void* w, int w_type, int64_t rows, int heads, int n,
                             int64_t y_stride, int64_t x_stride, float eps, float offset) {
  __shared__ float shared[32];
  int64_t row = GROUP == 32 ? (int64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32 : blockIdx.x;
  int lane = threadIdx.x % GROUP;
  if (row >= rows) return;  // whole group leaves; a block group has exactly one row
  const bf16* xr = x + row / heads * x_stride + row % heads * n;
  bf16* yr = y + row / heads * y_stride + row % heads * n;
  float sum = 0.f;
  float v[8], wv[8];
  for (int i = lane * WIDTH; i < n; i += GROUP * WIDTH) {
    load<WIDTH>(xr + i, v);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) sum = fmaf(v[j], v[j], sum);
  }
  sum = group_sum<GROUP>(sum, shared);
  float r = rsqrtf(sum / n + eps);
  if (rstd != nullptr && lane == 0) rstd[row] = r;
  for (int i = lane * WIDTH; i < n; i += GROUP * WIDTH) {
    load<WIDTH>(xr + i, v);
    load_typed<WIDTH>(w, i, w_type, wv);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) v[j] = v[j] * r * (offset + wv[j]);
    store<WIDTH>(yr + i, v);
  }
}

template <int GROUP, int WIDTH>
__device__ void norm_backward(bf16* dx, const bf16* dy, const bf16* residual, const bf16* x, const void* w, int w_type,
                              const float* rstd, int64_t rows, int heads, int n, int64_t dx_stride, int64_t dy_stride,
                              int64_t residual_stride, int64_t x_stride, float offset) {
  __shared__ float shared[32];
  int64_t row = GROUP == 32 ? (int64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32 : blockIdx.x;
  int lane = threadIdx.x % GROUP;
  if (row >= rows) return;
  int64_t t = row / heads, h = row % heads * n;
  const bf16* xr = x + t * x_stride + h;
  const bf16* dyr = dy + t * dy_stride + h;
  const bf16* rr = residual == nullptr ? nullptr : residual + t * residual_stride + h;
  bf16* dxr = dx + t * dx_stride + h;
  float r = rstd[row];
  float dot = 0.f;
  float xv[8], gv[8], ov[8], wv[8];
  for (int i = lane * WIDTH; i < n; i += GROUP * WIDTH) {
    load<WIDTH>(xr + i, xv);
    load<WIDTH>(dyr + i, gv);
    load_typed<WIDTH>(w, i, w_type, wv);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) dot = fmaf(gv[j] * (offset + wv[j]), xv[j] * r, dot);
  }
  dot = group_sum<GROUP>(dot, shared) / n;
  for (int i = lane * WIDTH; i < n; i += GROUP * WIDTH) {
    load<WIDTH>(xr + i, xv);
    load<WIDTH>(dyr + i, gv);
    load_typed<WIDTH>(w, i, w_type, wv);
    if (rr != nullptr) load<WIDTH>(rr + i, ov);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      float g = gv[j] * (offset + wv[j]);
      float d = r * (g - xv[j] * r * dot);
      ov[j] = rr != nullptr ? ov[j] + d : d;
    }
    store<WIDTH>(dxr + i, ov);
  }
}

// Rows of up to KEPT * 256 * 8 columns by blocks that take several rows: the weight stays in registers, and the next row is on its way
// while this one is reduced and written. One pass over memory.
template <int KEPT>
struct RowBlock {
  static constexpr int STRIDE = 256 * 8;
  float weight[KEPT][8];

  __device__ __forceinline__ RowBlock(const void* w, int w_type, int n, float offset) {
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int i = k * STRIDE + threadIdx.x * 8;
      if (i < n) load_typed<8>(w, i, w_type, weight[k]);
#pragma unroll
      for (int j = 0; j < 8; j++) weight[k][j] = i < n ? weight[k][j] + offset : 0.f;
    }
  }

  __device__ __forceinline__ static void fetch(uint4 (&raw)[KEPT], const bf16* row, int n) {
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int i = k * STRIDE + threadIdx.x * 8;
      raw[k] = i < n ? *reinterpret_cast<const uint4*>(row + i) : make_uint4(0, 0, 0, 0);
    }
  }
};

template <int KEPT>
__device__ void norm_forward_rows(bf16* y, float* rstd, const bf16* x, const void* w, int w_type, int64_t rows, int heads, int n,
                                  int64_t y_stride, int64_t x_stride, float eps, float offset) {
  __shared__ float shared[32];
  RowBlock<KEPT> block(w, w_type, n, offset);
  uint4 raw[KEPT], next[KEPT];
  int64_t row = blockIdx.x;
  if (row < rows) block.fetch(next, x + row / heads * x_stride + row % heads * n, n);
  for (; row < rows; row += gridDim.x) {
    float v[8], sum = 0.f;
#pragma unroll
    for (int k = 0; k < KEPT; k++) raw[k] = next[k];
    int64_t following = row + gridDim.x;
    if (following < rows) block.fetch(next, x + following / heads * x_stride + following % heads * n, n);
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      unpack8(raw[k], v);
#pragma unroll
      for (int j = 0; j < 8; j++) sum = fmaf(v[j], v[j], sum);
    }
    float r = rsqrtf(group_sum<256>(sum, shared) / n + eps);
    if (rstd != nullptr && threadIdx.x == 0) rstd[row] = r;
    bf16* yr = y + row / heads * y_stride + row % heads * n;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int i = k * block.STRIDE + threadIdx.x * 8;
      if (i >= n) break;
      unpack8(raw[k], v);
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = v[j] * r * block.weight[k][j];
      store<8>(yr + i, v);
    }
  }
}

template <int KEPT>
__device__ void norm_backward_rows(bf16* dx, const bf16* dy, const bf16* residual, const bf16* x, const void* w, int w_type,
                                   const float* rstd, int64_t rows, int heads, int n, int64_t dx_stride, int64_t dy_stride,
                                   int64_t residual_stride, int64_t x_stride, float offset) {
  __shared__ float shared[32];
  RowBlock<KEPT> block(w, w_type, n, offset);
  uint4 raw_x[KEPT], raw_dy[KEPT], next_x[KEPT], next_dy[KEPT], raw_residual[KEPT];
  auto fetch = [&](int64_t row) {
    block.fetch(next_x, x + row / heads * x_stride + row % heads * n, n);
    block.fetch(next_dy, dy + row / heads * dy_stride + row % heads * n, n);
  };
  int64_t row = blockIdx.x;
  if (row < rows) fetch(row);
  for (; row < rows; row += gridDim.x) {
#pragma unroll
    for (int k = 0; k < KEPT; k++) raw_x[k] = next_x[k], raw_dy[k] = next_dy[k];
    int64_t t = row / heads, h = row % heads * n;
    if (residual != nullptr) block.fetch(raw_residual, residual + t * residual_stride + h, n);
    if (row + gridDim.x < rows) fetch(row + gridDim.x);
    float r = rstd[row], dot = 0.f;
    float xv[8], gv[8], ov[8];
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      unpack8(raw_x[k], xv);
      unpack8(raw_dy[k], gv);
#pragma unroll
      for (int j = 0; j < 8; j++) dot = fmaf(gv[j] * block.weight[k][j], xv[j] * r, dot);
    }
    dot = group_sum<256>(dot, shared) / n;
    bf16* dxr = dx + t * dx_stride + h;
#pragma unroll
    for (int k = 0; k < KEPT; k++) {
      int i = k * block.STRIDE + threadIdx.x * 8;
      if (i >= n) break;
      unpack8(raw_x[k], xv);
      unpack8(raw_dy[k], gv);
      if (residual != nullptr) unpack8(raw_residual[k], ov);
#pragma unroll
      for (int j = 0; j < 8; j++) {
        float d = r * (gv[j] * block.weight[k][j] - xv[j] * r * dot);
        ov[j] = residual != nullptr ? ov[j] + d : d;
      }
      store<8>(dxr + i, ov);
    }
  }
}

}  // namespace gatun

using gatun::bf16;

#define NORM_FORWARD(NAME, GROUP)                                                                                              \
  extern "C" __global__ void __launch_bounds__(256)                                                                            \
      NAME(bf16* y, float* rstd, const bf16* x, const void* w, int w_type, int64_t rows, int heads, int n, int64_t y_stride,  \
           int64_t x_stride, float eps, float offset, int vector) {                                                           \
    if (vector)                                                                                                                \
      gatun::norm_forward<GROUP, 8>(y, rstd, x, w, w_type, rows, heads, n, y_stride, x_stride, eps, offset);                   \
    else                                                                                                                       \
      gatun::norm_forward<GROUP, 1>(y, rstd, x, w, w_type, rows, heads, n, y_stride, x_stride, eps, offset);                   \
  }
NORM_FORWARD(rms_norm_forward_bf16_warp, 32)
NORM_FORWARD(rms_norm_forward_bf16_block, 256)

#define NORM_FORWARD_ROWS(NAME, KEPT)                                                                                            \
  extern "C" __global__ void __launch_bounds__(256)                                                                            \
      NAME(bf16* y, float* rstd, const bf16* x, const void* w, int w_type, int64_t rows, int heads, int n, int64_t y_stride,  \
           int64_t x_stride, float eps, float offset, int /*vector*/) {                                                       \
    gatun::norm_forward_rows<KEPT>(y, rstd, x, w, w_type, rows, heads, n, y_stride, x_stride, eps, offset);                    \
  }
NORM_FORWARD_ROWS(rms_norm_forward_bf16_rows4096, 2)
NORM_FORWARD_ROWS(rms_norm_forward_bf16_rows8192, 4)

#define NORM_BACKWARD(NAME, GROUP)                                                                                             \
  extern "C" __global__ void __launch_bounds__(256)                                                                            \
      NAME(bf16* dx, const bf16* dy, const bf16* residual, const bf16* x, const void* w, int w_type, const float* rstd,       \
           int64_t rows, int heads, int n, int64_t dx_stride, int64_t dy_stride, int64_t residual_stride, int64_t x_stride,   \
           float offset, int vector) {                                                                                        \
    if (vector)                                                                                                                \
      gatun::norm_backward<GROUP, 8>(dx, dy, residual, x, w, w_type, rstd, rows, heads, n, dx_stride, dy_stride,              \
                                     residual_stride, x_stride, offset);                                                      \
    else                                                                                                                       \
      gatun::norm_backward<GROUP, 1>(dx, dy, residual, x, w, w_type, rstd, rows, heads, n, dx_stride, dy_stride,              \
                                     residual_stride, x_stride, offset);                                                      \
  }
NORM_BACKWARD(rms_norm_backward_bf16_warp, 32)
NORM_BACKWARD(rms_norm_backward_bf16_block, 256)

#define NORM_BACKWARD_ROWS(NAME, KEPT)                                                                                           \
  extern "C" __global__ void __launch_bounds__(256)                                                                            \
      NAME(bf16* dx, const bf16* dy, const bf16* residual, const bf16* x, const void* w, int w_type, const float* rstd,       \
           int64_t rows, int heads, int n, int64_t dx_stride, int64_t dy_stride, int64_t residual_stride, int64_t x_stride,   \
           float offset, int /*vector*/) {                                                                                     \
    gatun::norm_backward_rows<KEPT>(dx, dy, residual, x, w, w_type, rstd, rows, heads, n, dx_stride, dy_stride,               \
                                    residual_stride, x_stride, offset);                                                       \
  }
NORM_BACKWARD_ROWS(rms_norm_backward_bf16_rows4096, 2)
NORM_BACKWARD_ROWS(rms_norm_backward_bf16_rows8192, 4)

// First pass of dw: partial[chunk, i] = sum over the rows of the chunk of dy * x * rstd, in row order.
// Grid (ceil(n / 128), chunks), 128 threads: one thread a column.
extern "C" __global__ void __launch_bounds__(128)
    rms_norm_weight_partial_bf16(float* partial, const bf16* dy, const bf16* x, const float* rstd, int64_t rows, int heads, int n,
                                 int64_t dy_stride, int64_t x_stride, int64_t rows_per_chunk) {
  int i = blockIdx.x * 128 + threadIdx.x;
  if (i >= n) return;
  int64_t begin = blockIdx.y * rows_per_chunk;
  int64_t end = min(rows, begin + rows_per_chunk);
  float sum = 0.f;
  for (int64_t row = begin; row < end; row++) {
    int64_t t = row / heads, h = row % heads * n;
    sum += __bfloat162float(dy[t * dy_stride + h + i]) * (__bfloat162float(x[t * x_stride + h + i]) * rstd[row]);
  }
  partial[(int64_t)blockIdx.y * n + i] = sum;
}

// Second pass of any column sum: out[i] += sum over chunks of partial[chunk, i], in order. Grid ceil(n / 128), 128 threads.
extern "C" __global__ void __launch_bounds__(128) column_sum_f32(float* out, const float* partial, int chunks, int n) {
  int i = blockIdx.x * 128 + threadIdx.x;
  if (i >= n) return;
  float sum = 0.f;
  for (int c = 0; c < chunks; c++) sum += partial[(int64_t)c * n + i];
  out[i] += sum;
}

// First pass of a bias gradient: partial[chunk, i] = sum over the rows of the chunk of dy. Launch as above.
extern "C" __global__ void __launch_bounds__(128)
    column_partial_bf16(float* partial, const bf16* dy, int64_t rows, int n, int64_t dy_stride, int64_t rows_per_chunk) {
  int i = blockIdx.x * 128 + threadIdx.x;
  if (i >= n) return;
  int64_t begin = blockIdx.y * rows_per_chunk;
  int64_t end = min(rows, begin + rows_per_chunk);
  float sum = 0.f;
  for (int64_t row = begin; row < end; row++) sum += __bfloat162float(dy[row * dy_stride + i]);
  partial[(int64_t)blockIdx.y * n + i] = sum;
}
