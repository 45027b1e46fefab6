// Copies between types, additions, finite checks.
//
// Matrices [rows, cols] with row strides in elements; types are ElementType. Launch: grid-stride over rows * cols, 256 threads.
#include "common.cuh"
#include "philox.cuh"

using gatun::bf16;

// destination (+)= scale * source.
template <bool ADD>
__device__ void tensor_binary(void* destination, int destination_type, int64_t destination_stride, const void* source, int source_type,
                              int64_t source_stride, int64_t rows, int64_t cols, float scale, int vector) {
  int64_t first = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, step = (int64_t)gridDim.x * blockDim.x;
  if (vector) {
    int64_t per_row = cols / 8;
    for (int64_t i = first; i < rows * per_row; i += step) {
      int64_t r = i / per_row, c = i % per_row * 8;
      bf16* d = static_cast<bf16*>(destination) + r * destination_stride + c;
      float v[8], old[8];
      gatun::load<8>(static_cast<const bf16*>(source) + r * source_stride + c, v);
      if (ADD) gatun::load<8>(d, old);
#pragma unroll
      for (int j = 0; j < 8; j++) v[j] = ADD ? old[j] + scale * v[j] : scale * v[j];
      gatun::store<8>(d, v);
    }
    return;
  }
  for (int64_t i = first; i < rows * cols; i += step) {
    int64_t r = i / cols, c = i % cols;
    int64_t d = r * destination_stride + c;
    float v = scale * gatun::load_as_float(source, r * source_stride + c, source_type);
    if (ADD) v += gatun::load_as_float(destination, d, destination_type);
    gatun::store_as(destination, d, destination_type, v);
  }
}

#define TENSOR_BINARY(NAME, ADD)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256)                                                                            \
      NAME(void* destination, int destination_type, int64_t destination_stride, const void* source, int source_type,           \
           int64_t source_stride, int64_t rows, int64_t cols, float scale, int vector) {                                       \
    tensor_binary<ADD>(destination, destination_type, destination_stride, source, source_type, source_stride, rows, cols,      \
                       scale, vector);                                                                                         \
  }
TENSOR_BINARY(tensor_copy, false)
TENSOR_BINARY(tensor_add, true)

// destination[:, first : first + rank] = scale * factor [rows, rank], zeros in the other columns; factor may be null with rank 0.
extern "C" __global__ void __launch_bounds__(256)
    tensor_place_bf16(bf16* destination, int64_t destination_stride, const bf16* factor, int64_t factor_stride, int64_t rows,
                      int64_t cols, int64_t first, int64_t rank, float scale) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < rows * cols; i += gridDim.x * 256ll) {
    int64_t r = i / cols, c = i % cols, k = c - first;
    float v = k >= 0 && k < rank ? scale * __bfloat162float(factor[r * factor_stride + k]) : 0.f;
    destination[r * destination_stride + c] = __float2bfloat16_rn(v);
  }
}

// flag[0] = 1 where any element is NaN or infinite; all writers write the same value.
extern "C" __global__ void __launch_bounds__(256)
    tensor_check_finite(int* flag, const void* x, int type, int64_t stride, int64_t rows, int64_t cols) {
  for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < rows * cols; i += (int64_t)gridDim.x * blockDim.x) {
    float v = gatun::load_as_float(x, i / cols * stride + i % cols, type);
    if (!isfinite(v)) flag[0] = 1;
  }
}

// Inverted dropout: out = x * keep_scale where the element survives, else 0. `state` i64 [2]: seed and step. Four elements a thread,
// whose words are one Philox block; index = row * cols + col. cols must not be a multiple of anything.
extern "C" __global__ void __launch_bounds__(256)
    dropout_bf16(bf16* out, int64_t out_stride, const bf16* x, int64_t x_stride, int64_t rows, int64_t cols, const int64_t* state,
                 int stream, uint32_t threshold, float keep_scale) {
  int64_t count = rows * cols;
  for (int64_t block = blockIdx.x * 256ll + threadIdx.x; block * 4 < count; block += gridDim.x * 256ll) {
    uint4 w = gatun::philox((uint64_t)state[0], (uint32_t)state[1], (uint32_t)stream, (uint64_t)block);
    uint32_t words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int64_t i = block * 4 + j;
      if (i >= count) break;
      int64_t r = i / cols, c = i % cols;
      float v = __bfloat162float(x[r * x_stride + c]);
      out[r * out_stride + c] = __float2bfloat16_rn((words[j] >> 8) >= threshold ? v * keep_scale : 0.f);
    }
  }
}

// x += magnitude * u, u uniform in [-1, 1): NEFTune.
extern "C" __global__ void __launch_bounds__(256)
    uniform_noise_bf16(bf16* x, int64_t stride, int64_t rows, int64_t cols, const int64_t* state, int stream, float magnitude) {
  int64_t count = rows * cols;
  for (int64_t block = blockIdx.x * 256ll + threadIdx.x; block * 4 < count; block += gridDim.x * 256ll) {
    uint4 w = gatun::philox((uint64_t)state[0], (uint32_t)state[1], (uint32_t)stream, (uint64_t)block);
    uint32_t words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int64_t i = block * 4 + j;
      if (i >= count) break;
      bf16* p = x + i / cols * stride + i % cols;
      float u = (float)(words[j] >> 8) * 1.1920928955078125e-7f - 1.f;
      *p = __float2bfloat16_rn(__bfloat162float(*p) + magnitude * u);
    }
  }
}

// y[r, c] += row[c]: a bias. Grid-stride, 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    tensor_add_row(void* y, int y_type, int64_t y_stride, const void* row, int row_type, int64_t rows, int64_t cols) {
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < rows * cols; i += gridDim.x * 256ll) {
    int64_t at = i / cols * y_stride + i % cols;
    gatun::store_as(y, at, y_type, gatun::load_as_float(y, at, y_type) + gatun::load_as_float(row, i % cols, row_type));
  }
}
