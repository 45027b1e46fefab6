// What optimiser kernels share.
#pragma once

namespace gatun {

// min(1, max_norm / (norm + 1e-6)); 1 without a norm.
__device__ __forceinline__ float clip_coefficient(const float* norm, float max_norm) {
  if (norm == nullptr) return 1.f;
  float c = max_norm / (norm[0] + 1e-6f);
  return c >= 1.f ? 1.f : c;  // a NaN norm stays visible
}

}  // namespace gatun
