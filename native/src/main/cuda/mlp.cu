// Gated activations.
//
//   h = act(gate) * up;   dgate = dh * up * act'(gate);   dup = dh * act(gate)
//
// All bf16 [T, F], row strides in elements. Activation: 0 SiLU, 1 GELU (tanh form), 2 GELU (erf form).
// Launch: grid-stride over T * F / WIDTH items, 256 threads. `vector` is 1 where F and all strides are multiples of 8 and all
// pointers 16-byte aligned. Aliasing: h may be gate or up (forward) or dh (backward), dgate may be gate, dup may be up.
// Bytes: forward 6 per element, backward 10 (12 with h).
#include "activation.cuh"
#include "common.cuh"

namespace gatun {

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
