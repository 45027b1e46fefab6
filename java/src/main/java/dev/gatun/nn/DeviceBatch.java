package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.op.Backend;
import dev.gatun.op.LossOps;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;

/// A batch in the backend's memory, with room for the figures of its trained rows. It lives in the
/// arena it was uploaded to.
public final class DeviceBatch {
  private final Tokens tokens;
  private final LossOps.Targets targets;
  private final LossOps.Outputs outputs;

  private DeviceBatch(Tokens tokens, LossOps.Targets targets, LossOps.Outputs outputs) {
    this.tokens = tokens;
    this.targets = targets;
    this.outputs = outputs;
  }

  static DeviceBatch upload(
      Backend backend, RopeTables tables, TensorArena arena, BatchInput input) {
    int trained = input.targetRows().length;
    LossOps.Targets targets =
        new LossOps.Targets(
            ints(backend, arena, input.targetRows()), ints(backend, arena, input.targetLabels()));
    LossOps.Outputs outputs =
        new LossOps.Outputs(
            arena.allocate(DType.F32, Shape.of(trained)),
            arena.allocate(DType.I32, Shape.of(trained)),
            arena.allocate(DType.F32, Shape.of(trained)));
    return new DeviceBatch(tokens(backend, tables, arena, input), targets, outputs);
  }

  /// This batch with the attention of all layers planned, in `arena`.
  ///
  /// @param training whether [CausalLm#forwardBackward] may run on it
  DeviceBatch planned(Backend backend, TensorArena arena, ModelConfig config, boolean training) {
    return new DeviceBatch(tokens.planned(backend, arena, config, training), targets, outputs);
  }

  private static Tokens tokens(
      Backend backend, RopeTables tables, TensorArena arena, BatchInput input) {
    int[] lengths = input.sequenceLengths();
    int[] starts = new int[lengths.length + 1];
    for (int i = 0; i < lengths.length; i++) {
      starts[i + 1] = starts[i] + lengths[i];
    }
    int longest = Arrays.stream(lengths).max().orElse(0);
    Tensor queryStart = ints(backend, arena, starts);
    Sequences sequences =
        new Sequences(
            queryStart,
            queryStart.rows(0, lengths.length),
            ints(backend, arena, lengths),
            lengths.length,
            longest,
            longest);
    int[] extents = new int[input.tokens()];
    for (int s = 0; s < lengths.length; s++) {
      int end = Arrays.stream(input.positionIds(), starts[s], starts[s + 1]).max().orElse(-1) + 1;
      Arrays.fill(extents, starts[s], starts[s + 1], end);
    }
    return place(backend, tables, arena, input.inputIds(), input.positionIds(), extents, sequences);
  }

  /// Uploads ids and finds each token's row in the rotary tables.
  ///
  /// @param extents for every token the length its sequence has reached
  static Tokens place(
      Backend backend,
      RopeTables tables,
      TensorArena arena,
      int[] ids,
      int[] positions,
      int[] extents,
      Sequences sequences) {
    int longest = Arrays.stream(extents).max().orElse(0);
    Tensor idTensor = ints(backend, arena, ids);
    if (!tables.needsOwnRows(longest)) {
      if (longest > tables.positions()) {
        throw new IllegalArgumentException(
            "a sequence reaches position %d, the model was built for %d"
                .formatted(longest, tables.positions()));
      }
      Tensor rows = ints(backend, arena, positions);
      return new Tokens(ids.length, idTensor, rows, tables.cos(), tables.sin(), sequences);
    }
    RopeTables.Rows rows = new RopeTables.Rows(tables.rope(), ids.length);
    int[] order = new int[ids.length];
    float[] inverse = {};
    for (int t = 0; t < ids.length; t++) {
      if (t == 0 || extents[t] != extents[t - 1]) {
        inverse = RopeFrequencies.inverse(tables.rope(), extents[t]);
      }
      rows.put(t, positions[t], inverse);
      order[t] = t;
    }
    Tensor cos = arena.allocate(DType.F32, Shape.of(ids.length, tables.cos().cols()));
    Tensor sin = arena.allocate(DType.F32, cos.shape());
    rows.upload(backend, cos, sin);
    return new Tokens(ids.length, idTensor, ints(backend, arena, order), cos, sin, sequences);
  }

  static Tensor ints(Backend backend, TensorArena arena, int[] values) {
    Tensor tensor = arena.allocate(DType.I32, Shape.of(values.length));
    if (values.length > 0) {
      backend.upload(tensor, Tensor.ofInts(tensor.shape(), values));
    }
    return tensor;
  }

  /// Number of tokens, `T`.
  public int tokenCount() {
    return tokens.count();
  }

  /// Number of trained rows.
  public int trainedCount() {
    return Math.toIntExact(targets.count());
  }

  Tokens tokens() {
    return tokens;
  }

  LossOps.Targets targets() {
    return targets;
  }

  /// Where the last pass over this batch left loss, correctness and entropy of each trained row.
  public LossOps.Outputs outputs() {
    return outputs;
  }
}
