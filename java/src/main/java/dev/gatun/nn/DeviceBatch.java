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
import org.jspecify.annotations.Nullable;

/// A batch in the backend's memory, with room for the figures of its trained rows. It lives in the
/// arenas it was put in.
public final class DeviceBatch {
  private final Tokens tokens;
  private final LossOps.Targets targets;
  private final @Nullable Tensor figures;

  private DeviceBatch(Tokens tokens, LossOps.Targets targets, @Nullable Tensor figures) {
    this.tokens = tokens;
    this.targets = targets;
    this.figures = figures;
  }

  /// Uploads what passes read. The batch has no outputs yet.
  ///
  /// @param places where gradients of tokens go, or null, see [TokenRows#places]
  static DeviceBatch upload(
      Uploads uploads, RopeTables tables, BatchInput input, int @Nullable [] places) {
    LossOps.Targets targets =
        new LossOps.Targets(uploads.ints(input.targetRows()), uploads.ints(input.targetLabels()));
    Tokens tokens = tokens(uploads, tables, input);
    Tensor uploaded = places == null ? null : uploads.ints(places);
    return new DeviceBatch(tokens.withPlaces(uploaded), targets, null);
  }

  /// This batch with the attention of all layers planned, in `arena`.
  ///
  /// @param training whether [CausalLm#forwardBackward] may run on it
  DeviceBatch planned(Backend backend, TensorArena arena, ModelConfig config, boolean training) {
    return new DeviceBatch(tokens.planned(backend, arena, config, training), targets, figures);
  }

  /// The same batch with its outputs in `arena`.
  public DeviceBatch withOutputs(TensorArena arena) {
    return new DeviceBatch(
        tokens, targets, arena.allocate(DType.F32, Shape.of(3, targets.count())));
  }

  private static Tokens tokens(Uploads uploads, RopeTables tables, BatchInput input) {
    int[] lengths = input.sequenceLengths();
    int[] starts = new int[lengths.length + 1];
    for (int i = 0; i < lengths.length; i++) {
      starts[i + 1] = starts[i] + lengths[i];
    }
    int longest = Arrays.stream(lengths).max().orElse(0);
    Tensor queryStart = uploads.ints(starts);
    Sequences sequences =
        new Sequences(
            queryStart,
            queryStart.rows(0, lengths.length),
            uploads.ints(lengths),
            lengths.length,
            longest,
            longest);
    int[] extents = new int[input.tokens()];
    for (int s = 0; s < lengths.length; s++) {
      int end = Arrays.stream(input.positionIds(), starts[s], starts[s + 1]).max().orElse(-1) + 1;
      Arrays.fill(extents, starts[s], starts[s + 1], end);
    }
    return place(uploads, tables, input.inputIds(), input.positionIds(), extents, sequences);
  }

  /// Uploads ids and finds each token's row in the rotary tables.
  ///
  /// @param extents for every token the length its sequence has reached
  static Tokens place(
      Uploads uploads,
      RopeTables tables,
      int[] ids,
      int[] positions,
      int[] extents,
      Sequences sequences) {
    int longest = Arrays.stream(extents).max().orElse(0);
    Tensor idTensor = uploads.ints(ids);
    if (!tables.needsOwnRows(longest)) {
      if (longest > tables.positions()) {
        throw new IllegalArgumentException(
            "a sequence reaches position %d, the model was built for %d"
                .formatted(longest, tables.positions()));
      }
      Tensor rows = uploads.ints(positions);
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
    Tensor cos = rows.cos(uploads);
    Tensor sin = rows.sin(uploads);
    return new Tokens(ids.length, idTensor, uploads.ints(order), cos, sin, sequences);
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
    Tensor block = figures();
    return new LossOps.Outputs(row(block, 0, DType.F32), correct(block), row(block, 2, DType.F32));
  }

  /// The outputs as one tensor of 4-byte elements `[3, n]`, to be downloaded at once: losses, then
  /// what [#correct] reads, then entropies.
  ///
  /// @throws IllegalStateException if the batch has no outputs
  public Tensor figures() {
    if (figures == null) {
      throw new IllegalStateException("the batch has no outputs");
    }
    return figures;
  }

  /// The second row of [#figures], or of a copy, I32 `[n]`.
  public static Tensor correct(Tensor figures) {
    return row(figures, 1, DType.I32);
  }

  private static Tensor row(Tensor block, int index, DType type) {
    long n = block.cols();
    long offset = block.byteOffset() + index * n * type.bytes();
    return Tensor.of(block.storage(), offset, type, Shape.of(n));
  }
}
