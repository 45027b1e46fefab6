package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Packed causal attention on any backend, every sequence against the oracle on its own.
public abstract class AttentionOpsContract extends OpContract {
  /// @param queries queries of each sequence
  /// @param keys keys of each sequence
  private record Layout(int[] queries, int[] keys) {
    int tokens() {
      return IntStream.of(queries).sum();
    }

    /// Key rows in all, two unused rows after every sequence that has more keys than queries.
    int keyRows() {
      return keyStart(keys.length);
    }

    int queryStart(int s) {
      return IntStream.of(queries).limit(s).sum();
    }

    int keyStart(int s) {
      int start = 0;
      for (int i = 0; i < s; i++) {
        start += keys[i] + (keys[i] > queries[i] ? 2 : 0);
      }
      return start;
    }
  }

  private AttentionOps.Sequences sequences(Layout layout) {
    int count = layout.queries().length;
    return new AttentionOps.Sequences(
        ints(IntStream.rangeClosed(0, count).map(layout::queryStart).toArray()),
        ints(IntStream.range(0, count).map(layout::keyStart).toArray()),
        ints(layout.keys()),
        count,
        IntStream.of(layout.queries()).max().orElse(0),
        IntStream.of(layout.keys()).max().orElse(0));
  }

  private static double[] slice(double[] x, int fromRow, int rows, int width) {
    return Arrays.copyOfRange(x, fromRow * width, (fromRow + rows) * width);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1, 0, 0",
    "2, 1, 10, 0, 0",
    "4, 2, 32, 7, 0",
    "4, 4, 64, 0, 2.5",
    "6, 2, 17, 3, 3",
    "8, 1, 80, 100, 0",
    "4, 2, 128, 0, 0",
    "2, 1, 128, 40, 4",
    "2, 2, 200, 0, 0"
  })
  void training(int heads, int keyHeads, int size, int window, float softcap) {
    check(
        new Layout(new int[] {5, 1, 70, 33}, new int[] {5, 1, 70, 33}),
        new AttentionOracle(
            heads,
            keyHeads,
            size,
            new AttentionOps.Config((float) (1 / Math.sqrt(size)), window, softcap)));
  }

  @ParameterizedTest
  @CsvSource({"0", "1", "64", "129"})
  void aSequenceOfSeveralBlocks(int window) {
    check(
        new Layout(new int[] {300}, new int[] {300}),
        new AttentionOracle(2, 1, 8, new AttentionOps.Config(0.4f, window, 0)));
  }

  @ParameterizedTest
  @CsvSource({"0", "5"})
  void keysFromACache(int window) {
    check(
        new Layout(new int[] {1, 3, 2}, new int[] {140, 9, 2}),
        new AttentionOracle(4, 2, 16, new AttentionOps.Config(0.25f, window, 0)));
  }

  /// Whole tiles of keys that no query sees, before, between and beside tiles that some see: their
  /// gradients are zero, whatever the kernels stage through the same memory.
  @ParameterizedTest
  @CsvSource({"64, 50", "128, 50", "128, 1", "136, 50", "256, 3"})
  void tilesOfKeysThatAWindowHides(int size, int window) {
    check(
        new Layout(new int[] {3, 130, 1}, new int[] {200, 400, 65}),
        new AttentionOracle(
            4, 2, size, new AttentionOps.Config((float) (1 / Math.sqrt(size)), window, 0)));
  }

  private Tensor rows(double[] values, int rows, int heads, int size, boolean aligned) {
    Tensor matrix =
        aligned ? alignedStrided(values, rows, heads * size) : strided(values, rows, heads * size);
    return matrix.reshape(rows, heads, size);
  }

  private void check(Layout layout, AttentionOracle oracle) {
    check(layout, oracle, true);
  }

  /// @param aligned whether rows start at multiples of 16 bytes, if the head size is one of 8: a
  ///   backend may have other kernels for others
  private void check(Layout layout, AttentionOracle oracle, boolean aligned) {
    int qWidth = oracle.n() * oracle.d();
    int kWidth = oracle.kv() * oracle.d();
    double[] q = values(layout.tokens() * qWidth, 1);
    double[] k = values(layout.keyRows() * kWidth, 1);
    double[] v = values(layout.keyRows() * kWidth, 1);
    double[] dout = values(q.length, 1);
    int t = layout.tokens();
    int rows = layout.keyRows();
    Tensor qs = rows(q, t, oracle.n(), oracle.d(), aligned);
    Tensor ks = rows(k, rows, oracle.kv(), oracle.d(), aligned);
    Tensor vs = rows(v, rows, oracle.kv(), oracle.d(), aligned);
    Tensor out = output(t, oracle.n(), oracle.d());
    Tensor logSumExp = spoiled(DType.F32, t, oracle.n());
    Tensor dq = rows(q, t, oracle.n(), oracle.d(), aligned);
    Tensor dk = rows(k, rows, oracle.kv(), oracle.d(), aligned);
    Tensor dv = output(rows, oracle.kv(), oracle.d());
    AttentionOps.Sequences sequences = sequences(layout);
    long bytes = backend().attention().scratchBytes(rows, oracle.n(), oracle.kv(), oracle.d());
    try (TensorArena scratch = scratch(bytes)) {
      AttentionOps ops = backend().attention();
      ops.forward(out, logSumExp, qs, ks, vs, sequences, oracle.config(), scratch);
      Tensor upstream = activation(dout, t, oracle.n(), oracle.d());
      ops.backward(
          dq, dk, dv, upstream, qs, ks, vs, out, logSumExp, sequences, oracle.config(), scratch);
    }
    for (int s = 0; s < layout.queries().length; s++) {
      int from = layout.queryStart(s);
      int n = layout.queries()[s];
      int key = layout.keyStart(s);
      int m = layout.keys()[s];
      double[] sq = slice(q, from, n, qWidth);
      double[] sk = slice(k, key, m, kWidth);
      double[] sv = slice(v, key, m, kWidth);
      double[] sdout = slice(dout, from, n, qWidth);
      String name = "sequence " + s + " ";
      Computed exact = computed(oracle, Precision.EXACT, sq, sk, sv, sdout);
      Computed naive = computed(oracle, Precision.of(activationType()), sq, sk, sv, sdout);
      double slope = oracle.config().scale() * oracle.largestSlope(sdout, sv);
      Function<Precision, Computed> at = p -> p == Precision.EXACT ? exact : naive;
      assertClose(name + "out", out.rows(from, n), p -> at.apply(p).forward().out());
      assertClose(name + "lse", logSumExp.rows(from, n), p -> at.apply(p).forward().logSumExp());
      assertClose(
          name + "dq", dq.rows(from, n), p -> at.apply(p).backward().dq(), slope * largest(sk));
      assertClose(
          name + "dk", dk.rows(key, m), p -> at.apply(p).backward().dk(), slope * largest(sq));
      assertClose(name + "dv", dv.rows(key, m), p -> at.apply(p).backward().dv());
    }
  }

  /// A plan saves work and changes nothing, takes the memory it says, and follows what is planned
  /// again in its place.
  @ParameterizedTest
  @CsvSource({"8, 0", "64, 5", "128, 0", "136, 70", "17, 0"})
  void aPlanChangesNoBit(int size, int window) {
    AttentionOps.Config config = new AttentionOps.Config(0.2f, window, 0);
    int tokens = 310;
    AttentionOps.Passes passes =
        new AttentionOps.Passes(tokens, tokens, size, new TreeSet<>(List.of(0, window)), true);
    List<Tensor> inputs =
        Stream.of(4, 2, 2, 4)
            .map(heads ->
                activation(values(tokens * heads * size, 1), (long) tokens, heads, (long) size))
            .toList();
    try (TensorArena arena = scratch(backend().attention().planBytes(passes, 3))) {
      for (int[] lengths : List.of(new int[] {170, 1, 139}, new int[] {5, 300, 5})) {
        AttentionOps.Sequences sequences = sequences(new Layout(lengths, lengths));
        long mark = arena.mark();
        AttentionOps.Sequences planned = backend().attention().plan(sequences, passes, arena);
        List<Tensor> expected = pass(inputs, sequences, config);
        List<Tensor> actual = pass(inputs, planned, config);
        for (int i = 0; i < expected.size(); i++) {
          assertSame("result " + i, actual.get(i), expected.get(i));
        }
        arena.release(mark);
      }
      assertThat(arena.peakBytes()).isEqualTo(backend().attention().planBytes(passes, 3));
    }
  }

  /// Output and gradients for q, k, v and dout.
  private List<Tensor> pass(
      List<Tensor> inputs, AttentionOps.Sequences sequences, AttentionOps.Config config) {
    AttentionOps ops = backend().attention();
    List<Tensor> results =
        inputs.stream().map(x -> output(x.rows(), x.shape().dim(1), x.shape().dim(2))).toList();
    Tensor q = inputs.get(0);
    Tensor k = inputs.get(1);
    Tensor v = inputs.get(2);
    Tensor out = results.get(3);
    Tensor logSumExp = spoiled(DType.F32, q.rows(), q.shape().dim(1));
    long bytes = ops.scratchBytes(q.rows(), 4, 2, Math.toIntExact(q.shape().dim(2)));
    try (TensorArena scratch = scratch(bytes)) {
      ops.forward(out, logSumExp, q, k, v, sequences, config, scratch);
      ops.backward(
          results.get(0),
          results.get(1),
          results.get(2),
          inputs.get(3),
          q,
          k,
          v,
          out,
          logSumExp,
          sequences,
          config,
          scratch);
    }
    return results;
  }

  @ParameterizedTest
  @CsvSource({"8, 0", "64, 5", "256, 0"})
  void rowsThatStartAnywhere(int size, int window) {
    check(
        new Layout(new int[] {5, 40}, new int[] {5, 70}),
        new AttentionOracle(4, 2, size, new AttentionOps.Config(0.2f, window, 0)),
        false);
  }

  private record Computed(AttentionOracle.Forward forward, AttentionOracle.Backward backward) {}

  private static Computed computed(
      AttentionOracle oracle, Precision p, double[] q, double[] k, double[] v, double[] dout) {
    return new Computed(oracle.forward(p, q, k, v), oracle.backward(p, dout, q, k, v));
  }

  private static double largest(double[] x) {
    return Arrays.stream(x).map(Math::abs).max().orElse(0);
  }

  @Test
  void hugeScoresDoNotOverflow() {
    AttentionOracle oracle = new AttentionOracle(1, 1, 4, new AttentionOps.Config(64, 0, 0));
    check(new Layout(new int[] {9}, new int[] {9}), oracle);
  }
}
