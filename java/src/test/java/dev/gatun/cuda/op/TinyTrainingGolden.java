package dev.gatun.cuda.op;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import tools.jackson.databind.json.JsonMapper;

/// The losses of [TinyTraining]'s updates as PyTorch computes them; `tiny-training/generate.py`
/// made them.
record TinyTrainingGolden(List<Double> float32, List<Double> bfloat16) {
  static TinyTrainingGolden read() {
    try (InputStream in =
        TinyTrainingGolden.class.getResourceAsStream("tiny-training/losses.json")) {
      return JsonMapper.shared()
          .readValue(Objects.requireNonNull(in).readAllBytes(), TinyTrainingGolden.class);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /// What bfloat16 costs PyTorch: the largest difference between its two runs.
  double worstOfBfloat16() {
    return IntStream.range(0, float32.size())
        .mapToDouble(i -> Math.abs(float32.get(i) - bfloat16.get(i)))
        .max()
        .orElseThrow();
  }
}
