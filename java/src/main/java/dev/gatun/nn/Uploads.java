package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.Fence;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Where host arrays go, and when.
///
/// @param fence null to upload in the order of work, else see [Backend#uploadAfter]
record Uploads(Backend backend, TensorArena arena, @Nullable Fence fence) {

  /// I32, of the array's length.
  Tensor ints(int... values) {
    Shape shape = Shape.of(values.length);
    Tensor tensor = arena.allocate(DType.I32, shape);
    if (values.length > 0) {
      upload(tensor, Tensor.ofInts(shape, values));
    }
    return tensor;
  }

  /// F32.
  Tensor floats(Shape shape, float... values) {
    Tensor tensor = arena.allocate(DType.F32, shape);
    upload(tensor, Tensor.ofFloats(shape, values));
    return tensor;
  }

  private void upload(Tensor tensor, Tensor host) {
    if (fence == null) {
      backend.upload(tensor, host);
    } else {
      backend.uploadAfter(fence, tensor, host.segment());
    }
  }
}
