package dev.gatun.io;

import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.stream.IntStream;

/// A low-rank part that a stored weight loses when it is loaded: `W − scale·B·A`, in the weight's
/// own type.
///
/// @param a host F32 `[R, in]`
/// @param b host F32 `[out, R]`
public record Subtracted(Tensor a, Tensor b, double scale) {

  /// @param weight host `[out, in]`
  /// @return in memory of its own
  Tensor from(Tensor weight) {
    if (weight.rows() != b.rows() || weight.cols() != a.cols()) {
      throw new IllegalArgumentException(
          weight.shape() + " less " + b.shape() + " times " + a.shape());
    }
    float[] left = weight.toFloats();
    float[] rows = a.toFloats();
    float[] factors = b.toFloats();
    int rank = Math.toIntExact(a.rows());
    int in = Math.toIntExact(a.cols());
    IntStream.range(0, Math.toIntExact(b.rows()))
        .parallel()
        .forEach(row -> {
          for (int r = 0; r < rank; r++) {
            float factor = (float) (scale * factors[row * rank + r]);
            for (int i = 0; i < in; i++) {
              left[row * in + i] -= factor * rows[r * in + i];
            }
          }
        });
    return Tensor.ofRounded(weight.dtype(), Shape.of(weight.rows(), in), left);
  }
}
