// Parameter updates over flat f32 buffers.
//
// Gradients are first multiplied by the clip coefficient min(1, max_norm / (norm + 1e-6)) where `norm` is given.
// AdamW: p -= lr*wd*p; m += (g - m)(1 - b1); v = b2*v + (1 - b2)*g*g; p -= lr/(1 - b1^t) * m / (sqrt(v)/sqrt(1 - b2^t) + eps).
// Launch: grid-stride, 256 threads, four elements each. Bytes: AdamW 28 per element, 30 with the bf16 copy.
#include "common.cuh"
#include "optimizer.cuh"

using gatun::bf16;
using gatun::clip_coefficient;

extern "C" __global__ void __launch_bounds__(256)
    adamw_f32(float* parameter, const float* gradient, float* m, float* v, bf16* copy, const float* norm, float max_norm,
              int64_t count, float decay, float one_minus_beta1, float beta2, float one_minus_beta2, float step_size,
              float root_correction2, float epsilon) {
  float clip = clip_coefficient(norm, max_norm);
  int64_t stride = (int64_t)gridDim.x * blockDim.x;
  int64_t thread = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  auto update = [&](float& p, float g, float& mi, float& vi) {
    g *= clip;
    p *= decay;
    mi += (g - mi) * one_minus_beta1;
    vi = vi * beta2 + g * g * one_minus_beta2;
    p -= step_size * (mi / (sqrtf(vi) / root_correction2 + epsilon));
  };
  int64_t quads = count / 4;
  for (int64_t i = thread; i < quads; i += stride) {
    float4 p4 = reinterpret_cast<float4*>(parameter)[i], m4 = reinterpret_cast<float4*>(m)[i];
    float4 v4 = reinterpret_cast<float4*>(v)[i], g4 = reinterpret_cast<const float4*>(gradient)[i];
    update(p4.x, g4.x, m4.x, v4.x);
    update(p4.y, g4.y, m4.y, v4.y);
    update(p4.z, g4.z, m4.z, v4.z);
    update(p4.w, g4.w, m4.w, v4.w);
    reinterpret_cast<float4*>(parameter)[i] = p4;
    reinterpret_cast<float4*>(m)[i] = m4;
    reinterpret_cast<float4*>(v)[i] = v4;
    if (copy != nullptr) {
      __nv_bfloat162 lo = __floats2bfloat162_rn(p4.x, p4.y), hi = __floats2bfloat162_rn(p4.z, p4.w);
      reinterpret_cast<__nv_bfloat162*>(copy)[2 * i] = lo;
      reinterpret_cast<__nv_bfloat162*>(copy)[2 * i + 1] = hi;
    }
  }
  for (int64_t i = quads * 4 + thread; i < count; i += stride) {
    float p = parameter[i], mi = m[i], vi = v[i];
    update(p, gradient[i], mi, vi);
    parameter[i] = p, m[i] = mi, v[i] = vi;
    if (copy != nullptr) copy[i] = __float2bfloat16_rn(p);
  }
}

// SGD: g += wd*p; buffer = first ? g : momentum*buffer + g; p -= lr*buffer (p -= lr*g without a buffer).
extern "C" __global__ void __launch_bounds__(256)
    sgd_f32(float* parameter, const float* gradient, float* buffer, bf16* copy, const float* norm, float max_norm, int64_t count,
            float learning_rate, float momentum, float weight_decay, int first) {
  float clip = clip_coefficient(norm, max_norm);
  for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < count; i += (int64_t)gridDim.x * blockDim.x) {
    float p = parameter[i];
    float g = gradient[i] * clip;
    g += weight_decay * p;
    if (buffer != nullptr) {
      g = first ? g : momentum * buffer[i] + g;
      buffer[i] = g;
    }
    p -= learning_rate * g;
    parameter[i] = p;
    if (copy != nullptr) copy[i] = __float2bfloat16_rn(p);
  }
}

// partial[block] = sum of squares of the block's share, in double from thread level up. The number of blocks is fixed by the
// caller, so that the order of additions never changes.
extern "C" __global__ void __launch_bounds__(256) square_sum_partial_f32(double* partial, const float* x, int64_t count) {
  __shared__ double shared[256];
  double sum = 0;
  for (int64_t i = blockIdx.x * 256ll + threadIdx.x; i < count; i += (int64_t)gridDim.x * 256) {
    float v = x[i];
    sum += (double)v * v;
  }
  shared[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 128; half > 0; half >>= 1) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) partial[blockIdx.x] = shared[0];
}

// norm[0] = sqrt(sum of partials). One block of 256 threads.
extern "C" __global__ void __launch_bounds__(256) square_sum_finish_f32(float* norm, const double* partial, int count) {
  __shared__ double shared[256];
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += 256) sum += partial[i];
  shared[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 128; half > 0; half >>= 1) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) norm[0] = (float)sqrt(shared[0]);
}
