package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LayerCheckpoint.Extent;
import dev.gatun.nn.LayerCheckpoint.Place;
import java.util.ArrayList;
import java.util.List;

/// How long a training step takes by its floating-point operations, the bytes it moves and the
/// copies between device and host, where work and copies run beside each other as in
/// [DecoderStack]. Made for comparing checkpoints with each other; the seconds are those of an
/// H100, to about a tenth where batches are large.
final class StepEstimate {
  // Rates of an H100 with PCIe 5; other cards differ in all of them alike. Copies reach 50 GB/s:
  // one
  // that is not done in time costs several times what it saves, so that less is counted on.
  private static final double PRODUCT_FLOPS = 780e12;
  private static final double ATTENTION_FLOPS = 450e12;
  private static final double MEMORY_BYTES = 2.8e12;
  private static final double COPY_BYTES = 40e9;

  /// Bytes moved to make one weight an operand: read in 4 bits, written in 16.
  private static final double WEIGHT_BYTES = 2.5;

  /// Work of a backward pass that forward has no counterpart of, as a part of it: gradients of
  /// low-rank updates, activations computed again.
  private static final double BACKWARD_EXTRA = 0.4;

  private final List<LayerTime> layers = new ArrayList<>();
  private final double headSeconds;
  private final HostBytes copied;

  /// Seconds of work of one layer.
  private record LayerTime(
      double forward, double backward, double attention, double projections, double expansion) {
    /// Work that backward repeats.
    double rebuild(Extent extent) {
      return switch (extent) {
        case INPUT -> attention + projections + expansion;
        case ATTENTION -> projections + expansion;
        case PROJECTIONS -> expansion;
        case ALL -> 0;
      };
    }
  }

  /// @param activationBytes of an element
  /// @param copied of a layer in host memory
  StepEstimate(ModelConfig config, Limits limits, int activationBytes, HostBytes copied) {
    this.copied = copied;
    for (ModelConfig.Layer layer : config.layers()) {
      layers.add(time(config, limits, layer.window(), activationBytes));
    }
    headSeconds = 2 * products(limits.trainedRows(), config.hidden(), config.vocabulary());
  }

  private static LayerTime time(ModelConfig c, Limits limits, int window, int activationBytes) {
    long t = limits.tokens();
    long queries = (long) c.heads() * c.headSize();
    long keys = (long) c.keyValueHeads() * c.headSize();
    double perElement = t * activationBytes / MEMORY_BYTES;
    double norm = 2 * c.hidden() * perElement;
    double projections =
        norm + products(t, c.hidden(), queries + 2 * keys) + 2 * (queries + keys) * perElement;
    double output = products(t, queries, c.hidden());
    double expansion = norm + products(t, c.hidden(), 2L * c.intermediate());
    double contraction =
        products(t, c.intermediate(), c.hidden()) + 3 * c.intermediate() * perElement;
    long seen = window > 0 ? Math.min(window, limits.longestSequence()) : limits.longestSequence();
    double attention = 4.0 * queries * t * seen / 2 / ATTENTION_FLOPS;
    double linear = projections + output + expansion + contraction;
    return new LayerTime(
        linear + attention,
        (1 + BACKWARD_EXTRA) * linear + 3 * attention,
        attention + output,
        projections,
        expansion);
  }

  private static double products(long rows, long in, long out) {
    return 2.0 * rows * in * out / PRODUCT_FLOPS + in * out * WEIGHT_BYTES / MEMORY_BYTES;
  }

  /// The least that one layer of this extent adds to a step.
  double leastRebuild(Extent extent) {
    return layers.stream().mapToDouble(layer -> layer.rebuild(extent)).min().orElse(0);
  }

  /// Seconds of a step without any work done twice or waited for.
  double floor() {
    return headSeconds
        + layers.stream().mapToDouble(layer -> layer.forward() + layer.backward()).sum();
  }

  /// Seconds of a step with these checkpoints of all layers.
  double seconds(List<LayerCheckpoint> checkpoints) {
    Streams streams = new Streams(copied);
    for (int i = 0; i < layers.size(); i++) {
      streams.forward(checkpoints, i, layers.get(i));
    }
    streams.work += headSeconds;
    for (int i = layers.size() - 1; i >= 0; i--) {
      streams.backward(checkpoints, i, layers.get(i));
    }
    return streams.work;
  }

  /// Bytes of one layer in host memory.
  ///
  /// @param rest beside the input, by extent
  record HostBytes(double input, double[] rest) {
    double rest(LayerCheckpoint layer) {
      return rest[layer.extent().ordinal()];
    }
  }

  /// Until when work and copies are occupied, and when what lies in the two places is out.
  private static final class Streams {
    private final HostBytes bytes;
    private final double[] inputOut = new double[2];
    private final double[] restOut = new double[2];
    private double work;
    private double copies;
    private int turn;
    private double ready;

    Streams(HostBytes bytes) {
      this.bytes = bytes;
    }

    void forward(List<LayerCheckpoint> checkpoints, int index, LayerTime time) {
      LayerCheckpoint layer = checkpoints.get(index);
      boolean onHost = layer.place() == Place.HOST;
      boolean top = index + 1 == checkpoints.size();
      if (onHost) {
        inputOut[turn % 2] = copy(bytes.input());
        work = Math.max(work, restOut[turn % 2]);
      }
      int next = onHost ? turn + 1 : turn;
      if (top || checkpoints.get(index + 1).place() == Place.HOST) {
        work = Math.max(work, inputOut[next % 2]);
      }
      work += time.forward();
      if (onHost) {
        restOut[turn % 2] = copy(bytes.rest(layer));
        turn = next;
      }
    }

    void backward(List<LayerCheckpoint> checkpoints, int index, LayerTime time) {
      LayerCheckpoint layer = checkpoints.get(index);
      double mine = ready;
      int below = index - 1;
      if (layer.place() == Place.HOST || index + 1 == checkpoints.size()) {
        while (below >= 0 && checkpoints.get(below).place() != Place.HOST) {
          below--;
        }
        if (below >= 0) {
          ready = copy(bytes.input() + bytes.rest(checkpoints.get(below)));
        }
      }
      if (layer.place() == Place.HOST) {
        work = Math.max(work, mine);
      }
      work += time.rebuild(layer.extent()) + time.backward();
    }

    /// Starts when the work issued so far and earlier copies are done.
    private double copy(double count) {
      copies = Math.max(copies, work) + count / COPY_BYTES;
      return copies;
    }
  }
}
