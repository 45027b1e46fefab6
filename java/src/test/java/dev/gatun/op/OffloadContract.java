package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

/// What every backend's [OffloadBuffer] and [Fence] do.
public abstract class OffloadContract {
  private static final int COUNT = 1 << 20;

  protected abstract Backend backend();

  private static float[] filled(float value) {
    float[] values = new float[COUNT];
    Arrays.fill(values, value);
    return values;
  }

  private void fill(Tensor tensor, float value) {
    backend().upload(tensor, Tensor.ofFloats(tensor.shape(), filled(value)));
  }

  @Test
  void slotsComeBackAsTheyWereStoredWhateverHappensToTheTensor() {
    int slots = 5;
    try (TensorArena arena = backend().arena("places", 2L * COUNT * 4);
        OffloadBuffer buffer = backend().offload("test", Collections.nCopies(slots, COUNT * 4L))) {
      Tensor even = arena.allocate(DType.F32, Shape.of(COUNT));
      Tensor odd = arena.allocate(DType.F32, Shape.of(COUNT));
      assertThat(buffer.byteSize()).isEqualTo(slots * COUNT * 4L);
      for (int round = 0; round < 3; round++) {
        for (int slot = 0; slot < slots; slot++) {
          Tensor place = slot % 2 == 0 ? even : odd;
          if (slot >= 2) {
            buffer.await(slot - 2);
          }
          backend().tensor().zero(place);
          fill(place, 10f * round + slot);
          buffer.store(slot, place);
        }
        buffer.await(slots - 1);
        buffer.await(slots - 2);
        buffer.prefetch(slots - 1, slots % 2 == 0 ? odd : even);
        for (int slot = slots - 1; slot >= 0; slot--) {
          Tensor place = slot % 2 == 0 ? even : odd;
          if (slot > 0) {
            buffer.prefetch(slot - 1, slot % 2 == 0 ? odd : even);
          }
          buffer.await(slot);
          assertThat(backend().download(place).toFloats()).isEqualTo(filled(10f * round + slot));
          backend().tensor().zero(place);
        }
      }
    }
  }

  @Test
  void wrongSlotsAndSizesAreRefused() {
    try (TensorArena arena = backend().arena("places", 1024);
        OffloadBuffer buffer = backend().offload("test", List.of(128L, 128L))) {
      Tensor fits = arena.allocate(DType.F32, Shape.of(32));
      Tensor large = arena.allocate(DType.F32, Shape.of(33));
      Tensor gaps = arena.allocate(DType.F32, Shape.of(4, 8)).columns(0, 4);

      assertThatThrownBy(() -> buffer.store(2, fits)).isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> buffer.store(-1, fits)).isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> buffer.store(0, large)).isInstanceOf(IllegalArgumentException.class);
      assertThatThrownBy(() -> buffer.prefetch(0, gaps))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  /// Two places in turn: each is read by the work after its upload and overwritten only after that.
  @Test
  void uploadsBesideWorkAreSeenByWhatFollows() {
    int rounds = 12;
    try (TensorArena arena = backend().arena("places", (2L + rounds) * COUNT * 4);
        Fence even = backend().fence();
        Fence odd = backend().fence()) {
      Tensor[] places = {
        arena.allocate(DType.F32, Shape.of(COUNT)), arena.allocate(DType.F32, Shape.of(COUNT))
      };
      Fence[] fences = {even, odd};
      Tensor[] copies = new Tensor[rounds];
      for (int i = 0; i < rounds; i++) {
        copies[i] = arena.allocate(DType.F32, Shape.of(COUNT));
        Tensor place = places[i % 2];
        Tensor host = Tensor.ofFloats(place.shape(), filled(i));
        backend().uploadAfter(fences[i % 2], place, host.segment());
        host.segment().fill((byte) -1);
        backend().tensor().copy(copies[i], place);
        fences[i % 2].mark();
      }
      for (int i = 0; i < rounds; i++) {
        assertThat(backend().download(copies[i]).toFloats()).isEqualTo(filled(i));
      }
    }
  }
}
