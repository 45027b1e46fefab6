// 4-bit NormalFloat: quantise, dequantise, and the matrix product for few rows. Bit for bit as dev.gatun.quant.Nf4Codec.
//
// A weight [out, in] is flattened; blocks of `block_size` (a power of two, 32 to 4096) share one f32 scale; the even element of a pair
// is in the high nibble. Scales plain f32, or nested: map[code] * absmax[block / 256] + offset.
#include "mma.cuh"
#include "nf4.cuh"

using gatun::bf16;

namespace gatun {

// How many of the 15 midpoints lie strictly below the scaled value.
__device__ __forceinline__ uint32_t nibble(float v) {
  const float m[15] = {-0.8480964004993439f,   -0.6106329262256622f,  -0.4599952697753906f, -0.33967943489551544f, -0.23460740596055984f,
                       -0.13791173323988914f,  -0.045525018125772476f, 0.03979014977812767f, 0.1202552504837513f,   0.2035212516784668f,
                       0.2920137718319893f,    0.3893125355243683f,   0.5016634166240692f,  0.6427869200706482f,   0.8614784178118011f};
  uint32_t count = 0;
#pragma unroll
  for (int i = 0; i < 15; i++) count += v > m[i] ? 1u : 0u;
  return count;
}

}  // namespace gatun

// One warp a block of elements. source [count] ElementType; packed u8 [ceil(count / 2)]; absmax f32 [blocks]. Grid ceil(blocks / 8),
// 256 threads. An all-zero block and the nibble after an odd count are 7.
extern "C" __global__ void __launch_bounds__(256)
    nf4_quantize(uint8_t* packed, float* absmax, const void* source, int source_type, int64_t count, int block_size) {
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
      high = gatun::nibble(__fmul_rn(gatun::load_as_float(source, i, source_type), reciprocal));
      if (i + 1 < count) low = gatun::nibble(__fmul_rn(gatun::load_as_float(source, i + 1, source_type), reciprocal));
    }
    packed[i / 2] = (uint8_t)(high << 4 | low);
  }
}

// The same for blocks of 64 in a matrix whose size is a multiple of 8: eight lanes a block, eight elements a lane.
extern "C" __global__ void __launch_bounds__(256)
    nf4_quantize_b64(uint8_t* packed, float* absmax, const void* source, int source_type, int64_t count) {
  int64_t item = blockIdx.x * 256ll + threadIdx.x;
  bool inside = item * 8 < count;
  float v[8] = {};
  if (inside) gatun::load_typed<8>(source, item * 8, source_type, v);
  float largest = 0.f;
#pragma unroll
  for (int j = 0; j < 8; j++) largest = fmaxf(largest, fabsf(v[j]));
#pragma unroll
  for (int mask = 4; mask > 0; mask >>= 1) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, mask));
  if (!inside) return;
  if (item % 8 == 0) absmax[item / 8] = largest;
  float reciprocal = __fdiv_rn(1.f, largest);
  uint32_t word = 0;
#pragma unroll
  for (int j = 0; j < 8; j++) {
    uint32_t n = largest != 0.f ? gatun::nibble(__fmul_rn(v[j], reciprocal)) : 7u;
    word |= n << ((j / 2) * 8 + (j % 2 == 0 ? 4 : 0));
  }
  reinterpret_cast<uint32_t*>(packed)[item] = word;
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

// y[m, n] = sum over k of x[m, k] * W[n, k] for at most 8 * TILES rows of x: bandwidth-bound, so every packed byte is read once.
//
// W rows are the M side of m16n8k16 and the rows of x its N side. A byte holds the two elements of one fragment register, so that
// decoding is one look-up of a bf16 pair; the table has a copy for each lane, hence no bank conflicts. The order of K inside a
// fragment is free as long as both sides agree: lane t of a quad takes 16 consecutive elements of each block of 64. The scale multiplies the
// f32 sum of its block. Rows of W a CTA: 128 (8 warps of 16); K range a CTA: `range` (a multiple of 64) at blockIdx.y * range; the sums
// go to partial[blockIdx.y, m, n] f32 and `split_sum_f32` adds them. Requires in % 64 == 0 and plain scales with blocks of 64.
// Dynamic shared memory: 32768 + 8 * TILES * (range * 2 + 16) bytes. Grid (ceil(out / 128), ceil(in / range)), 256 threads.
template <int TILES>
__device__ void gemv(float* partial, const bf16* x, int64_t x_stride, const uint8_t* packed, const float* scales, int rows, int64_t out,
                     int64_t in, int range) {
  extern __shared__ __align__(128) uint8_t shared[];
  uint32_t* table = reinterpret_cast<uint32_t*>(shared);
  uint8_t* xs = shared + 32768;
  int x_bytes = range * 2 + 16;
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  for (int i = threadIdx.x; i < 256 * 32; i += 256) {
    int byte = i / 32;
    __nv_bfloat162 pair = __floats2bfloat162_rn(gatun::NF4_CODE[byte >> 4], gatun::NF4_CODE[byte & 15]);
    table[i] = *reinterpret_cast<uint32_t*>(&pair);
  }
  int64_t k0 = (int64_t)blockIdx.y * range;
  int length = (int)min((int64_t)range, in - k0);
  for (int i = threadIdx.x; i < 8 * TILES * (range / 8); i += 256) {
    int r = i / (range / 8), c = i % (range / 8) * 8;
    uint4 v = make_uint4(0, 0, 0, 0);
    if (r < rows && c < length) v = *reinterpret_cast<const uint4*>(x + r * x_stride + k0 + c);
    *reinterpret_cast<uint4*>(xs + r * x_bytes + c * 2) = v;
  }
  __syncthreads();
  int g = lane / 4, t = lane % 4;
  int64_t n0 = blockIdx.x * 128ll + warp * 16 + g;
  bool in0 = n0 < out, in1 = n0 + 8 < out;
  const uint8_t* w0 = packed + ((in0 ? n0 : 0) * in + k0) / 2 + t * 8;
  const uint8_t* w1 = packed + ((in1 ? n0 + 8 : 0) * in + k0) / 2 + t * 8;
  const float* s0 = scales + ((in0 ? n0 : 0) * in + k0) / 64;
  const float* s1 = scales + ((in1 ? n0 + 8 : 0) * in + k0) / 64;
  float sum[TILES][4] = {};
  int blocks = length / 64;
#pragma unroll 4
  for (int b = 0; b < blocks; b++) {
    uint2 p0 = *reinterpret_cast<const uint2*>(w0 + b * 32);
    uint2 p1 = *reinterpret_cast<const uint2*>(w1 + b * 32);
    float scale0 = s0[b], scale1 = s1[b];
    uint32_t words0[2] = {p0.x, p0.y}, words1[2] = {p1.x, p1.y};
    uint32_t bx[TILES][8];
#pragma unroll
    for (int i = 0; i < TILES; i++) {
      const uint4* q = reinterpret_cast<const uint4*>(xs + (i * 8 + g) * x_bytes + (b * 64 + t * 16) * 2);
      uint4 lo = q[0], hi = q[1];
      bx[i][0] = lo.x, bx[i][1] = lo.y, bx[i][2] = lo.z, bx[i][3] = lo.w;
      bx[i][4] = hi.x, bx[i][5] = hi.y, bx[i][6] = hi.z, bx[i][7] = hi.w;
    }
    float d[TILES][4] = {};
#pragma unroll
    for (int s = 0; s < 4; s++) {
      uint32_t two0 = words0[s / 2] >> (s % 2 * 16), two1 = words1[s / 2] >> (s % 2 * 16);
      uint32_t a[4] = {table[(two0 & 255) * 32 + lane], table[(two1 & 255) * 32 + lane], table[(two0 >> 8 & 255) * 32 + lane],
                       table[(two1 >> 8 & 255) * 32 + lane]};
#pragma unroll
      for (int i = 0; i < TILES; i++) gatun::mma(d[i], a, bx[i][2 * s], bx[i][2 * s + 1]);
    }
#pragma unroll
    for (int i = 0; i < TILES; i++) {
      sum[i][0] = fmaf(d[i][0], scale0, sum[i][0]);
      sum[i][1] = fmaf(d[i][1], scale0, sum[i][1]);
      sum[i][2] = fmaf(d[i][2], scale1, sum[i][2]);
      sum[i][3] = fmaf(d[i][3], scale1, sum[i][3]);
    }
  }
  float* target = partial + (int64_t)blockIdx.y * rows * out;
#pragma unroll
  for (int i = 0; i < TILES; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int m = i * 8 + t * 2 + (e & 1);
      int64_t n = n0 + (e / 2) * 8;
      if (m < rows && n < out) target[m * out + n] = sum[i][e];
    }
}

#define GEMV(NAME, TILES)                                                                                                      \
  extern "C" __global__ void __launch_bounds__(256)                                                                            \
      NAME(float* partial, const bf16* x, int64_t x_stride, const uint8_t* packed, const float* scales, int rows, int64_t out, \
           int64_t in, int range) {                                                                                            \
    gemv<TILES>(partial, x, x_stride, packed, scales, rows, out, in, range);                                                   \
  }
GEMV(nf4_gemv_8_bf16, 1)
GEMV(nf4_gemv_16_bf16, 2)
GEMV(nf4_gemv_32_bf16, 4)
