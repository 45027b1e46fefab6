// Gated activations.
//
//   h = act(gate) * up;   dgate = dh * up * act'(gate);   dup = dh * act(gate)
//
// All bf16 [T, F], row strides in elements. Activation: 0 SiLU, 1 GELU (tanh form), 2 GELU (erf form).
// Launch: grid-stride over T * F / WIDTH items, 256 threads. `vector` is 1 where F and all strides are multiples of 8 and all
// pointers 16-byte aligned. Aliasing: h may be gate or up (forward) or dh (backward), dgate may be gate, dup may be up.
// Bytes: forward 6 per element, backward 10 (12 with h).
#include "common.cuh"

namespace gatun {

// act(x) and its derivative.
__device__ __forceinline__ void activate(float x, int activation, float& value, float& slope) {
  if (activation == 0) {
    float s = 1.f / (1.f + __expf(-x));
    value = x * s;
    slope = s * (1.f + x * (1.f - s));
  } else if (activation == 1) {
    const float k = 0.7978845608028654f;
    float u = k * (x + 0.044715f * x * x * x);
    float t = tanhf(u);
    value = 0.5f * x * (1.f + t);
    slope = 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * k * (1.f + 3.f * 0.044715f * x * x);
  } else {
    float c = 0.5f * (1.f + erff(x * 0.7071067811865476f));
    value = x * c;
    slope = c + x * 0.3989422804014327f * __expf(-0.5f * x * x);
  }
}

template <int WIDTH>
__device__ void glu_forward(bf16* h, const bf16* gate, const bf16* up, int64_t rows, int cols, int64_t h_stride,
                            int64_t gate_stride, int64_t up_stride, int activation) {
  int per_row = cols / WIDTH;
  int64_t items = rows * per_row;
  for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < items; item += (int64_t)gridDim.x * blockDim.x) {
    int64_t r = item / per_row;
    int c = (int)(item % per_row) * WIDTH;
    float g[8], u[8], slope;
    load<WIDTH>(gate + r * gate_stride + c, g);
    load<WIDTH>(up + r * up_stride + c, u);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      float v;
      activate(g[j], activation, v, slope);
      u[j] *= v;
    }
    store<WIDTH>(h + r * h_stride + c, u);
  }
}

template <int WIDTH>
__device__ void glu_backward(bf16* dgate, bf16* dup, bf16* h, const bf16* dh, const bf16* gate, const bf16* up, int64_t rows,
                             int cols, int64_t dgate_stride, int64_t dup_stride, int64_t h_stride, int64_t dh_stride,
                             int64_t gate_stride, int64_t up_stride, int activation) {
  int per_row = cols / WIDTH;
  int64_t items = rows * per_row;
  for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < items; item += (int64_t)gridDim.x * blockDim.x) {
    int64_t r = item / per_row;
    int c = (int)(item % per_row) * WIDTH;
    float g[8], u[8], d[8], hv[8];
    load<WIDTH>(gate + r * gate_stride + c, g);
    load<WIDTH>(up + r * up_stride + c, u);
    load<WIDTH>(dh + r * dh_stride + c, d);
#pragma unroll
    for (int j = 0; j < WIDTH; j++) {
      float v, slope;
      activate(g[j], activation, v, slope);
      hv[j] = v * u[j];
      g[j] = d[j] * u[j] * slope;
      u[j] = d[j] * v;
    }
    store<WIDTH>(dgate + r * dgate_stride + c, g);
    store<WIDTH>(dup + r * dup_stride + c, u);
    if (h != nullptr) store<WIDTH>(h + r * h_stride + c, hv);
  }
}

}  // namespace gatun

using gatun::bf16;

extern "C" __global__ void __launch_bounds__(256)
    glu_forward_bf16(bf16* h, const bf16* gate, const bf16* up, int64_t rows, int cols, int64_t h_stride, int64_t gate_stride,
                     int64_t up_stride, int activation, int vector) {
  if (vector)
    gatun::glu_forward<8>(h, gate, up, rows, cols, h_stride, gate_stride, up_stride, activation);
  else
    gatun::glu_forward<1>(h, gate, up, rows, cols, h_stride, gate_stride, up_stride, activation);
}

extern "C" __global__ void __launch_bounds__(256)
    glu_backward_bf16(bf16* dgate, bf16* dup, bf16* h, const bf16* dh, const bf16* gate, const bf16* up, int64_t rows, int cols,
                      int64_t dgate_stride, int64_t dup_stride, int64_t h_stride, int64_t dh_stride, int64_t gate_stride,
                      int64_t up_stride, int activation, int vector) {
  if (vector)
    gatun::glu_backward<8>(dgate, dup, h, dh, gate, up, rows, cols, dgate_stride, dup_stride, h_stride, dh_stride, gate_stride,
                           up_stride, activation);
  else
    gatun::glu_backward<1>(dgate, dup, h, dh, gate, up, rows, cols, dgate_stride, dup_stride, h_stride, dh_stride, gate_stride,
                           up_stride, activation);
}
