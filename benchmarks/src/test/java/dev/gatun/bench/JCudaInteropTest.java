package dev.gatun.bench;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.FailureException;
import dev.gatun.cuda.Context;
import dev.gatun.cuda.Device;
import dev.gatun.cuda.DeviceBuffer;
import dev.gatun.cuda.Stream;
import dev.gatun.cuda.op.CudaBackend;
import dev.gatun.op.MlpOps;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Random;
import jcuda.Pointer;
import jcuda.Sizeof;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/// A caller who owns context, stream and memory through JCuda runs our kernels on them, in order
/// with work of their own.
@Tag("gpu")
class JCudaInteropTest {
  private static final int ROWS = 48;
  private static final int COLS = 320;
  private static final int COUNT = ROWS * COLS;

  private final CUcontext jcudaContext = new CUcontext();
  private final JCudaStream jcudaStream = new JCudaStream();
  private boolean opened;
  private Context context;
  private Stream stream;
  private CudaBackend ops;

  @BeforeEach
  void open() {
    try {
      assertThat(Device.list()).isNotEmpty();
    } catch (FailureException e) {
      Assumptions.abort(e.getMessage());
    }
    JCudaDriver.setExceptionsEnabled(true);
    JCudaDriver.cuInit(0);
    CUdevice device = new CUdevice();
    JCudaDriver.cuDeviceGet(device, 0);
    JCudaDriver.cuCtxCreate(jcudaContext, 0, device);
    opened = true;
    JCudaDriver.cuStreamCreate(jcudaStream, 1);
    context = Context.adopt();
    stream = context.foreignStream("jcuda", jcudaStream.handle());
    ops = CudaBackend.over(stream);
  }

  @AfterEach
  void close() {
    if (!opened) {
      return;
    }
    ops.close();
    stream.close();
    assertThat(context.openChildren()).isEmpty();
    context.close();
    // Everything of JCuda's is still its own.
    JCudaDriver.cuStreamSynchronize(jcudaStream);
    JCudaDriver.cuStreamDestroy(jcudaStream);
    JCudaDriver.cuCtxDestroy(jcudaContext);
  }

  private static JCudaMemory upload(short[] values) {
    JCudaMemory memory = allocate((long) values.length * Sizeof.SHORT);
    JCudaDriver.cuMemcpyHtoD(memory, Pointer.to(values), (long) values.length * Sizeof.SHORT);
    return memory;
  }

  private static JCudaMemory allocate(long bytes) {
    JCudaMemory memory = new JCudaMemory();
    JCudaDriver.cuMemAlloc(memory, bytes);
    return memory;
  }

  private static short[] random(int seed) {
    Random random = new Random(seed);
    short[] values = new short[COUNT];
    for (int i = 0; i < COUNT; i++) {
      values[i] = Bf16.of((float) random.nextGaussian());
    }
    return values;
  }

  @Test
  void activationsRunOnJCudasMemoryAndStream() {
    short[] gate = random(1);
    short[] up = random(2);
    JCudaMemory gateMemory = upload(gate);
    JCudaMemory upMemory = upload(up);
    JCudaMemory result = allocate(COUNT * 2L);
    Shape shape = Shape.of(ROWS, COLS);
    short[] actual = new short[COUNT];
    try (DeviceBuffer g = context.foreignBuffer("gate", gateMemory.pointer(), COUNT * 2L);
        DeviceBuffer u = context.foreignBuffer("up", upMemory.pointer(), COUNT * 2L);
        DeviceBuffer h = context.foreignBuffer("h", result.pointer(), COUNT * 2L)) {
      ops.mlp()
          .forward(
              CudaBackend.tensor(h, DType.BF16, shape),
              CudaBackend.tensor(g, DType.BF16, shape),
              CudaBackend.tensor(u, DType.BF16, shape),
              MlpOps.Activation.SILU);
      // JCuda's own copy is queued behind the kernel.
      JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(actual), result, COUNT * 2L, jcudaStream);
      JCudaDriver.cuStreamSynchronize(jcudaStream);
    }

    for (int i = 0; i < COUNT; i++) {
      double x = Bf16.toFloat(gate[i]);
      double expected = x / (1 + Math.exp(-x)) * Bf16.toFloat(up[i]);
      // One rounding to 8 bits of mantissa, and a float's error before it.
      assertThat((double) Bf16.toFloat(actual[i]))
          .as("element %d of silu(%s) * %s", i, x, Bf16.toFloat(up[i]))
          .isCloseTo(
              expected, org.assertj.core.data.Offset.offset(Math.abs(expected) * 0x1.1p-8 + 1e-30));
    }
    free(gateMemory, upMemory, result);
  }

  @Test
  void quantisedWeightsInJCudasMemoryAreReadBitForBit() {
    Random random = new Random(3);
    byte[] packed = new byte[COUNT / 2];
    random.nextBytes(packed);
    float[] absmax = new float[COUNT / Nf4Codec.BLOCK];
    for (int i = 0; i < absmax.length; i++) {
      absmax[i] = random.nextFloat();
    }
    JCudaMemory packedMemory = allocate(packed.length);
    JCudaDriver.cuMemcpyHtoD(packedMemory, Pointer.to(packed), packed.length);
    JCudaMemory scales = allocate(absmax.length * 4L);
    JCudaDriver.cuMemcpyHtoD(scales, Pointer.to(absmax), absmax.length * 4L);
    JCudaMemory result = allocate(COUNT * 2L);
    short[] actual = new short[COUNT];
    try (DeviceBuffer p = context.foreignBuffer("packed", packedMemory.pointer(), packed.length);
        DeviceBuffer s = context.foreignBuffer("absmax", scales.pointer(), absmax.length * 4L);
        DeviceBuffer y = context.foreignBuffer("y", result.pointer(), COUNT * 2L)) {
      Weight weight =
          new Weight.Nf4(
              CudaBackend.tensor(p, DType.U8, Shape.of(packed.length)),
              new Absmax.Plain(CudaBackend.tensor(s, DType.F32, Shape.of(absmax.length))),
              ROWS,
              COLS,
              Nf4Codec.BLOCK,
              DType.BF16);
      Tensor target = CudaBackend.tensor(y, DType.BF16, Shape.of(ROWS, COLS));
      ops.quant().dequantize(target, weight);
      JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(actual), result, COUNT * 2L, jcudaStream);
      JCudaDriver.cuStreamSynchronize(jcudaStream);
    }

    float[] codebook = Nf4Codec.codebook();
    for (int i = 0; i < COUNT; i++) {
      int nibble = packed[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xF;
      assertThat(actual[i])
          .as("element %d", i)
          .isEqualTo(Bf16.of(codebook[nibble] * absmax[i / Nf4Codec.BLOCK]));
    }
    free(packedMemory, scales, result);
  }

  private static void free(JCudaMemory... all) {
    for (JCudaMemory memory : all) {
      JCudaDriver.cuMemFree(memory);
    }
  }
}
