package dev.gatun.cpu;

import dev.gatun.op.Dropout;
import dev.gatun.op.Philox;
import dev.gatun.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// The mask of one use of dropout, from [Philox].
final class DropoutMask {
  private final long seed;
  private final long step;
  private final int stream;
  private final int threshold;
  private final float scale;

  DropoutMask(Dropout dropout) {
    if (dropout.state().dtype() != DType.I64 || dropout.state().count() != 2) {
      throw new IllegalArgumentException("dropout state is I64 [2], not " + dropout.state());
    }
    MemorySegment state = dropout.state().segment();
    seed = state.get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
    step = state.get(ValueLayout.JAVA_LONG_UNALIGNED, 8);
    stream = dropout.stream();
    threshold = Philox.threshold(dropout.probability());
    scale = Philox.keepScale(dropout.probability());
  }

  /// Multiplies `count` values, elements `first …` of the tensor, by their mask.
  void apply(float[] values, long first, int count) {
    forEachWord(
        first,
        count,
        (i, word) -> values[i] = Philox.survives(word, threshold) ? values[i] * scale : 0);
  }

  /// Adds `magnitude` times uniform noise in `[-1, 1)`.
  void addUniform(float[] values, long first, int count, float magnitude) {
    forEachWord(first, count, (i, word) -> values[i] += Philox.symmetric(word) * magnitude);
  }

  private void forEachWord(long first, int count, Use use) {
    int[] words = new int[4];
    for (int i = 0; i < count; i++) {
      int lane = (int) ((first + i) & 3);
      if (i == 0 || lane == 0) {
        Philox.block(words, seed, step, stream, (first + i) >>> 2);
      }
      use.accept(i, words[lane]);
    }
  }

  private interface Use {
    void accept(int index, int word);
  }
}
