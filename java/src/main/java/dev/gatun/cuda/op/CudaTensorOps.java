package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;
import static dev.gatun.cuda.op.DeviceStorage.pointerOrNull;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.op.Dropout;
import dev.gatun.op.Philox;
import dev.gatun.op.TensorOps;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// Launches `tensor.cu`.
final class CudaTensorOps implements TensorOps {
  private static final KernelSpec<Binary> COPY =
      new KernelSpec<>("tensor", "tensor_copy", Binary.class);
  private static final KernelSpec<Binary> ADD =
      new KernelSpec<>("tensor", "tensor_add", Binary.class);
  private static final KernelSpec<AddRow> ADD_ROW =
      new KernelSpec<>("tensor", "tensor_add_row", AddRow.class);
  private static final KernelSpec<CheckFinite> CHECK_FINITE =
      new KernelSpec<>("tensor", "tensor_check_finite", CheckFinite.class);
  private static final KernelSpec<ApplyDropout> DROPOUT =
      new KernelSpec<>("tensor", "dropout_bf16", ApplyDropout.class);
  private static final KernelSpec<Noise> NOISE =
      new KernelSpec<>("tensor", "uniform_noise_bf16", Noise.class);

  private static final KernelSpec<Place> PLACE =
      new KernelSpec<>("tensor", "tensor_place_bf16", Place.class);

  private final Launcher launcher;
  private final Kernel<Binary> copy;
  private final Kernel<Binary> add;
  private final Kernel<AddRow> addRow;
  private final Kernel<CheckFinite> checkFinite;
  private final Kernel<ApplyDropout> dropout;
  private final Kernel<Noise> noise;
  private final Kernel<Place> place;

  CudaTensorOps(Launcher launcher) {
    this.launcher = launcher;
    copy = launcher.kernel(COPY);
    add = launcher.kernel(ADD);
    addRow = launcher.kernel(ADD_ROW);
    checkFinite = launcher.kernel(CHECK_FINITE);
    dropout = launcher.kernel(DROPOUT);
    noise = launcher.kernel(NOISE);
    place = launcher.kernel(PLACE);
  }

  @Override
  public void zero(Tensor tensor) {
    if (tensor.storage() instanceof PinnedStorage pinned && tensor.isContiguous()) {
      launcher.stream().synchronize();
      pinned.segment(tensor).fill((byte) 0);
      return;
    }
    if (!(tensor.storage() instanceof DeviceStorage device) || tensor.count() == 0) {
      pointer(tensor);
      return;
    }
    if (tensor.isContiguous()) {
      launcher.stream().fill(device.buffer(), tensor.byteOffset(), tensor.byteSize(), (byte) 0);
    } else {
      place(tensor, null, 0, 0);
    }
  }

  @Override
  public void copy(Tensor destination, Tensor source) {
    binary(copy, destination, source, 1);
  }

  @Override
  public void add(Tensor destination, Tensor source) {
    binary(add, destination, source, 1);
  }

  @Override
  public void subtract(Tensor destination, Tensor source) {
    binary(add, destination, source, -1);
  }

  @Override
  public void checkFinite(Tensor flag, Tensor tensor) {
    if (tensor.count() > 0) {
      launcher.launch(
          checkFinite,
          launcher.gridStride(tensor.count()),
          new CheckFinite(
              pointer(flag, DType.I32, "flag"),
              pointer(tensor),
              Launcher.typeCode(tensor.dtype()),
              tensor.rowStride(),
              tensor.rows(),
              tensor.cols()));
    }
  }

  @Override
  public void addUniformNoise(Tensor tensor, float magnitude, Dropout state) {
    launcher.launch(
        noise,
        launcher.gridStride(Math.ceilDiv(tensor.count(), 4L)),
        new Noise(
            pointer(tensor, DType.BF16, "tensor"),
            tensor.rowStride(),
            tensor.rows(),
            tensor.cols(),
            pointer(state.state(), DType.I64, "state"),
            state.stream(),
            magnitude));
  }

  /// `y[t] += row`: a bias.
  void addRow(Tensor y, Tensor row) {
    launcher.launch(
        addRow,
        launcher.gridStride(y.count()),
        new AddRow(
            pointer(y),
            Launcher.typeCode(y.dtype()),
            y.rowStride(),
            pointer(row),
            Launcher.typeCode(row.dtype()),
            y.rows(),
            y.cols()));
  }

  @Override
  public void dropout(Tensor out, Tensor x, Dropout spec) {
    launcher.launch(
        dropout,
        launcher.gridStride(Math.ceilDiv(x.count(), 4L)),
        new ApplyDropout(
            pointer(out, DType.BF16, "out"),
            out.rowStride(),
            pointer(x, DType.BF16, "x"),
            x.rowStride(),
            x.rows(),
            x.cols(),
            pointer(spec.state(), DType.I64, "state"),
            spec.stream(),
            Philox.threshold(spec.probability()),
            Philox.keepScale(spec.probability())));
  }

  /// `destination = scale · source`.
  void copyScaled(Tensor destination, Tensor source, float scale) {
    binary(copy, destination, source, scale);
  }

  private void binary(Kernel<Binary> kernel, Tensor destination, Tensor source, float scale) {
    if (destination.rows() != source.rows() || destination.cols() != source.cols()) {
      throw new IllegalArgumentException(
          "shapes differ: " + destination.shape() + " and " + source.shape());
    }
    if (source.count() == 0) {
      return;
    }
    // Without gaps the whole is one row, whatever its shape: rows of one element are no vectors.
    boolean flat = destination.isContiguous() && source.isContiguous();
    long rows = flat ? 1 : source.rows();
    long cols = flat ? source.count() : source.cols();
    int vector = bothBf16(destination, source) ? vector(flat, cols, destination, source) : 0;
    launcher.launch(
        kernel,
        launcher.gridStride(source.count() / (vector == 1 ? 8 : 1)),
        new Binary(
            pointer(destination),
            Launcher.typeCode(destination.dtype()),
            destination.rowStride(),
            pointer(source),
            Launcher.typeCode(source.dtype()),
            source.rowStride(),
            rows,
            cols,
            scale,
            vector));
  }

  private static int vector(boolean flat, long cols, Tensor destination, Tensor source) {
    return flat
        ? Launcher.vector(cols, destination.reshape(1, cols), source.reshape(1, cols))
        : Launcher.vector(cols, destination, source);
  }

  /// Columns of a wider right operand: `destination[:, first : first + R] = scale · factor`, zeros
  /// in its other columns.
  ///
  /// @param destination BF16 `[out, cols]`
  /// @param factor BF16 `[out, R]`, or null for zeros everywhere
  void place(Tensor destination, @Nullable Tensor factor, long first, float scale) {
    launcher.launch(
        place,
        launcher.gridStride(destination.count()),
        new Place(
            pointer(destination, DType.BF16, "destination"),
            destination.rowStride(),
            pointerOrNull(factor),
            factor == null ? 0 : factor.rowStride(),
            destination.rows(),
            destination.cols(),
            first,
            factor == null ? 0 : factor.cols(),
            scale));
  }

  private static boolean bothBf16(Tensor a, Tensor b) {
    return a.dtype() == DType.BF16 && b.dtype() == DType.BF16;
  }

  record Binary(
      DevicePtr destination,
      int destinationType,
      long destinationStride,
      DevicePtr source,
      int sourceType,
      long sourceStride,
      long rows,
      long cols,
      float scale,
      int vector) {}

  record Place(
      DevicePtr destination,
      long destinationStride,
      DevicePtr factor,
      long factorStride,
      long rows,
      long cols,
      long first,
      long rank,
      float scale) {}

  record AddRow(
      DevicePtr y, int yType, long yStride, DevicePtr row, int rowType, long rows, long cols) {}

  record CheckFinite(DevicePtr flag, DevicePtr x, int type, long stride, long rows, long cols) {}

  record ApplyDropout(
      DevicePtr out,
      long outStride,
      DevicePtr x,
      long xStride,
      long rows,
      long cols,
      DevicePtr state,
      int stream,
      int threshold,
      float keepScale) {}

  record Noise(
      DevicePtr x,
      long stride,
      long rows,
      long cols,
      DevicePtr state,
      int stream,
      float magnitude) {}
}
