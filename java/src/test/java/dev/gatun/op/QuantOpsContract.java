package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.quant.Absmax;
import dev.gatun.quant.DynamicMap;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Block quantisation on any backend: exact to the bit.
public abstract class QuantOpsContract extends OpContract {
  /// Bytes, codes and values that bitsandbytes gave for `bf16(sin(0.37·i)·0.05)`, 256 by 128.
  @Test
  void bitsandbytesSample() {
    double[] matrix = new double[256 * 128];
    for (int i = 0; i < matrix.length; i++) {
      matrix[i] = Bf16.round((float) (Math.sin(0.37 * i) * 0.05));
    }
    Weight.Nf4 weight = quantize(matrix, 256, 128, 64, true);
    Absmax.Nested scales = (Absmax.Nested) weight.absmax();
    Tensor dense = arena().allocate(DType.BF16, Shape.of(256, 128));
    backend().quant().dequantize(dense, weight);

    assertThat(bytes(weight.packed(), 16))
        .containsExactly(123, 239, 255, 237, 149, 33, 0, 1, 55, 190, 255, 254, 217, 82, 16, 0);
    assertThat(bytes(scales.codes(), 8)).containsExactly(0, 215, 215, 215, 215, 215, 0, 0);
    assertThat(download(scales.absmax())[0]).isCloseTo(0.000168323517, within(1e-12));
    assertThat((double) scales.offset()).isCloseTo(0.0499730110168457, within(4e-9));
    assertThat(download(dense))
        .startsWith(
            0,
            0.016845703125,
            0.035888671875,
            0.0498046875,
            0.0498046875,
            0.0498046875,
            0.035888671875,
            0.028076171875);
  }

  private Weight.Nf4 quantize(double[] matrix, int out, int in, int blockSize, boolean nested) {
    return backend()
        .quant()
        .quantize(
            new Nf4Layout(out, in, blockSize, nested, DType.F32).allocate(arena()),
            f32(matrix, out, in),
            arena());
  }

  private int[] bytes(Tensor tensor, int count) {
    Tensor host = backend().download(tensor);
    int[] bytes = new int[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = host.segment().get(ValueLayout.JAVA_BYTE, i) & 0xFF;
    }
    return bytes;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 64, false",
    "1, 63, 64, true",
    "3, 65, 64, false",
    "7, 9, 32, true",
    "64, 64, 64, true",
    "33, 130, 128, false",
    "300, 77, 64, true"
  })
  void everyElementIsItsNearestCode(int out, int in, int blockSize, boolean nested) {
    double[] matrix = values(out * in, 0.02);
    int n = out * in;
    Weight.Nf4 weight = quantize(matrix, out, in, blockSize, nested);
    Tensor dense = arena().allocate(DType.F32, Shape.of(out, in));
    Tensor rounded = arena().allocate(DType.BF16, Shape.of(out, in));
    backend().quant().dequantize(dense, weight);
    backend().quant().dequantize(rounded, weight);

    int[] packed = bytes(weight.packed(), (n + 1) / 2);
    float[] scales = scales(weight.absmax());
    double[] values = download(dense);
    double[] halves = download(rounded);
    float[] codebook = Nf4Codec.codebook();
    for (int i = 0; i < n; i++) {
      float absmax = 0;
      for (int j = i / blockSize * blockSize;
          j < Math.min(n, (i / blockSize + 1) * blockSize);
          j++) {
        absmax = Math.max(absmax, Math.abs((float) matrix[j]));
      }
      int nibble = i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15;
      double scaled = matrix[i] / absmax;
      for (float code : codebook) {
        assertThat(Math.abs(codebook[nibble] - scaled))
            .as("element %d", i)
            .isLessThanOrEqualTo(Math.abs(code - scaled) + 1e-6);
      }
      float value = codebook[nibble] * scales[i / blockSize];
      assertThat(values[i]).as("element %d", i).isEqualTo(value);
      assertThat(halves[i]).as("element %d", i).isEqualTo(Bf16.round(value));
    }
    if (n % 2 != 0) {
      assertThat(packed[n / 2] & 15).as("unused nibble").isEqualTo(Nf4Codec.ZERO_NIBBLE);
    }
  }

  private float[] scales(Absmax absmax) {
    return switch (absmax) {
      case Absmax.Plain plain -> backend().download(plain.values()).toFloats();
      case Absmax.Nested nested -> {
        int[] codes = bytes(nested.codes(), Math.toIntExact(nested.codes().count()));
        float[] outer = backend().download(nested.absmax()).toFloats();
        float[] map = DynamicMap.signed();
        assertThat(backend().download(nested.map()).toFloats()).containsExactly(map);
        float[] scales = new float[codes.length];
        for (int i = 0; i < scales.length; i++) {
          scales[i] = map[codes[i]] * outer[i / 256] + nested.offset();
        }
        yield scales;
      }
    };
  }

  @Test
  void zeroBlocksStayZeroWithPlainScales() {
    double[] matrix = new double[200];
    matrix[70] = -3;
    Weight.Nf4 weight = quantize(matrix, 2, 100, 64, false);
    Tensor dense = arena().allocate(DType.F32, Shape.of(2, 100));
    backend().quant().dequantize(dense, weight);

    assertThat(bytes(weight.packed(), 32)).containsOnly(0x77);
    assertThat(download(dense)).containsExactly(matrix);
  }

  @Test
  void denseWeightsDequantiseToThemselves() {
    double[] matrix = values(5 * 7, 1);
    Tensor dense = arena().allocate(DType.F32, Shape.of(5, 7));

    backend().quant().dequantize(dense, new Weight.Dense(tensor(DType.BF16, matrix, 5, 7)));

    assertThat(download(dense)).containsExactly(matrix);
  }
}
