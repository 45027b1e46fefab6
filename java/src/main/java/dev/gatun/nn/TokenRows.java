package dev.gatun.nn;

import dev.gatun.op.Backend;
import dev.gatun.op.LossOps;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Trained rows of one frozen table. The table's own rows are replaced by them before every pass,
/// so that nothing else needs to know of them going forward.
///
/// @param table `[V, H]`, whose rows `rows` names are overwritten
/// @param parameter `[n, H]`
record TokenRows(TrainedTokens.Rows rows, Tensor table, Parameter parameter) {
  /// Places for the gradients of all other tokens, which are thrown away: several, since one place
  /// would take them one after the other.
  private static final int OTHERS = 64;

  /// Gives the table the parameter's rows.
  void place(Backend backend) {
    for (TrainedTokens.Run run : rows.runs()) {
      backend
          .tensor()
          .copy(
              table.rows(run.id(), run.count()), parameter.compute().rows(run.row(), run.count()));
    }
  }

  /// Gives the parameter the table's rows.
  void take(Parameters parameters) {
    for (TrainedTokens.Run run : rows.runs()) {
      parameters.copyRows(parameter, run.row(), table.rows(run.id(), run.count()));
    }
  }

  /// Where the head's gradient goes, if this is its table; nothing in a frozen model.
  List<LossOps.HeadRows> gradients() {
    Tensor gradient = parameter.gradient();
    return gradient == null
        ? List.of()
        : rows.runs().stream()
            .map(run -> new LossOps.HeadRows(run.id(), gradient.rows(run.row(), run.count())))
            .toList();
  }

  /// For every token its row of the parameter, or beyond them a place to be thrown away.
  ///
  /// @param paddingId id that gets no gradient, or null
  static int[] places(TrainedTokens.Rows rows, int[] ids, @Nullable Integer paddingId) {
    Map<Integer, Integer> rowOf = new HashMap<>();
    for (int row = 0; row < rows.ids().size(); row++) {
      if (!rows.ids().get(row).equals(paddingId)) {
        rowOf.put(rows.ids().get(row), row);
      }
    }
    int[] places = new int[ids.length];
    Arrays.setAll(
        places,
        t -> {
          Integer row = rowOf.get(ids[t]);
          return row == null ? rows.ids().size() + t % OTHERS : row;
        });
    return places;
  }

  /// Adds the embedding's gradient.
  ///
  /// @param dy `[T, H]`
  void scatter(Tensor dy, float scale, Pass pass) {
    Tensor gradient = parameter.gradient();
    Tensor places = pass.tokens().places();
    if (gradient == null || places == null) {
      return;
    }
    long mark = pass.arena().mark();
    Tensor all = pass.floats(gradient.rows() + OTHERS, gradient.cols());
    pass.backend().tensor().zero(all);
    pass.backend().embedding().scatterAdd(all, dy, places, scale, pass.arena());
    pass.backend().tensor().add(gradient, all.rows(0, gradient.rows()));
    pass.arena().release(mark);
  }
}
