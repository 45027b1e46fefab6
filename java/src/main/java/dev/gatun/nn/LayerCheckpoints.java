package dev.gatun.nn;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// A choice for every decoder layer, as [CheckpointPlanner] makes it.
///
/// @param each the lowest layer first
/// @param decodedLayers of how many layers weights are kept decoded, see
///   [Checkpointing#decodedLayers]
public record LayerCheckpoints(List<LayerCheckpoint> each, int decodedLayers)
    implements Checkpointing {
  /// No decoded weights.
  public LayerCheckpoints(List<LayerCheckpoint> each) {
    this(each, 0);
  }

  public LayerCheckpoints {
    each = List.copyOf(each);
  }

  /// @throws IllegalArgumentException if the choice was made for another number of layers
  @Override
  public List<LayerCheckpoint> layers(int count) {
    if (count != each.size()) {
      throw new IllegalArgumentException(
          "checkpoints of %d layers for a model of %d".formatted(each.size(), count));
    }
    return each;
  }

  /// One line: `25 layers input and attention in host memory, 7 layers everything`, `32 layers
  /// everything, 9 with decoded weights`.
  @Override
  public String toString() {
    Map<LayerCheckpoint, Integer> counts = new LinkedHashMap<>();
    each.forEach(layer -> counts.merge(layer, 1, Integer::sum));
    String kept =
        counts.entrySet().stream()
            .map(e ->
                "%d %s %s"
                    .formatted(e.getValue(), e.getValue() == 1 ? "layer" : "layers", e.getKey()))
            .collect(Collectors.joining(", "));
    return decodedLayers == 0 ? kept : kept + ", %d with decoded weights".formatted(decodedLayers);
  }
}
