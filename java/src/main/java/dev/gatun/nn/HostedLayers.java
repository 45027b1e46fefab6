package dev.gatun.nn;

import dev.gatun.nn.DecoderLayer.Parts;
import dev.gatun.nn.LayerCheckpoint.Place;
import dev.gatun.op.Backend;
import dev.gatun.op.OffloadBuffer;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The layers whose checkpoints lie in host memory, and that memory: for each of them a slot for
/// its input and one for the rest.
///
/// On the device what they keep takes turns at two places: one is at work while the other is
/// copied. The inputs of the top layer and of what follows take part, because nothing comes after
/// them.
final class HostedLayers implements AutoCloseable {
  private final List<DecoderLayer> layers;
  private final List<LayerCheckpoint> checkpoints;
  private final int lowest;
  private final TreeMap<Integer, Integer> turns = new TreeMap<>();
  private final int hosted;
  private final @Nullable OffloadBuffer buffer;

  /// Sizes of the largest pass.
  ///
  /// @param tokens 0 if there is never a backward pass
  /// @param hidden elements of the residual stream
  record Extents(Backend backend, int tokens, long hidden) {}

  /// @param lowest layer that backward visits
  HostedLayers(
      List<DecoderLayer> layers, List<LayerCheckpoint> checkpoints, int lowest, Extents extents) {
    this.layers = layers;
    this.checkpoints = checkpoints;
    this.lowest = lowest;
    for (int i = lowest; i < layers.size() && extents.tokens() > 0; i++) {
      if (checkpoints.get(i).place() == Place.HOST) {
        turns.put(i, turns.size());
      }
    }
    hosted = turns.size();
    buffer = hosted == 0 ? null : extents.backend().offload("checkpoints", slotBytes(extents));
    if (hosted > 0) {
      turns.putIfAbsent(layers.size() - 1, turns.size());
      turns.put(layers.size(), turns.size());
    }
  }

  /// Inputs first, then the rest.
  private List<Long> slotBytes(Extents extents) {
    Pass pass = Pass.planned(extents.backend(), extents.tokens());
    List<Long> inputs = new ArrayList<>();
    List<Long> rest = new ArrayList<>();
    for (int index : turns.keySet()) {
      Tensor input = pass.activation(extents.tokens(), extents.hidden());
      inputs.add(input.byteSize());
      pass.arena().release(0);
      keep(index, extents.hidden(), pass);
      rest.add(pass.arena().mark());
      pass.arena().release(0);
    }
    inputs.addAll(rest);
    return inputs;
  }

  private Parts keep(int index, long hidden, Pass pass) {
    return layers.get(index).allocate(checkpoints.get(index).extent(), hidden, pass);
  }

  private int turn(int index) {
    return Objects.requireNonNull(turns.get(index), "not in host memory");
  }

  boolean contains(int index) {
    Integer turn = turns.get(index);
    return turn != null && turn < hosted;
  }

  /// Host memory taken.
  long byteSize() {
    return buffer == null ? 0 : buffer.byteSize();
  }

  @Override
  public void close() {
    if (buffer != null) {
      buffer.close();
    }
  }

  /// What a layer keeps beside its input, and all of that as one tensor; null if that is nothing.
  private record Rest(Parts parts, @Nullable Tensor whole) {}

  /// The places of one forward and backward pass. They lie in its arena, below what other layers
  /// keep there.
  final class Turns {
    private final List<Tensor> inputs = new ArrayList<>();
    private final List<HostPlace> inputPlaces = new ArrayList<>();
    private final List<HostPlace> restPlaces = new ArrayList<>();
    private final TreeMap<Integer, Rest> rests = new TreeMap<>();

    /// @param embedded input of the lowest layer that backward visits
    Turns(Tensor embedded, Pass pass) {
      if (buffer == null) {
        return;
      }
      for (int parity = 0; parity < 2; parity++) {
        boolean here = parity == 0 && turns.firstKey() == lowest;
        inputs.add(here ? embedded : pass.activation(pass.tokenCount(), embedded.cols()));
        inputPlaces.add(new HostPlace(buffer));
        restPlaces.add(new HostPlace(buffer));
        allocateRests(parity, embedded.cols(), pass);
      }
    }

    /// Every second layer's rest, all at the same address.
    private void allocateRests(int parity, long hidden, Pass pass) {
      TensorArena arena = pass.arena();
      long start = arena.mark();
      long largest = 0;
      for (int index : turns.keySet()) {
        if (contains(index) && turn(index) % 2 == parity) {
          Parts parts = keep(index, hidden, pass);
          long bytes = arena.mark() - start;
          arena.release(start);
          rests.put(index, new Rest(parts, bytes == 0 ? null : bytes(arena, bytes)));
          arena.release(start);
          largest = Math.max(largest, bytes);
        }
      }
      if (largest > 0) {
        bytes(arena, largest);
      }
    }

    private static Tensor bytes(TensorArena arena, long count) {
      return arena.allocate(DType.U8, Shape.of(count));
    }

    /// Where the input of a layer, or the output of the last one, is to be written.
    Tensor inputOf(int index, long hidden, Pass pass) {
      Integer turn = turns.get(index);
      if (turn == null) {
        return pass.activation(pass.tokenCount(), hidden);
      }
      inputPlaces.get(turn % 2).free();
      return inputs.get(turn % 2);
    }

    /// A layer's input is computed.
    void storeInput(int index) {
      int turn = turn(index);
      inputPlaces.get(turn % 2).store(turn, inputs.get(turn % 2));
    }

    /// Where a layer is to keep the rest.
    Parts rest(int index) {
      restPlaces.get(turn(index) % 2).free();
      return Objects.requireNonNull(rests.get(index)).parts();
    }

    /// The rest is computed.
    void storeRest(int index) {
      Tensor whole = Objects.requireNonNull(rests.get(index)).whole();
      if (whole != null) {
        restPlaces.get(turn(index) % 2).store(hosted + turn(index), whole);
      }
    }

    /// Starts bringing back what the next layer below has in host memory. Its places were last used
    /// by work that is issued.
    void fetchBelow(int index) {
      Integer below = rests.lowerKey(index);
      if (below == null) {
        return;
      }
      int turn = turn(below);
      Tensor whole = Objects.requireNonNull(rests.get(below)).whole();
      if (whole != null) {
        restPlaces.get(turn % 2).fetch(hosted + turn, whole);
      }
      inputPlaces.get(turn % 2).fetch(turn, inputs.get(turn % 2));
    }

    /// Work issued later finds a layer's checkpoint in place.
    void await(int index) {
      inputPlaces.get(turn(index) % 2).await();
      restPlaces.get(turn(index) % 2).await();
    }
  }
}
