// 4-bit NormalFloat: quantise and dequantise. Bit for bit as dev.gatun.quant.Nf4Codec.
//
// A weight [out, in] is flattened; blocks of `block_size` (a power of two, 32 to 4096) share one f32 scale; the even element of a pair
// is in the high nibble. Scales plain f32, or nested: map[code] * absmax[block / 256] + offset.
#include <math_constants.h>

#include "nf4.cuh"

using gatun::bf16;

namespace gatun {

// Between two neighbouring codes.
__device__ __constant__ const float NF4_MIDPOINTS[15] = {
    -0.8480964004993439f,   -0.6106329262256622f,  -0.4599952697753906f, -0.33967943489551544f, -0.23460740596055984f,
    -0.13791173323988914f,  -0.045525018125772476f, 0.03979014977812767f, 0.1202552504837513f,   0.2035212516784668f,
    0.2920137718319893f,    0.3893125355243683f,   0.5016634166240692f,  0.6427869200706482f,   0.8614784178118011f};

// Of 32 intervals of [-1, 1], each with at most one midpoint: how many midpoints lie in lower ones, and its own, or infinity.
struct Nf4Search {
  float2 intervals[32];

  static __device__ __forceinline__ int interval(float v) { return min(max(__float2int_rd(fmaf(v, 16.f, 16.f)), 0), 31); }

  // Ends with a barrier.
  __device__ __forceinline__ void load() {
    if (threadIdx.x < 32) {
      int below = 0;
      float own = CUDART_INF_F;
      for (int i = 0; i < 15; i++) {
        int at = interval(NF4_MIDPOINTS[i]);
        if (at < static_cast<int>(threadIdx.x)) below++;
        if (at == static_cast<int>(threadIdx.x)) own = NF4_MIDPOINTS[i];
      }
      intervals[threadIdx.x] = make_float2(own, __int_as_float(below));
    }
    __syncthreads();
  }

  // How many midpoints lie strictly below the scaled value.
  __device__ __forceinline__ uint32_t nibble(float v) const {
    float2 entry = intervals[interval(v)];
    return __float_as_int(entry.y) + (v > entry.x ? 1u : 0u);
  }
};

}  // namespace gatun

// One warp a block of elements. source [count] ElementType; packed u8 [ceil(count / 2)]; absmax f32 [blocks]. Grid ceil(blocks / 8),
// 256 threads. An all-zero block and the nibble after an odd count are 7.
extern "C" __global__ void __launch_bounds__(256)
    nf4_quantize(uint8_t* packed, float* absmax, const void* source, int source_type, int64_t count, int block_size) {
  __shared__ gatun::Nf4Search search;
  search.load();
  int64_t block = blockIdx.x * 8ll + threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  int64_t begin = block * block_size;
  if (begin >= count) return;
  int64_t end = min(count, begin + block_size);
  float largest = 0.f;
  for (int64_t i = begin + lane; i < end; i += 32) largest = fmaxf(largest, fabsf(gatun::load_as_float(source, i, source_type)));
  largest = gatun::warp_max(largest);
  if (lane == 0) absmax[block] = largest;
  float reciprocal = __fdiv_rn(1.f, largest);
  for (int64_t i = begin + 2 * lane; i < end; i += 64) {
    uint32_t high = 7, low = 7;
    if (largest != 0.f) {
      high = search.nibble(__fmul_rn(gatun::load_as_float(source, i, source_type), reciprocal));
      if (i + 1 < count) low = search.nibble(__fmul_rn(gatun::load_as_float(source, i + 1, source_type), reciprocal));
    }
    packed[i / 2] = (uint8_t)(high << 4 | low);
  }
}

// The same for blocks of 64 in a matrix whose size is a multiple of 8: eight lanes a block, eight elements a lane. Grid-stride, four
// groups of eight in flight a thread.
extern "C" __global__ void __launch_bounds__(256)
    nf4_quantize_b64(uint8_t* packed, float* absmax, const void* source, int source_type, int64_t count) {
  const int UNROLL = 4;
  __shared__ gatun::Nf4Search search;
  search.load();
  int64_t groups = count / 8;
  // The lanes of a block of elements leave the loop together or not at all, and so do those of a warp.
  for (int64_t first = blockIdx.x * (256ll * UNROLL); first < groups; first += gridDim.x * (256ll * UNROLL)) {
    float v[UNROLL][8] = {};
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      int64_t g = first + u * 256 + threadIdx.x;
      if (g < groups) gatun::load_typed<8>(source, g * 8, source_type, v[u]);
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      int64_t g = first + u * 256 + threadIdx.x;
      float largest = 0.f;
#pragma unroll
      for (int j = 0; j < 8; j++) largest = fmaxf(largest, fabsf(v[u][j]));
#pragma unroll
      for (int mask = 4; mask > 0; mask >>= 1) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, mask));
      if (g >= groups) continue;
      if (g % 8 == 0) absmax[g / 8] = largest;
      float reciprocal = __fdiv_rn(1.f, largest);
      uint32_t word = 0;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        uint32_t n = largest != 0.f ? search.nibble(__fmul_rn(v[u][j], reciprocal)) : 7u;
        word |= n << ((j / 2) * 8 + (j % 2 == 0 ? 4 : 0));
      }
      reinterpret_cast<uint32_t*>(packed)[g] = word;
    }
  }
}

// Scales -> 8-bit codes: one block of 256 threads for each 256 scales. `map` is the ascending dynamic code book.
extern "C" __global__ void __launch_bounds__(256)
    nf4_quantize_scales(uint8_t* codes, float* nested_absmax, const float* absmax, float offset, const float* map, int64_t count) {
  __shared__ float shared[8];
  __shared__ float book[256];
  book[threadIdx.x] = map[threadIdx.x];
  int64_t i = blockIdx.x * 256ll + threadIdx.x;
  float v = i < count ? __fsub_rn(absmax[i], offset) : 0.f;
  float largest = gatun::warp_max(fabsf(v));
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = largest;
  __syncthreads();
  largest = 1e-38f;
  for (int w = 0; w < 8; w++) largest = fmaxf(largest, shared[w]);
  if (threadIdx.x == 0) nested_absmax[blockIdx.x] = largest;
  if (i >= count) return;
  float scaled = __fmul_rn(v, __fdiv_rn(1.f, largest));
  int low = 0, high = 255;
  while (high - low > 1) {
    int middle = (low + high) >> 1;
    if (book[middle] <= scaled)
      low = middle;
    else
      high = middle;
  }
  codes[i] = (uint8_t)(__fsub_rn(book[high], scaled) < __fsub_rn(scaled, book[low]) ? high : low);
}

// Nested scales -> f32, so that a product kernel reads plain ones. Grid-stride, 256 threads.
extern "C" __global__ void __launch_bounds__(256)
    nf4_expand_scales(float* out, const uint8_t* codes, const float* absmax, const float* map, float offset, int64_t count) {
  gatun::Nf4Scales scale{nullptr, codes, absmax, map, offset};
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < count; i += gridDim.x * 256ll) out[i] = scale(i);
}

// out[row, col] = code[nibble] * scale, rounded once to out's type. `cols` elements a weight row, out rows `out_stride` apart, so that a
// wider scratch can hold other columns beside them. `vector` is 1 where cols and out_stride are multiples of 8, out and packed
// aligned. Grid-stride over groups of 8 elements, four groups in flight a thread, 256 threads. Bytes: 0.5 + scales + output.
extern "C" __global__ void __launch_bounds__(256)
    nf4_dequantize(void* out, int out_type, int64_t out_stride, const uint8_t* packed, const float* plain, const uint8_t* codes,
                   const float* absmax, const float* map, float offset, int64_t rows, int64_t cols, int block_shift, int vector) {
  __shared__ float code[16];
  if (threadIdx.x < 16) code[threadIdx.x] = gatun::NF4_CODE[threadIdx.x];
  __syncthreads();
  gatun::Nf4Scales scale{plain, codes, absmax, map, offset};
  int64_t count = rows * cols;
  if (!vector) {
    for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < count; i += gridDim.x * 256ll) {
      uint32_t byte = packed[i / 2];
      float v = code[i % 2 == 0 ? byte >> 4 : byte & 15] * scale(i >> block_shift);
      gatun::store_as(out, i / cols * out_stride + i % cols, out_type, v);
    }
    return;
  }
  const int UNROLL = 4;
  int64_t groups = count / 8;
  int64_t groups_a_row = cols / 8;
  for (int64_t base = blockIdx.x * (256ll * UNROLL) + threadIdx.x; base < groups; base += gridDim.x * (256ll * UNROLL)) {
    uint32_t words[UNROLL];
    float scales[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      int64_t g = base + u * 256;
      words[u] = g < groups ? reinterpret_cast<const uint32_t*>(packed)[g] : 0;
      scales[u] = g < groups ? scale(g * 8 >> block_shift) : 0.f;
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      int64_t g = base + u * 256;
      if (g >= groups) break;
      float v[8];
      gatun::decode8(words[u], scales[u], code, v);
      int64_t at = g / groups_a_row * out_stride + g % groups_a_row * 8;
      if (out_type == gatun::BF16) {
        *reinterpret_cast<uint4*>(static_cast<bf16*>(out) + at) = gatun::pack8(v);
      } else {
#pragma unroll
        for (int j = 0; j < 8; j++) gatun::store_as(out, at + j, out_type, v[j]);
      }
    }
  }
}
