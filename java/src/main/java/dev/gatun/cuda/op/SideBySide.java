package dev.gatun.cuda.op;

import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Matrices that lie beside or below each other in one buffer, seen as one matrix.
final class SideBySide {
  private SideBySide() {}

  /// The matrix whose columns are those of `parts`, in order, or null if they lie otherwise.
  static @Nullable Tensor columns(List<Tensor> parts) {
    Tensor first = parts.getFirst();
    long cols = 0;
    for (Tensor part : parts) {
      boolean follows =
          part.storage().equals(first.storage())
              && part.dtype() == first.dtype()
              && part.rows() == first.rows()
              && part.rowStride() == first.rowStride()
              && part.byteOffset() == first.byteOffset() + cols * first.dtype().bytes();
      if (!follows) {
        return null;
      }
      cols += part.cols();
    }
    // A single matrix may have rows without gaps; several are columns of a wider buffer.
    return cols > first.rowStride() && first.rows() > 1
        ? null
        : new Tensor(
            first.storage(),
            first.byteOffset(),
            first.dtype(),
            Shape.of(first.rows(), cols),
            Math.max(cols, first.rowStride()));
  }

  /// The columns of `parts` and then those of `more`, leaving out null entries; null if they do not
  /// lie so.
  static @Nullable Tensor columns(List<Tensor> parts, List<@Nullable Tensor> more) {
    List<Tensor> all = new ArrayList<>(parts);
    for (Tensor tensor : more) {
      if (tensor != null) {
        all.add(tensor);
      }
    }
    return columns(all);
  }

  /// The contiguous matrix whose rows are those of `parts`, in order, or null if they lie
  /// otherwise.
  static @Nullable Tensor rows(List<Tensor> parts) {
    Tensor first = parts.getFirst();
    long rows = 0;
    for (Tensor part : parts) {
      boolean follows =
          part.isContiguous()
              && part.storage().equals(first.storage())
              && part.dtype() == first.dtype()
              && part.cols() == first.cols()
              && part.byteOffset()
                  == first.byteOffset() + rows * first.cols() * first.dtype().bytes();
      if (!follows) {
        return null;
      }
      rows += part.rows();
    }
    return Tensor.of(
        first.storage(), first.byteOffset(), first.dtype(), Shape.of(rows, first.cols()));
  }
}
