package dev.gatun.nn;

import dev.gatun.nn.DecoderLayer.Parts;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/// All decoder layers. The one place that knows what is kept between forward and backward.
final class DecoderStack implements AutoCloseable {
  private final List<DecoderLayer> layers;
  private final List<LayerCheckpoint> checkpoints;
  private final boolean inputTrained;
  private final int lowest;
  private final HostedLayers hosted;

  /// @param inputTrained whether the embedding below the layers is trained
  /// @param extents for what lies in host memory
  DecoderStack(
      List<DecoderLayer> layers,
      Checkpointing checkpointing,
      boolean inputTrained,
      HostedLayers.Extents extents) {
    this.layers = List.copyOf(layers);
    this.checkpoints = checkpointing.layers(layers.size());
    this.inputTrained = inputTrained;
    int first = 0;
    while (!inputTrained && first < layers.size() && !layers.get(first).isTrained()) {
      first++;
    }
    lowest = first;
    hosted = new HostedLayers(this.layers, checkpoints, lowest, extents);
  }

  /// Host memory that checkpoints lie in.
  long offloadBytes() {
    return hosted.byteSize();
  }

  /// What a layer left for backward, and the arena's position before it.
  ///
  /// @param inner the little that running the layer again would not tell
  record Saved(long mark, Tensor x, LinearGroup.Inner inner, Parts parts) {}

  /// @param output of the last layer
  /// @param saved of the layers that backward visits
  record Kept(Tensor output, List<Saved> saved, HostedLayers.Turns turns) {}

  /// Runs all layers in place.
  void infer(Tensor x, Pass pass) {
    layers.forEach(layer -> layer.infer(x, pass));
  }

  /// Runs layer `index` in place.
  void infer(int index, Tensor x, Pass pass) {
    layers.get(index).infer(x, pass);
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
      infer(i, embedded, pass);
    }
    HostedLayers.Turns turns = hosted.new Turns(embedded, pass);
    Tensor x = embedded;
    List<Saved> saved = new ArrayList<>();
    for (int i = lowest; i < layers.size(); i++) {
      long mark = pass.arena().mark();
      boolean onHost = hosted.contains(i);
      if (onHost) {
        turns.storeInput(i);
      }
      DecoderLayer layer = layers.get(i);
      Tensor y = turns.inputOf(i + 1, x.cols(), pass);
      LinearGroup.Inner inner = layer.allocateInner(pass);
      Parts parts =
          onHost ? turns.rest(i) : layer.allocate(checkpoints.get(i).extent(), x.cols(), pass);
      long transients = pass.arena().mark();
      Parts.All all = layer.complete(parts, x.cols(), pass);
      layer.forward(y, new DecoderLayer.Saved(x, inner, all), pass);
      pass.arena().release(transients);
      if (onHost) {
        turns.storeRest(i);
      }
      saved.add(new Saved(mark, x, inner, parts));
      x = y;
    }
    return new Kept(x, saved, turns);
  }

  /// Turns the gradient of the output into the gradient of the embedded input (undefined where that
  /// is frozen), layer by layer, and releases what they kept.
  void backward(Tensor gradient, Kept kept, Pass pass) {
    for (int i = layers.size() - 1; i >= lowest; i--) {
      Saved saved = kept.saved().get(i - lowest);
      kept.turns().fetchBelow(i);
      if (hosted.contains(i)) {
        kept.turns().await(i);
      }
      DecoderLayer layer = layers.get(i);
      DecoderLayer.Saved all = layer.rebuild(saved.x(), saved.inner(), saved.parts(), pass);
      layer.backward(gradient, inputTrained || i > lowest, all, pass);
      pass.arena().release(saved.mark());
    }
  }

  @Override
  public void close() {
    hosted.close();
  }
}
