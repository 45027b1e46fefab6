// Updates of bitsandbytes: AdamW and Lion with moments in 8 bits, Lion with its moment in f32.
//
// A moment's element i is map[codes[i]] * absmax[i / 256]. One warp updates one block of 256 elements, eight a lane:
//   decode; update in f32; absmax = largest |moment| of the block; code = nearest entry of the map to moment / absmax.
// AdamW: p *= 1 - lr*wd; m = b1*m + (1 - b1)*g; v = b2*v + (1 - b2)*g*g;
//   p -= lr/(1 - b1^t) * m / (sqrt(v)/sqrt(1 - b2^t) + eps).
// Lion: p *= 1 - lr*wd; p -= lr * sign(b1*m + (1 - b1)*g); m = b2*m + (1 - b2)*g.
// g is first multiplied by min(1, max_norm / (norm + 1e-6)) where `norm` is given. Every operation is rounded on its own, so
// that codes are those of the CPU backend. A block whose absmax is not a normal number becomes zero; NaN stays NaN.
//
// The nearest code: a table by exponent and leading digits of x tells how many entries lie in lower intervals, a step or two from there
// finds the neighbours of x, and the nearer one is it, the lower one if they are equally near. Right for any ascending map.
//
// Launch: 256 threads, grid-stride over blocks; pointers aligned to 16 bytes; the last block may be short.
// Bytes per element: AdamW 16.06 (18.06 with the bf16 copy), Lion 14.03 (16.03), Lion in f32 20 (22).
#include "common.cuh"
#include "optimizer.cuh"

using gatun::bf16;
using gatun::clip_coefficient;

namespace {

constexpr int BLOCK = 256;
constexpr int PER_LANE = 8;
constexpr float SMALLEST_NORMAL = 1.17549435e-38f;

constexpr int DIGITS = 5;                             // of the mantissa
constexpr int LEAST = 103 << DIGITS;                  // 2^-24 and all below share an interval
constexpr int SIDE = (127 << DIGITS) - LEAST + 1;     // intervals up to 1

struct Map {
  float sorted[256];
  uint8_t below[2 * SIDE];  // the last entry in a lower interval, 0 if there is none
};

// The interval of |x| <= 1, ascending with x.
__device__ __forceinline__ int interval(float x) {
  int key = max(0, static_cast<int>((__float_as_uint(x) & 0x7fffffffu) >> (23 - DIGITS)) - LEAST);
  return signbit(x) ? SIDE - 1 - min(key, SIDE - 1) : SIDE + min(key, SIDE - 1);
}

// Ends with a barrier.
__device__ __forceinline__ void load_map(Map& shared, const float* map) {
  for (int i = threadIdx.x; i < 256; i += blockDim.x) shared.sorted[i] = map[i];
  __syncthreads();
  for (int i = threadIdx.x; i < 2 * SIDE; i += blockDim.x) {
    int count = 0;  // entries in lower intervals
#pragma unroll
    for (int step = 128; step > 0; step >>= 1)
      if (interval(shared.sorted[count + step - 1]) < i) count += step;
    shared.below[i] = static_cast<uint8_t>(max(0, count - 1));
  }
  __syncthreads();
}

__device__ __forceinline__ uint32_t nearest(const Map& map, float x) {
  int low = map.below[interval(x)];
  while (low < 255 && map.sorted[low + 1] <= x) low++;
  int high = min(low + 1, 255);
  return map.sorted[high] - x < x - map.sorted[low] ? high : low;
}

__device__ __forceinline__ void decode(const Map& map, const uint8_t* codes, float absmax, int valid, float (&out)[PER_LANE]) {
  uint2 packed = make_uint2(0, 0);
  if (valid == PER_LANE) {
    packed = *reinterpret_cast<const uint2*>(codes);
  } else {
#pragma unroll
    for (int i = 0; i < PER_LANE; i++)
      if (i < valid) (i < 4 ? packed.x : packed.y) |= (uint32_t)codes[i] << (8 * (i & 3));
  }
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) {
    uint32_t code = ((i < 4 ? packed.x : packed.y) >> (8 * (i & 3))) & 255;
    out[i] = i < valid ? __fmul_rn(map.sorted[code], absmax) : 0.f;
  }
}

// The whole warp takes part; lanes past the end pass zeros.
__device__ __forceinline__ void encode(const Map& map, uint8_t* codes, float* absmax, int valid, const float (&in)[PER_LANE]) {
  uint32_t largest = 0;  // bits of absolute values are ordered as the values, NaN above all
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) largest = max(largest, __float_as_uint(fabsf(in[i])));
  float scale = __uint_as_float(__reduce_max_sync(0xffffffffu, largest));
  if ((threadIdx.x & 31) == 0) *absmax = scale;
  float inverse = scale < SMALLEST_NORMAL ? 0.f : __frcp_rn(scale);
  uint2 packed = make_uint2(0, 0);
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) {
    float x = fminf(fmaxf(__fmul_rn(in[i], inverse), -1.f), 1.f);
    (i < 4 ? packed.x : packed.y) |= nearest(map, x) << (8 * (i & 3));
  }
  if (valid == PER_LANE) {
    *reinterpret_cast<uint2*>(codes) = packed;
  } else {
#pragma unroll
    for (int i = 0; i < PER_LANE; i++)
      if (i < valid) codes[i] = (uint8_t)((i < 4 ? packed.x : packed.y) >> (8 * (i & 3)));
  }
}

__device__ __forceinline__ void load(const float* x, int valid, float (&out)[PER_LANE]) {
  if (valid == PER_LANE) {
    gatun::load_typed<8>(x, 0, gatun::F32, out);
  } else {
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) out[i] = i < valid ? x[i] : 0.f;
  }
}

__device__ __forceinline__ void store(float* x, int valid, const float (&in)[PER_LANE]) {
  if (valid == PER_LANE) {
    reinterpret_cast<float4*>(x)[0] = make_float4(in[0], in[1], in[2], in[3]);
    reinterpret_cast<float4*>(x)[1] = make_float4(in[4], in[5], in[6], in[7]);
  } else {
#pragma unroll
    for (int i = 0; i < PER_LANE; i++)
      if (i < valid) x[i] = in[i];
  }
}

__device__ __forceinline__ void store(bf16* x, int valid, const float (&in)[PER_LANE]) {
  if (valid == PER_LANE) {
    gatun::store<8>(x, in);
  } else {
#pragma unroll
    for (int i = 0; i < PER_LANE; i++)
      if (i < valid) x[i] = __float2bfloat16_rn(in[i]);
  }
}

__device__ __forceinline__ float weighted(float a, float x, float b, float y) { return __fadd_rn(__fmul_rn(a, x), __fmul_rn(b, y)); }

struct LionStep {
  float decay, learning_rate, beta1, one_minus_beta1, beta2, one_minus_beta2;

  __device__ __forceinline__ void operator()(float& p, float g, float& m) const {
    float direction = weighted(beta1, m, one_minus_beta1, g);
    float sign = direction > 0.f ? 1.f : (direction < 0.f ? -1.f : direction);  // 0 and NaN as they are
    p = __fsub_rn(__fmul_rn(p, decay), __fmul_rn(learning_rate, sign));
    m = weighted(beta2, m, one_minus_beta2, g);
  }
};

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    adamw_8bit(float* parameter, const float* gradient, uint8_t* m_codes, float* m_absmax, const float* m_map, uint8_t* v_codes,
               float* v_absmax, const float* v_map, bf16* copy, const float* norm, float max_norm, int64_t count, float decay,
               float beta1, float one_minus_beta1, float beta2, float one_minus_beta2, float step_size, float root_correction2,
               float epsilon) {
  __shared__ Map m_shared, v_shared;
  load_map(m_shared, m_map);
  load_map(v_shared, v_map);
  float clip = clip_coefficient(norm, max_norm);
  int lane = threadIdx.x & 31;
  int64_t blocks = (count + BLOCK - 1) / BLOCK, stride = (int64_t)gridDim.x * 8;
  for (int64_t block = blockIdx.x * 8ll + (threadIdx.x >> 5); block < blocks; block += stride) {
    int64_t at = block * BLOCK + lane * PER_LANE;
    int valid = (int)min((int64_t)PER_LANE, max((int64_t)0, count - at));
    float p[PER_LANE], g[PER_LANE], m[PER_LANE], v[PER_LANE];
    load(parameter + at, valid, p);
    load(gradient + at, valid, g);
    decode(m_shared, m_codes + at, m_absmax[block], valid, m);
    decode(v_shared, v_codes + at, v_absmax[block], valid, v);
    __syncwarp();  // every lane has read the scales that the first one replaces
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
      float gi = __fmul_rn(g[i], clip);
      m[i] = weighted(m[i], beta1, one_minus_beta1, gi);
      v[i] = __fadd_rn(__fmul_rn(v[i], beta2), __fmul_rn(__fmul_rn(one_minus_beta2, gi), gi));
      float denominator = __fadd_rn(__fdiv_rn(__fsqrt_rn(v[i]), root_correction2), epsilon);
      p[i] = __fsub_rn(__fmul_rn(p[i], decay), __fmul_rn(step_size, __fdiv_rn(m[i], denominator)));
      if (i >= valid) m[i] = v[i] = 0.f;
    }
    store(parameter + at, valid, p);
    if (copy != nullptr) store(copy + at, valid, p);
    encode(m_shared, m_codes + at, m_absmax + block, valid, m);
    encode(v_shared, v_codes + at, v_absmax + block, valid, v);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    lion_8bit(float* parameter, const float* gradient, uint8_t* m_codes, float* m_absmax, const float* m_map, bf16* copy,
              const float* norm, float max_norm, int64_t count, float decay, float learning_rate, float beta1,
              float one_minus_beta1, float beta2, float one_minus_beta2) {
  __shared__ Map m_shared;
  load_map(m_shared, m_map);
  LionStep step{decay, learning_rate, beta1, one_minus_beta1, beta2, one_minus_beta2};
  float clip = clip_coefficient(norm, max_norm);
  int lane = threadIdx.x & 31;
  int64_t blocks = (count + BLOCK - 1) / BLOCK, stride = (int64_t)gridDim.x * 8;
  for (int64_t block = blockIdx.x * 8ll + (threadIdx.x >> 5); block < blocks; block += stride) {
    int64_t at = block * BLOCK + lane * PER_LANE;
    int valid = (int)min((int64_t)PER_LANE, max((int64_t)0, count - at));
    float p[PER_LANE], g[PER_LANE], m[PER_LANE];
    load(parameter + at, valid, p);
    load(gradient + at, valid, g);
    decode(m_shared, m_codes + at, m_absmax[block], valid, m);
    __syncwarp();  // every lane has read the scale that the first one replaces
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
      step(p[i], __fmul_rn(g[i], clip), m[i]);
      if (i >= valid) m[i] = 0.f;
    }
    store(parameter + at, valid, p);
    if (copy != nullptr) store(copy + at, valid, p);
    encode(m_shared, m_codes + at, m_absmax + block, valid, m);
  }
}

extern "C" __global__ void __launch_bounds__(256)
    lion_f32(float* parameter, const float* gradient, float* moment, bf16* copy, const float* norm, float max_norm, int64_t count,
             float decay, float learning_rate, float beta1, float one_minus_beta1, float beta2, float one_minus_beta2) {
  LionStep step{decay, learning_rate, beta1, one_minus_beta1, beta2, one_minus_beta2};
  float clip = clip_coefficient(norm, max_norm);
  int64_t stride = (int64_t)gridDim.x * blockDim.x * PER_LANE;
  for (int64_t at = (blockIdx.x * (int64_t)blockDim.x + threadIdx.x) * PER_LANE; at < count; at += stride) {
    int valid = (int)min((int64_t)PER_LANE, count - at);
    float p[PER_LANE], g[PER_LANE], m[PER_LANE];
    load(parameter + at, valid, p);
    load(gradient + at, valid, g);
    load(moment + at, valid, m);
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) step(p[i], __fmul_rn(g[i], clip), m[i]);
    store(parameter + at, valid, p);
    store(moment + at, valid, m);
    if (copy != nullptr) store(copy + at, valid, p);
  }
}
