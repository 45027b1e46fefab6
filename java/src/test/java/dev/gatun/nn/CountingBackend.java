package dev.gatun.nn;

import dev.gatun.op.AttentionOps;
import dev.gatun.op.Backend;
import dev.gatun.op.MatmulOps;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// Counts the forward ops that checkpointing can spare.
final class CountingBackend {
  private final Map<String, Integer> counts = new TreeMap<>();
  private final Backend backend;

  CountingBackend(Backend real) {
    MatmulOps matmul =
        BackendProxy.observingForward(
            MatmulOps.class,
            real.matmul(),
            arguments -> count(((List<?>) arguments[0]).size() + " products"));
    AttentionOps attention =
        BackendProxy.observingForward(
            AttentionOps.class, real.attention(), _ -> count("attention"));
    backend =
        BackendProxy.replacing(real, Map.of("matmul", _ -> matmul, "attention", _ -> attention));
  }

  private void count(String op) {
    counts.merge(op, 1, Integer::sum);
  }

  Backend backend() {
    return backend;
  }

  /// How often an op has run, products by the number of projections: `2 products`.
  Map<String, Integer> counts() {
    return new TreeMap<>(counts);
  }
}
