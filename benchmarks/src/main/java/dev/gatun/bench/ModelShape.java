package dev.gatun.bench;

import java.util.List;

/// The sizes of a model and of the batches it is measured with.
///
/// @param rows numbers of rows that linear layers are measured with
/// @param tokens packed tokens of a training batch
/// @param parameters trained elements of a LoRA run
record ModelShape(
    int hidden,
    int intermediate,
    int heads,
    int keyValueHeads,
    int headSize,
    int vocabulary,
    int rank,
    List<Integer> rows,
    int tokens,
    int parameters) {

  /// Llama 3.1 8B, LoRA r=16 on all linear layers, 8192 tokens.
  static ModelShape llama8b() {
    return new ModelShape(
        4096,
        14336,
        32,
        8,
        128,
        128256,
        16,
        List.of(1, 4, 16, 64, 256, 1024, 4096, 16384),
        8192,
        41_943_040);
  }

  /// Llama 3.2 1B, the same otherwise.
  static ModelShape llama1b() {
    return new ModelShape(
        2048, 8192, 32, 8, 64, 128256, 16, llama8b().rows(), llama8b().tokens(), 11_272_192);
  }

  /// The same with batches of another size.
  ModelShape withTokens(int count) {
    return new ModelShape(
        hidden,
        intermediate,
        heads,
        keyValueHeads,
        headSize,
        vocabulary,
        rank,
        rows,
        count,
        parameters);
  }

  /// A model that a unit test or a look at the CPU backend has time for.
  static ModelShape tiny() {
    return new ModelShape(64, 160, 4, 2, 16, 512, 4, List.of(1, 8), 32, 4096);
  }

  /// Numbers of rows that an adapted linear layer is held against its bare product with.
  List<Integer> ratioRows() {
    return rows.size() > 2 ? List.of(1, 4, 16, 64, 128, 512, 1024, 2048, 4096, 8192, 16384) : rows;
  }

  /// One linear layer.
  record Matrix(String name, int out, int in) {}

  /// The four different ones of a decoder layer.
  List<Matrix> matrices() {
    return List.of(
        new Matrix("q/o", heads * headSize, hidden),
        new Matrix("k/v", keyValueHeads * headSize, hidden),
        new Matrix("gate/up", intermediate, hidden),
        new Matrix("down", hidden, intermediate));
  }

  /// Mixes of sequence lengths that fill a batch.
  List<List<Integer>> packings() {
    int half = tokens / 2;
    return List.of(
        List.of(tokens),
        repeated(4),
        repeated(16),
        List.of(half, tokens / 4, tokens / 8, tokens / 16, tokens / 16));
  }

  private List<Integer> repeated(int count) {
    return java.util.Collections.nCopies(count, tokens / count);
  }
}
