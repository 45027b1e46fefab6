package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Copies, fills, checks, and the arenas themselves, on any backend.
public abstract class TensorOpsContract extends OpContract {
  @Test
  void zeroFillsEverything() {
    Tensor tensor = output(7, 65);

    backend().tensor().zero(tensor);

    assertThat(download(tensor)).containsOnly(0.0);
  }

  @Test
  void copyRoundsToTheDestinationsType() {
    double[] x = new double[1000];
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) Math.sin(i * 0.7) * (float) Math.pow(2, i % 20 - 10);
    }
    Tensor source = f32(x, 10, 100);
    Tensor bf16 = arena().allocate(DType.BF16, Shape.of(10, 100));
    Tensor back = arena().allocate(DType.F32, Shape.of(10, 100));

    backend().tensor().copy(bf16, source);
    backend().tensor().copy(back, bf16);

    double[] result = download(back);
    for (int i = 0; i < x.length; i++) {
      assertThat(result[i]).as("element %d", i).isEqualTo(Bf16.round((float) x[i]));
    }
  }

  @Test
  void stridedCopiesAndAdditionsTouchNothingElse() {
    double[] x = values(5 * 9, 1);
    Tensor whole = activation(new double[5 * 20], 5, 20);
    Tensor middle = whole.columns(4, 9);

    backend().tensor().copy(middle, strided(x, 5, 9));
    backend().tensor().add(middle, strided(x, 5, 9));

    double[] all = download(whole);
    for (int i = 0; i < all.length; i++) {
      int col = i % 20 - 4;
      double expected = col >= 0 && col < 9 ? 2 * x[i / 20 * 9 + col] : 0;
      assertThat(all[i]).as("element %d", i).isEqualTo(expected);
    }
  }

  @Test
  void subtractionOfStridedMatrices() {
    double[] x = values(5 * 9, 1);
    double[] y = values(5 * 9, 1);
    Tensor difference = strided(x, 5, 9);

    backend().tensor().subtract(difference, strided(y, 5, 9));

    assertClose(
        "difference",
        difference,
        p -> {
          double[] expected = new double[x.length];
          for (int i = 0; i < x.length; i++) {
            expected[i] = p.op(x[i] - y[i]);
          }
          return expected;
        });
  }

  @Test
  void dropoutFollowsTheGenerator() {
    double[] x = values(7 * 33, 1);
    double[] mask = mask(x.length);
    Tensor apart = output(7, 33);
    Tensor inPlace = strided(x, 7, 33);

    backend().tensor().dropout(apart, strided(x, 7, 33), dropout());
    backend().tensor().dropout(inPlace, inPlace, dropout());

    for (Tensor result : List.of(apart, inPlace)) {
      assertClose(
          "dropped",
          result,
          p -> {
            double[] expected = new double[x.length];
            for (int i = 0; i < x.length; i++) {
              expected[i] = p.op(x[i] * mask[i]);
            }
            return expected;
          });
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
  void checkFiniteFindsOneBadElement(double bad) {
    double[] x = values(300 * 67, 1);
    Tensor flag = ints(new int[] {0});

    backend().tensor().checkFinite(flag, activation(x, 300, 67));
    assertThat(downloadInts(flag)).containsExactly(0);

    x[x.length - 1] = bad;
    backend().tensor().checkFinite(flag, activation(x, 300, 67));
    assertThat(downloadInts(flag)).containsExactly(1);

    backend().tensor().checkFinite(flag, activation(new double[] {1}, 1, 1));
    assertThat(downloadInts(flag)).as("the flag is sticky").containsExactly(1);
  }

  @Test
  void noiseFollowsTheGenerator() {
    double[] x = values(7 * 33, 1);
    Tensor tensor = strided(x, 7, 33);
    Tensor state = arena().allocate(DType.I64, Shape.of(2));
    backend().upload(state, Tensor.ofLongs(Shape.of(2), 42, 5));

    backend().tensor().addUniformNoise(tensor, 0.5f, new Dropout(0, 9, state));

    assertClose(
        "noisy",
        tensor,
        p -> {
          double[] y = new double[x.length];
          int[] words = new int[4];
          for (int i = 0; i < x.length; i++) {
            Philox.block(words, 42, 5, 9, i >> 2);
            y[i] = p.op(x[i] + p.op(Philox.symmetric(words[i & 3]) * 0.5));
          }
          return y;
        });
  }

  @Test
  void arenasHandOutAlignedTensorsAndTakeThemBack() {
    try (TensorArena arena = backend().arena("small", 3 * TensorArena.sizeOf(DType.F32, 10))) {
      Tensor first = arena.allocate(DType.F32, Shape.of(10));
      long mark = arena.mark();
      Tensor second = arena.allocate(DType.F32, Shape.of(2, 5));
      assertThat(second.byteOffset() - first.byteOffset()).isEqualTo(TensorArena.ALIGNMENT);
      arena.release(mark);
      assertThat(arena.allocate(DType.F32, Shape.of(10)).byteOffset())
          .isEqualTo(second.byteOffset());
      assertThat(arena.peakBytes()).isEqualTo(2 * TensorArena.ALIGNMENT);
    }
  }

  @Test
  void aFullArenaSaysSo() {
    try (TensorArena arena = backend().arena("tiny", 1024)) {
      arena.allocate(DType.F32, Shape.of(128));

      assertThatExceptionOfType(ArenaExhaustedException.class)
          .isThrownBy(() -> arena.allocate(DType.F32, Shape.of(129)))
          .withMessageContaining("'tiny'")
          .withMessageContaining("1024");
      assertThatExceptionOfType(ArenaExhaustedException.class)
          .isThrownBy(() -> arena.allocate(DType.F32, Shape.of(Long.MAX_VALUE / 2)));
    }
  }

  @Test
  void aClosedArenaRefuses() {
    TensorArena arena = backend().arena("gone", 1024);
    Tensor tensor = arena.allocate(DType.F32, Shape.of(4));
    arena.close();
    arena.close();

    assertThatIllegalStateException().isThrownBy(() -> arena.allocate(DType.F32, Shape.of(4)));
    assertThatIllegalStateException().isThrownBy(() -> backend().tensor().zero(tensor));
  }
}
