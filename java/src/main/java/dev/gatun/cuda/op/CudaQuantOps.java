package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.QuantOps;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.DynamicMap;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;

/// Launches the quantisation kernels of `nf4.cu`, bit for bit as [dev.gatun.quant.Nf4Codec].
final class CudaQuantOps implements QuantOps {
  private static final KernelSpec<Quantize> QUANTIZE =
      new KernelSpec<>("nf4", "nf4_quantize", Quantize.class);
  private static final KernelSpec<QuantizeBlocks64> QUANTIZE_BLOCKS64 =
      new KernelSpec<>("nf4", "nf4_quantize_b64", QuantizeBlocks64.class);
  private static final KernelSpec<Scales> QUANTIZE_SCALES =
      new KernelSpec<>("nf4", "nf4_quantize_scales", Scales.class);
  private static final KernelSpec<Expand> EXPAND =
      new KernelSpec<>("nf4", "nf4_expand_scales", Expand.class);
  private static final KernelSpec<Dequantize> DEQUANTIZE =
      new KernelSpec<>("nf4", "nf4_dequantize", Dequantize.class);

  private final CudaBackend backend;
  private final Launcher launcher;
  private final CudaTensorOps tensors;
  private final Kernel<Quantize> quantize;
  private final Kernel<QuantizeBlocks64> quantizeBlocks64;
  private final Kernel<Scales> quantizeScales;
  private final Kernel<Expand> expand;
  private final Kernel<Dequantize> dequantize;

  CudaQuantOps(CudaBackend backend, Launcher launcher, CudaTensorOps tensors) {
    this.backend = backend;
    this.launcher = launcher;
    this.tensors = tensors;
    quantize = launcher.kernel(QUANTIZE);
    quantizeBlocks64 = launcher.kernel(QUANTIZE_BLOCKS64);
    quantizeScales = launcher.kernel(QUANTIZE_SCALES);
    expand = launcher.kernel(EXPAND);
    dequantize = launcher.kernel(DEQUANTIZE);
  }

  @Override
  public Weight.Nf4 quantize(Weight.Nf4 destination, Tensor source, TensorArena scratch) {
    long mark = scratch.mark();
    try {
      return switch (destination.absmax()) {
        case Absmax.Plain plain -> {
          quantizeInto(destination, plain.values(), source);
          yield destination;
        }
        case Absmax.Nested nested -> {
          Tensor absmax = scratch.allocate(DType.F32, Shape.of(nested.count()));
          quantizeInto(destination, absmax, source);
          float offset = quantizeScales(nested, absmax);
          yield new Weight.Nf4(
              destination.packed(),
              new Absmax.Nested(
                  nested.codes(), nested.absmax(), nested.map(), offset, nested.blockSize()),
              destination.out(),
              destination.in(),
              destination.blockSize(),
              destination.sourceType());
        }
      };
    } finally {
      scratch.release(mark);
    }
  }

  @Override
  public void dequantize(Tensor y, Weight weight) {
    switch (weight) {
      case Weight.Dense dense -> tensors.copy(y, dense.tensor());
      case Weight.Nf4 nf4 -> dequantizeNf4(y, nf4);
    }
  }

  /// The scales as plain F32: the weight's own, or expanded into scratch that the caller releases.
  Tensor plainScales(Weight.Nf4 weight, TensorArena scratch) {
    return switch (weight.absmax()) {
      case Absmax.Plain plain -> plain.values();
      case Absmax.Nested nested -> {
        requireNestedBlock(nested);
        Tensor scales = scratch.allocate(DType.F32, Shape.of(nested.count()));
        launcher.launch(
            expand,
            launcher.gridStride(nested.count()),
            new Expand(
                pointer(scales),
                pointer(nested.codes()),
                pointer(nested.absmax()),
                pointer(nested.map()),
                nested.offset(),
                nested.count()));
        yield scales;
      }
    };
  }

  private void quantizeInto(Weight.Nf4 weight, Tensor absmax, Tensor source) {
    long count = source.count();
    if (!source.isContiguous() || count != weight.out() * weight.in()) {
      throw new IllegalArgumentException(
          "cannot quantise %s into a weight [%d, %d]"
              .formatted(source.shape(), weight.out(), weight.in()));
    }
    if (count == 0) {
      return;
    }
    if (weight.blockSize() == 64 && count % 8 == 0 && Launcher.isVector(source)) {
      launcher.launch(
          quantizeBlocks64,
          launcher.gridStride(count / 8),
          new QuantizeBlocks64(
              pointer(weight.packed()),
              pointer(absmax),
              pointer(source),
              Launcher.typeCode(source.dtype()),
              count));
      return;
    }
    launcher.launch(
        quantize,
        LaunchConfig.cover(absmax.count(), 8, 256),
        new Quantize(
            pointer(weight.packed()),
            pointer(absmax),
            pointer(source),
            Launcher.typeCode(source.dtype()),
            count,
            weight.blockSize()));
  }

  private float quantizeScales(Absmax.Nested nested, Tensor absmax) {
    backend.upload(nested.map(), Tensor.ofFloats(Shape.of(256), DynamicMap.signed()));
    // On the host, because the order of additions is part of the format.
    float offset = Nf4Codec.offset(backend.download(absmax).toFloats());
    launcher.launch(
        quantizeScales,
        LaunchConfig.cover(nested.count(), 256, 256),
        new Scales(
            pointer(nested.codes()),
            pointer(nested.absmax()),
            pointer(absmax),
            offset,
            pointer(nested.map()),
            nested.count()));
    return offset;
  }

  private void dequantizeNf4(Tensor y, Weight.Nf4 weight) {
    if (y.rows() != weight.out() || y.cols() != weight.in()) {
      throw new IllegalArgumentException(
          "cannot dequantise [%d, %d] into %s".formatted(weight.out(), weight.in(), y.shape()));
    }
    Source source = Source.of(weight.absmax());
    int vector =
        Launcher.vector(weight.in(), y, weight.packed().reshape(1, weight.packed().count()));
    launcher.launch(
        dequantize,
        launcher.gridStride(y.count() / (vector == 1 ? 32 : 1)),
        new Dequantize(
            pointer(y),
            Launcher.typeCode(y.dtype()),
            y.rowStride(),
            pointer(weight.packed()),
            source.plain(),
            source.codes(),
            source.absmax(),
            source.map(),
            source.offset(),
            weight.out(),
            weight.in(),
            Integer.numberOfTrailingZeros(weight.blockSize()),
            vector));
  }

  /// Where the scales of a weight lie: plain ones, or the parts of nested ones; null for the rest.
  record Source(DevicePtr plain, DevicePtr codes, DevicePtr absmax, DevicePtr map, float offset) {
    static Source of(Absmax absmax) {
      return switch (absmax) {
        case Absmax.Plain plain ->
            new Source(pointer(plain.values()), DevicePtr.NULL, DevicePtr.NULL, DevicePtr.NULL, 0);
        case Absmax.Nested nested -> {
          requireNestedBlock(nested);
          yield new Source(
              DevicePtr.NULL,
              pointer(nested.codes()),
              pointer(nested.absmax()),
              pointer(nested.map()),
              nested.offset());
        }
      };
    }
  }

  private static void requireNestedBlock(Absmax.Nested nested) {
    if (nested.blockSize() != Nf4Codec.NESTED_BLOCK) {
      throw new UnsupportedOperationException(
          "nested scales in blocks of " + nested.blockSize() + "; the kernels take 256");
    }
  }

  record Quantize(
      DevicePtr packed,
      DevicePtr absmax,
      DevicePtr source,
      int sourceType,
      long count,
      int blockSize) {}

  record QuantizeBlocks64(
      DevicePtr packed, DevicePtr absmax, DevicePtr source, int sourceType, long count) {}

  record Scales(
      DevicePtr codes,
      DevicePtr nestedAbsmax,
      DevicePtr absmax,
      float offset,
      DevicePtr map,
      long count) {}

  record Expand(
      DevicePtr out, DevicePtr codes, DevicePtr absmax, DevicePtr map, float offset, long count) {}

  record Dequantize(
      DevicePtr out,
      int outType,
      long outStride,
      DevicePtr packed,
      DevicePtr plain,
      DevicePtr codes,
      DevicePtr absmax,
      DevicePtr map,
      float offset,
      long rows,
      long cols,
      int blockShift,
      int vector) {}
}
