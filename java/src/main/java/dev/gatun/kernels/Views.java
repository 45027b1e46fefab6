package dev.gatun.kernels;

import dev.gatun.cuda.Context;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.Projection;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Storage;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// The caller's operands as tensors. All of them are views of one foreign buffer that spans the
/// address space, so that a call costs no bookkeeping; each range is checked with the driver.
final class Views implements AutoCloseable {
  // The lowest address that is not null and as aligned as any; no memory lies there.
  private static final long BASE = 256;

  private final Context context;
  private final DeviceBuffer all;
  private final Storage storage;

  Views(Context context) {
    this.context = context;
    all = context.foreignBuffer("caller's memory", new DevicePtr(BASE), Long.MAX_VALUE - 2 * BASE);
    storage = CudaBackend.storage(all);
  }

  Tensor matrix(String what, Matrix matrix) {
    long span = (matrix.rows() - 1) * matrix.rowStride() + matrix.cols();
    return new Tensor(
        storage,
        offset(what, matrix.address(), span * matrix.dtype().bytes()),
        matrix.dtype(),
        Shape.of(matrix.rows(), matrix.cols()),
        matrix.rowStride());
  }

  @Nullable Tensor matrixOrNull(String what, @Nullable Matrix matrix) {
    return matrix == null ? null : matrix(what, matrix);
  }

  Tensor vector(String what, Vector vector) {
    return elements(what, vector.address(), vector.dtype(), vector.count());
  }

  @Nullable Tensor vectorOrNull(String what, @Nullable Vector vector) {
    return vector == null ? null : vector(what, vector);
  }

  Weight weight(String what, WeightMatrix weight) {
    return switch (weight) {
      case Matrix dense -> new Weight.Dense(matrix(what, dense));
      case Nf4Matrix nf4 -> nf4(nf4);
    };
  }

  Weight.Nf4 nf4(Nf4Matrix weight) {
    long blocks = Nf4Matrix.blockCount(weight.out(), weight.in());
    long bytes = Nf4Matrix.packedBytes(weight.out(), weight.in());
    Tensor packed = elements("packed", weight.packed(), DType.U8, bytes);
    Absmax absmax =
        switch (weight.scales()) {
          case Nf4Matrix.Scales.Plain(DevicePtr values) ->
              new Absmax.Plain(elements("absmax", values, DType.F32, blocks));
          case Nf4Matrix.Scales.Nested nested -> nested(nested, blocks);
        };
    return new Weight.Nf4(packed, absmax, weight.out(), weight.in(), Nf4Codec.BLOCK, DType.BF16);
  }

  Projection projection(Linear layer) {
    Lora lora = layer.lora();
    return new Projection(
        weight("weight", layer.weight()),
        vectorOrNull("bias", layer.bias()),
        lora == null
            ? null
            : new Projection.Lora(
                matrix("A", lora.a()), matrix("B", lora.b()), lora.scale(), null));
  }

  /// `[T, heads*D]` as `[T, heads, D]`.
  Tensor heads(String what, Matrix matrix, int headSize) {
    return matrix(what, matrix).reshape(matrix.rows(), matrix.cols() / headSize, headSize);
  }

  AttentionOps.Sequences sequences(Attention.Sequences sequences) {
    Tensor starts = vector("starts", sequences.starts());
    Tensor lengths = vector("lengths", sequences.lengths());
    return new AttentionOps.Sequences(
        starts,
        starts.rows(0, lengths.count()),
        lengths,
        Math.toIntExact(lengths.count()),
        sequences.longest(),
        sequences.longest());
  }

  @Override
  public void close() {
    all.close();
  }

  private Absmax.Nested nested(Nf4Matrix.Scales.Nested scales, long blocks) {
    long groups = Weight.Nf4.blockCount(blocks, Nf4Codec.NESTED_BLOCK);
    return new Absmax.Nested(
        elements("codes", scales.codes(), DType.U8, blocks),
        elements("nested absmax", scales.absmax(), DType.F32, groups),
        elements("map", scales.map(), DType.F32, 256),
        scales.offset(),
        Nf4Codec.NESTED_BLOCK);
  }

  private Tensor elements(String what, DevicePtr address, DType dtype, long count) {
    Require.address(address, dtype);
    return Tensor.of(storage, offset(what, address, count * dtype.bytes()), dtype, Shape.of(count));
  }

  private long offset(String what, DevicePtr address, long bytes) {
    context.requireReachable(what, address, bytes);
    return address.address() - BASE;
  }
}
