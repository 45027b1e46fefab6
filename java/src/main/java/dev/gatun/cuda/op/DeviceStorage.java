package dev.gatun.cuda.op;

import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.PinnedBuffer;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Storage;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Device memory behind a tensor: a view of a buffer that an arena, or a foreign caller, owns.
record DeviceStorage(DeviceBuffer buffer) implements Storage {
  @Override
  public long byteSize() {
    return buffer.byteSize();
  }

  /// The device address of a tensor's first element.
  ///
  /// @throws IllegalArgumentException if the device cannot reach the tensor
  /// @throws IllegalStateException if its arena is closed
  static DevicePtr pointer(Tensor tensor) {
    return switch (tensor.storage()) {
      case DeviceStorage(DeviceBuffer buffer) ->
          buffer.pointer(tensor.byteOffset(), spanBytes(tensor));
      case PinnedStorage(PinnedBuffer buffer) ->
          buffer.pointer(tensor.byteOffset(), spanBytes(tensor));
      default ->
          throw new IllegalArgumentException(
              tensor.dtype() + " " + tensor.shape() + " is not in device memory");
    };
  }

  /// The buffer that a tensor lies in.
  ///
  /// @throws IllegalArgumentException if the tensor is not in device memory
  static DeviceBuffer buffer(Tensor tensor) {
    if (tensor.storage() instanceof DeviceStorage(DeviceBuffer buffer)) {
      return buffer;
    }
    throw new IllegalArgumentException(
        tensor.dtype() + " " + tensor.shape() + " is not in device memory");
  }

  /// [#pointer], or the null pointer.
  static DevicePtr pointerOrNull(@Nullable Tensor tensor) {
    return tensor == null ? DevicePtr.NULL : pointer(tensor);
  }

  /// Bytes from the first to the last element.
  private static long spanBytes(Tensor tensor) {
    return tensor.count() == 0
        ? 0
        : ((tensor.rows() - 1) * tensor.rowStride() + tensor.cols()) * tensor.dtype().bytes();
  }

  /// The address of a tensor of the one type a kernel takes.
  static DevicePtr pointer(Tensor tensor, DType dtype, String what) {
    if (tensor.dtype() != dtype) {
      throw new UnsupportedOperationException(
          "%s is %s; the CUDA backend takes %s".formatted(what, tensor.dtype(), dtype));
    }
    return pointer(tensor);
  }
}
