package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.OffloadBuffer;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// All decoder layers. The one place that knows what is kept between forward and backward.
final class DecoderStack implements AutoCloseable {
  private final List<DecoderLayer> layers;
  private final CheckpointPolicy policy;
  private final boolean inputTrained;
  private final int lowest;
  private final @Nullable OffloadBuffer inputs;

  /// Room in host memory for the inputs of layers.
  ///
  /// @param inputBytes of the largest input; 0 if there is never a backward pass
  record Host(Backend backend, long inputBytes) {}

  /// @param inputTrained whether the embedding below the layers is trained
  /// @param host used if the policy offloads
  DecoderStack(
      List<DecoderLayer> layers, CheckpointPolicy policy, boolean inputTrained, Host host) {
    this.layers = List.copyOf(layers);
    this.policy = policy;
    this.inputTrained = inputTrained;
    int first = 0;
    while (!inputTrained && first < layers.size() && !layers.get(first).isTrained()) {
      first++;
    }
    lowest = first;
    int slots = layers.size() - 1 - lowest;
    inputs =
        policy == CheckpointPolicy.OFFLOAD && slots > 0 && host.inputBytes() > 0
            ? host.backend().offload("layer inputs", slots, host.inputBytes())
            : null;
  }

  /// Host memory that inputs are offloaded to.
  long offloadBytes() {
    return inputs == null ? 0 : inputs.byteSize();
  }

  /// What a layer left for backward, and the arena's position before it.
  sealed interface Saved {
    long mark();

    /// Everything.
    record Full(long mark, DecoderLayer.Saved layer) implements Saved {}

    /// Its input, and the little that running it again would not tell.
    record Input(long mark, Tensor x, LinearGroup.Inner inner) implements Saved {}

    /// The same, the input in host memory.
    ///
    /// @param x where it was, and comes back to
    record Offloaded(long mark, int slot, Tensor x, LinearGroup.Inner inner) implements Saved {}
  }

  /// @param output of the last layer
  /// @param saved of the layers that backward visits
  record Kept(Tensor output, List<Saved> saved) {}

  /// Runs all layers in place.
  void infer(Tensor x, Pass pass) {
    for (DecoderLayer layer : layers) {
      inferLayer(layer, x, pass);
    }
  }

  /// Runs layer `index` in place.
  void infer(int index, Tensor x, Pass pass) {
    inferLayer(layers.get(index), x, pass);
  }

  private static void inferLayer(DecoderLayer layer, Tensor x, Pass pass) {
    long mark = pass.arena().mark();
    layer.forward(x, x, pass);
    pass.arena().release(mark);
  }

  /// Columns that products want behind the gradient.
  long gradientRoom() {
    return layers.stream().mapToLong(DecoderLayer::gradientRoom).max().orElse(0);
  }

  int size() {
    return layers.size();
  }

  /// Runs all layers and keeps what backward needs; layers below the lowest trained one run in
  /// place.
  Kept forward(Tensor embedded, Pass pass) {
    for (int i = 0; i < lowest; i++) {
      inferLayer(layers.get(i), embedded, pass);
    }
    return policy == CheckpointPolicy.OFFLOAD
        ? forwardOffloading(embedded, pass)
        : forwardKeeping(embedded, pass);
  }

  private Kept forwardKeeping(Tensor embedded, Pass pass) {
    Tensor x = embedded;
    List<Saved> saved = new ArrayList<>();
    for (int i = lowest; i < layers.size(); i++) {
      long mark = pass.arena().mark();
      Tensor y = pass.activation(pass.tokenCount(), x.cols());
      saved.add(forwardLayer(i, mark, y, x, pass));
      x = y;
    }
    return new Kept(x, saved);
  }

  /// Inputs alternate between two places; one is overwritten when its copy is out.
  private Kept forwardOffloading(Tensor embedded, Pass pass) {
    Tensor x = embedded;
    Tensor y = pass.activation(pass.tokenCount(), x.cols());
    List<Saved> saved = new ArrayList<>();
    for (int i = lowest; i < layers.size(); i++) {
      int slot = i - lowest;
      long mark = pass.arena().mark();
      boolean last = i == layers.size() - 1;
      if (!last) {
        host().store(slot, x);
      }
      if (slot > 0) {
        host().await(slot - 1);
      }
      LinearGroup.Inner inner = layers.get(i).allocateInner(pass);
      long transients = pass.arena().mark();
      DecoderLayer.Saved all = layers.get(i).forward(y, x, inner, pass);
      if (last) {
        saved.add(new Saved.Full(mark, all));
      } else {
        pass.arena().release(transients);
        saved.add(new Saved.Offloaded(mark, slot, x, inner));
      }
      Tensor free = x;
      x = y;
      y = free;
    }
    return new Kept(x, saved);
  }

  private OffloadBuffer host() {
    return Objects.requireNonNull(inputs, "built without room for the inputs of layers");
  }

  private Saved forwardLayer(int index, long mark, Tensor y, Tensor x, Pass pass) {
    DecoderLayer layer = layers.get(index);
    boolean last = index == layers.size() - 1;
    return switch (policy) {
      case NONE, OFFLOAD -> new Saved.Full(mark, layer.forward(y, x, pass));
      case PER_LAYER -> {
        if (last) {
          // Its backward comes next: keeping it costs no more than running it again.
          yield new Saved.Full(mark, layer.forward(y, x, pass));
        }
        LinearGroup.Inner inner = layer.allocateInner(pass);
        long transients = pass.arena().mark();
        layer.forward(y, x, inner, pass);
        pass.arena().release(transients);
        yield new Saved.Input(mark, x, inner);
      }
    };
  }

  /// Turns the gradient of the output into the gradient of the embedded input (undefined where that
  /// is frozen), layer by layer, and releases what they kept.
  void backward(Tensor gradient, Kept kept, Pass pass) {
    for (int i = layers.size() - 1; i >= lowest; i--) {
      Saved saved = kept.saved().get(i - lowest);
      if (i > lowest && kept.saved().get(i - lowest - 1) instanceof Saved.Offloaded below) {
        // Comes back while this layer is at work; nothing issued later uses the place it goes to.
        host().prefetch(below.slot(), below.x());
      }
      DecoderLayer layer = layers.get(i);
      DecoderLayer.Saved full =
          switch (saved) {
            case Saved.Full(_, DecoderLayer.Saved all) -> all;
            case Saved.Input(_, Tensor x, LinearGroup.Inner inner) ->
                layer.forward(null, x, inner, pass);
            case Saved.Offloaded(_, int slot, Tensor x, LinearGroup.Inner inner) -> {
              host().await(slot);
              yield layer.forward(null, x, inner, pass);
            }
          };
      layer.backward(gradient, inputTrained || i > lowest, full, pass);
      pass.arena().release(saved.mark());
    }
  }

  @Override
  public void close() {
    if (inputs != null) {
      inputs.close();
    }
  }
}
