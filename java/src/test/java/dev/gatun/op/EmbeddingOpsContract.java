package dev.gatun.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/// Token embedding on any backend.
public abstract class EmbeddingOpsContract extends OpContract {
  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void gatherCopiesRows(DType type) {
    double[] table = values(11 * 65, 1);
    int[] ids = ints(20, 11);
    Tensor y = output(20, 65);

    backend().embedding().gather(y, tensor(type, table, 11, 65), ints(ids), 1);

    double[] expected = new double[20 * 65];
    for (int t = 0; t < 20; t++) {
      System.arraycopy(table, ids[t] * 65, expected, t * 65, 65);
    }
    assertThat(download(y)).containsExactly(expected);
  }

  @ParameterizedTest
  @CsvSource({"1, 1, 1, 1", "50, 7, 65, 1.5", "300, 3, 130, 8"})
  void gatherAndScatterScale(int tokens, int vocabulary, int hidden, float scale) {
    double[] table = values(vocabulary * hidden, 1);
    double[] dy = values(tokens * hidden, 1);
    double[] before = values(vocabulary * hidden, 1);
    int[] ids = ints(tokens, vocabulary);
    Tensor y = output(tokens, hidden);
    Tensor dtable = f32(before, vocabulary, hidden);

    backend().embedding().gather(y, activation(table, vocabulary, hidden), ints(ids), scale);
    long bytes = backend().embedding().scratchBytes(tokens, hidden, vocabulary);
    try (TensorArena scratch = scratch(bytes)) {
      backend()
          .embedding()
          .scatterAdd(dtable, strided(dy, tokens, hidden), ints(ids), scale, scratch);
    }

    assertClose(
        "y",
        y,
        p -> {
          double[] expected = new double[tokens * hidden];
          for (int i = 0; i < expected.length; i++) {
            expected[i] = p.op(scale * table[ids[i / hidden] * hidden + i % hidden]);
          }
          return expected;
        });
    assertClose(
        "dtable",
        dtable,
        p -> {
          double[] sum = before.clone();
          for (int i = 0; i < dy.length; i++) {
            int at = ids[i / hidden] * hidden + i % hidden;
            sum[at] = p.op(sum[at] + p.op(scale * dy[i]));
          }
          return sum;
        });
  }

  @ParameterizedTest
  @CsvSource({"1, 1, 1, 1", "50, 7, 3, 1.5", "300, 40, 16, 0.5"})
  void gatherAndScatterColumns(int tokens, int vocabulary, int rank, float scale) {
    double[] table = values(rank * vocabulary, 1);
    double[] dy = values(tokens * rank, 1);
    double[] before = values(rank * vocabulary, 1);
    int[] ids = ints(tokens, vocabulary);
    Tensor y = strided(new double[tokens * rank], tokens, rank);
    Tensor dtable = f32(before, rank, vocabulary);

    backend().embedding().gatherColumns(y, activation(table, rank, vocabulary), ints(ids), scale);
    long bytes = backend().embedding().scratchBytes(tokens, rank, vocabulary);
    try (TensorArena scratch = scratch(bytes)) {
      backend()
          .embedding()
          .scatterAddColumns(dtable, strided(dy, tokens, rank), ints(ids), scale, scratch);
    }

    assertClose(
        "y",
        y,
        p -> {
          double[] expected = new double[tokens * rank];
          for (int i = 0; i < expected.length; i++) {
            expected[i] = p.op(scale * table[i % rank * vocabulary + ids[i / rank]]);
          }
          return expected;
        });
    assertClose(
        "dtable",
        dtable,
        p -> {
          double[] sum = before.clone();
          for (int i = 0; i < dy.length; i++) {
            int at = i % rank * vocabulary + ids[i / rank];
            sum[at] = p.op(sum[at] + p.op(scale * dy[i]));
          }
          return sum;
        });
  }
}
