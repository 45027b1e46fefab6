package dev.gatun.nn;

import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/// All decoder layers. The one place that knows what is kept between forward and backward.
final class DecoderStack {
  private final List<DecoderLayer> layers;
  private final CheckpointPolicy policy;
  private final boolean inputTrained;
  private final int lowest;

  /// @param inputTrained whether the embedding below the layers is trained
  DecoderStack(List<DecoderLayer> layers, CheckpointPolicy policy, boolean inputTrained) {
    this.layers = List.copyOf(layers);
    this.policy = policy;
    this.inputTrained = inputTrained;
    int first = 0;
    while (!inputTrained && first < layers.size() && !layers.get(first).isTrained()) {
      first++;
    }
    lowest = first;
  }

  /// What a layer left for backward, and the arena's position before it.
  sealed interface Saved {
    long mark();

    /// Everything.
    record Full(long mark, DecoderLayer.Saved layer) implements Saved {}

    /// Its input only.
    record Input(long mark, Tensor x) implements Saved {}
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

  int size() {
    return layers.size();
  }

  /// Runs all layers and keeps what backward needs; layers below the lowest trained one run in
  /// place.
  Kept forward(Tensor embedded, Pass pass) {
    Tensor x = embedded;
    List<Saved> saved = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      if (i < lowest) {
        inferLayer(layers.get(i), x, pass);
      } else {
        long mark = pass.arena().mark();
        Tensor y = pass.activation(pass.tokenCount(), x.cols());
        saved.add(forwardLayer(i, mark, y, x, pass));
        x = y;
      }
    }
    return new Kept(x, saved);
  }

  private Saved forwardLayer(int index, long mark, Tensor y, Tensor x, Pass pass) {
    DecoderLayer layer = layers.get(index);
    boolean last = index == layers.size() - 1;
    return switch (policy) {
      case NONE -> new Saved.Full(mark, layer.forward(y, x, pass));
      case PER_LAYER -> {
        if (last) {
          // Its backward comes next: keeping it costs no more than running it again.
          yield new Saved.Full(mark, layer.forward(y, x, pass));
        }
        long transients = pass.arena().mark();
        layer.forward(y, x, pass);
        pass.arena().release(transients);
        yield new Saved.Input(mark, x);
      }
    };
  }

  /// Turns the gradient of the output into the gradient of the embedded input (undefined where that
  /// is frozen), layer by layer, and releases what they kept.
  void backward(Tensor gradient, Kept kept, Pass pass) {
    for (int i = layers.size() - 1; i >= lowest; i--) {
      Saved saved = kept.saved().get(i - lowest);
      DecoderLayer layer = layers.get(i);
      DecoderLayer.Saved full =
          switch (saved) {
            case Saved.Full(_, DecoderLayer.Saved all) -> all;
            case Saved.Input(_, Tensor x) -> layer.forward(null, x, pass);
          };
      layer.backward(gradient, inputTrained || i > lowest, full, pass);
      pass.arena().release(saved.mark());
    }
  }
}
