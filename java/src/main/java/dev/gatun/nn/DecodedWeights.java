package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import java.util.ArrayList;
import java.util.List;

/// The quantised weights of the upper layers, decoded once and kept: every pass over such a layer
/// is spared decoding them. The packed weights stay, so that a result is the same with and without.
final class DecodedWeights {
  private final TensorArena arena;
  private final int firstLayer;
  private final List<Weight.Nf4> kept = new ArrayList<>();

  /// @param arena with room for them, see [MemoryNeed#decodedBytes]
  /// @param firstLayer the lowest layer that has them
  DecodedWeights(TensorArena arena, int firstLayer) {
    this.arena = arena;
    this.firstLayer = firstLayer;
  }

  /// The same projections with room for decoded values, if the layer is to have them and all are
  /// quantised and not decomposed. The room is filled by [#fill].
  ///
  /// @param projections that share an input
  List<Linear> keep(int layer, List<Linear> projections) {
    List<Projection> inference = projections.stream().map(Linear::inference).toList();
    if (layer < firstLayer
        || projections.stream().anyMatch(p -> p.dora() != null)
        || !inference.stream().allMatch(p -> p.weight() instanceof Weight.Nf4)) {
      return projections;
    }
    var operand = arena.allocate(DType.BF16, Projection.operandShape(inference));
    List<Linear> result = new ArrayList<>();
    long row = 0;
    for (Linear linear : projections) {
      Weight.Nf4 weight =
          ((Weight.Nf4) linear.inference().weight()).with(new Weight.Decoded(operand, row));
      kept.add(weight);
      result.add(linear.with(weight));
      row += weight.out();
    }
    return result;
  }

  /// Decodes all of them.
  void fill(Backend backend) {
    for (Weight.Nf4 weight : kept) {
      Weight.Decoded decoded = weight.decoded();
      if (decoded != null) {
        backend.quant().dequantize(decoded.values(weight.out(), weight.in()), weight);
      }
    }
  }
}
