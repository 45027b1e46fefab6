// The nonlinearities of gated activations: 0 SiLU, 1 GELU (tanh form), 2 GELU (erf form).
#pragma once

namespace gatun {

// act(x) and its derivative. Where much is unrolled, a constant `activation` keeps the others out of the instruction cache.
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

}  // namespace gatun
