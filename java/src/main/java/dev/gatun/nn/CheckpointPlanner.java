package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LayerCheckpoint.Extent;
import dev.gatun.nn.LayerCheckpoint.Place;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/// Chooses for every layer what is kept and where, so that by [StepEstimate] a step takes the least
/// time that fits into memory. The same question has the same answer, and no [CheckpointPolicy]
/// that fits has a better estimate.
///
/// What is left when every layer keeps everything goes to decoded weights, which save less time for
/// their bytes.
///
/// At most three kinds of checkpoints are mixed, spread evenly over the layers: with two limits,
/// memory and copies, more kinds gain nothing.
public final class CheckpointPlanner {
  private final int chosen;
  private final StepEstimate estimate;
  private final KeptBytes bytes;
  private final List<LayerCheckpoint> kinds = new ArrayList<>();

  /// What activations and decoded weights may take.
  ///
  /// @param deviceBytes see [MemoryNeed#activationBytes] and [MemoryNeed#decodedBytes]
  /// @param hostBytes 0 where there is no host memory apart
  public record Budget(long deviceBytes, long hostBytes) {}

  /// Sizes of what is kept.
  ///
  /// @param base what a step takes with nothing kept of the layers below the top
  /// @param layer of one layer, by extent
  /// @param places on the device, of any number of layers in host memory, by extent
  private record KeptBytes(long base, long[] layer, long[] places) {}

  private CheckpointPlanner(
      ModelConfig config, Limits limits, boolean host, Function<Checkpointing, MemoryNeed> need) {
    chosen = config.layerCount() - 1;
    bytes = measure(need);
    long[] layer = bytes.layer();
    double[] rest = new double[layer.length];
    for (int i = 0; i < rest.length; i++) {
      rest[i] = layer[i] - layer[0];
    }
    long elements = Math.max(1, (long) limits.tokens() * config.hidden());
    estimate =
        new StepEstimate(
            config,
            limits,
            Math.toIntExact(layer[0] / elements),
            new StepEstimate.HostBytes(layer[0], rest));
    for (Place place : host ? Place.values() : new Place[] {Place.DEVICE}) {
      for (Extent extent : Extent.values()) {
        kinds.add(new LayerCheckpoint(extent, place));
      }
    }
  }

  /// Sizes follow from steps on a backend that only counts: one with the inputs on the device, and
  /// one for each extent in host memory.
  private KeptBytes measure(Function<Checkpointing, MemoryNeed> need) {
    int extents = Extent.values().length;
    long[] layer = new long[extents];
    long[] places = new long[extents];
    for (Extent extent : Extent.values()) {
      if (chosen == 0) {
        break; // the only layer is kept whole
      }
      LayerCheckpoint kind = new LayerCheckpoint(extent, Place.HOST);
      MemoryNeed hosted = need.apply(withTop(Collections.nCopies(chosen, kind)));
      layer[extent.ordinal()] = hosted.offloadBytes() / chosen;
      places[extent.ordinal()] = hosted.activationBytes();
    }
    long inputs = need.apply(CheckpointPolicy.PER_LAYER).activationBytes();
    long base = inputs - chosen * layer[Extent.INPUT.ordinal()];
    for (int i = 0; i < extents; i++) {
      places[i] -= base;
    }
    return new KeptBytes(base, layer, places);
  }

  private static LayerCheckpoints withTop(List<LayerCheckpoint> below) {
    List<LayerCheckpoint> all = new ArrayList<>(below);
    all.add(LayerCheckpoint.WHOLE);
    return new LayerCheckpoints(all);
  }

  /// Seconds that a forward and backward pass takes on an H100, by [StepEstimate].
  ///
  /// @param limits the batch
  /// @param need the memory of the model with such checkpoints and this batch
  public static double seconds(
      ModelConfig config,
      Limits limits,
      Checkpointing checkpointing,
      Function<Checkpointing, MemoryNeed> need) {
    List<LayerCheckpoint> layers = checkpointing.layers(config.layerCount());
    return new CheckpointPlanner(config, limits, true, need).estimate.seconds(layers);
  }

  /// @param need the memory of the model with such checkpoints, see [CausalLm#memoryNeed]
  /// @return what takes the least memory if nothing fits
  public static LayerCheckpoints plan(
      ModelConfig config, Limits limits, Budget budget, Function<Checkpointing, MemoryNeed> need) {
    int layers = config.layerCount();
    if (layers == 1 || fits(need.apply(CheckpointPolicy.NONE), budget)) {
      return withDecoded(layers, budget, need);
    }
    boolean host = budget.hostBytes() > 0;
    CheckpointPlanner planner = new CheckpointPlanner(config, limits, host, need);
    Budget left = budget;
    while (true) {
      Optional<Mix> best = planner.best(left);
      if (best.isEmpty()) {
        CheckpointPolicy least = host ? CheckpointPolicy.OFFLOAD : CheckpointPolicy.PER_LAYER;
        return new LayerCheckpoints(least.layers(layers));
      }
      LayerCheckpoints checkpoints = withTop(best.get().spread());
      if (fits(need.apply(checkpoints), budget)) {
        return checkpoints;
      }
      // Sizes are exact where all layers are alike and trained; elsewhere a little less is tried.
      left = new Budget(planner.deviceBytes(best.get()) - 1, left.hostBytes());
    }
  }

  /// Everything of all layers, and the decoded weights of as many as fit.
  private static LayerCheckpoints withDecoded(
      int layers, Budget budget, Function<Checkpointing, MemoryNeed> need) {
    List<LayerCheckpoint> everything = CheckpointPolicy.NONE.layers(layers);
    int fitting = 0;
    int beyond = layers + 1;
    if (need.apply(new LayerCheckpoints(everything, layers)).decodedBytes() == 0) {
      beyond = 1; // nothing is decoded
    }
    while (beyond - fitting > 1) {
      int tried = (fitting + beyond) / 2;
      if (fits(need.apply(new LayerCheckpoints(everything, tried)), budget)) {
        fitting = tried;
      } else {
        beyond = tried;
      }
    }
    return new LayerCheckpoints(everything, fitting);
  }

  private static boolean fits(MemoryNeed need, Budget budget) {
    return need.activationBytes() + need.decodedBytes() <= budget.deviceBytes()
        && need.offloadBytes() <= budget.hostBytes();
  }

  /// So many layers of each kind.
  private record Mix(List<LayerCheckpoint> kinds, int[] counts) {
    /// Every kind as evenly as whole layers allow.
    List<LayerCheckpoint> spread() {
      int layers = 0;
      for (int count : counts) {
        layers += count;
      }
      int[] due = new int[counts.length];
      List<LayerCheckpoint> spread = new ArrayList<>();
      for (int i = 0; i < layers; i++) {
        int next = 0;
        for (int k = 0; k < counts.length; k++) {
          due[k] += counts[k];
          next = due[k] > due[next] ? k : next;
        }
        due[next] -= layers;
        spread.add(kinds.get(next));
      }
      return spread;
    }
  }

  private Optional<Mix> best(Budget budget) {
    Mix best = null;
    double bestSeconds = Double.POSITIVE_INFINITY;
    for (Mix mix : mixes()) {
      if (deviceBytes(mix) <= budget.deviceBytes()
          && hostBytes(mix) <= budget.hostBytes()
          && leastSeconds(mix) < bestSeconds) {
        double seconds = estimate.seconds(withTop(mix.spread()).each());
        if (seconds < bestSeconds) {
          best = mix;
          bestSeconds = seconds;
        }
      }
    }
    return Optional.ofNullable(best);
  }

  /// All of them, fewer kinds and less in host memory first.
  private List<Mix> mixes() {
    List<Mix> mixes = new ArrayList<>();
    for (LayerCheckpoint kind : kinds) {
      mixes.add(new Mix(List.of(kind), new int[] {chosen}));
    }
    for (int b = 1; b < kinds.size(); b++) {
      for (int a = 0; a < b; a++) {
        List<LayerCheckpoint> two = List.of(kinds.get(a), kinds.get(b));
        for (int n = 1; n < chosen; n++) {
          mixes.add(new Mix(two, new int[] {n, chosen - n}));
        }
      }
    }
    for (int c = 2; c < kinds.size(); c++) {
      for (int b = 1; b < c; b++) {
        for (int a = 0; a < b; a++) {
          addThree(mixes, List.of(kinds.get(a), kinds.get(b), kinds.get(c)));
        }
      }
    }
    return mixes;
  }

  private void addThree(List<Mix> mixes, List<LayerCheckpoint> three) {
    for (int n = 1; n < chosen - 1; n++) {
      for (int m = 1; n + m < chosen; m++) {
        mixes.add(new Mix(three, new int[] {n, m, chosen - n - m}));
      }
    }
  }

  private long deviceBytes(Mix mix) {
    long kept = 0;
    long places = 0;
    for (int i = 0; i < mix.counts().length; i++) {
      LayerCheckpoint kind = mix.kinds().get(i);
      int extent = kind.extent().ordinal();
      switch (kind.place()) {
        case DEVICE -> kept += mix.counts()[i] * bytes.layer()[extent];
        case HOST -> places = Math.max(places, bytes.places()[extent]);
      }
    }
    return bytes.base() + kept + places;
  }

  private long hostBytes(Mix mix) {
    long sum = 0;
    for (int i = 0; i < mix.counts().length; i++) {
      LayerCheckpoint kind = mix.kinds().get(i);
      sum +=
          kind.place() == Place.HOST ? mix.counts()[i] * bytes.layer()[kind.extent().ordinal()] : 0;
    }
    return sum;
  }

  private double leastSeconds(Mix mix) {
    double seconds = estimate.floor();
    for (int i = 0; i < mix.counts().length; i++) {
      seconds += mix.counts()[i] * estimate.leastRebuild(mix.kinds().get(i).extent());
    }
    return seconds;
  }
}
