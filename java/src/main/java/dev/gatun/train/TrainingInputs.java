package dev.gatun.train;

import dev.gatun.data.EvaluationRows;
import dev.gatun.data.PreparedDataset;
import dev.gatun.generate.Decoder;
import dev.gatun.generate.HeldOutQuestions;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.Subtracted;
import dev.gatun.io.WeightFormat;
import dev.gatun.nn.Limits;
import dev.gatun.nn.Training;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/// What a [TrainingSession] works on. Owned by the caller, who keeps it open as long as the
/// session.
///
/// @param format what the weights become when they are read
/// @param training what is trained, with its starting values
/// @param evaluation empty for none
/// @param questions what is answered at each evaluation, by the name of the evaluation data; all
///   with the same room
/// @param subtracted what the weights lose when they are read, by module path
/// @param notices what the user should know of the data, beside the reports
public record TrainingInputs(
    Checkpoint checkpoint,
    WeightFormat format,
    Training training,
    PreparedDataset rows,
    List<EvaluationRows> evaluation,
    Map<String, HeldOutQuestions> questions,
    Map<String, Subtracted> subtracted,
    List<String> notices) {
  public TrainingInputs {
    subtracted = Map.copyOf(subtracted);
    evaluation = List.copyOf(evaluation);
    questions = Map.copyOf(questions);
    notices = List.copyOf(notices);
  }

  /// On the weights as they are stored, of which nothing is to be said.
  public TrainingInputs(
      Checkpoint checkpoint,
      WeightFormat format,
      Training training,
      PreparedDataset rows,
      List<EvaluationRows> evaluation) {
    this(checkpoint, format, training, rows, evaluation, Map.of(), Map.of(), List.of());
  }

  /// Limits that every batch of a run keeps, in whatever order the rows come.
  Limits limits(SftConfig config) {
    Limits limits = limits(rows, config.loop().perDeviceTrainBatchSize());
    for (EvaluationRows each : evaluation) {
      limits = limits.or(limits(each.rows(), config.evaluation().perDeviceEvalBatchSize()));
    }
    return withAnswers(limits);
  }

  /// The same limits with room for the answers to held-out questions.
  Limits withAnswers(Limits limits) {
    return room().map(room -> limits.or(room.limits())).orElse(limits);
  }

  /// What the answers need; empty if there are no questions.
  Optional<Decoder.Room> room() {
    return questions.values().stream().map(HeldOutQuestions::room).findFirst();
  }

  /// Limits that every batch of `batch` rows keeps.
  static Limits limits(PreparedDataset dataset, int batch) {
    return new Limits(
        sumOfLargest(dataset.size(), batch, dataset::length),
        sumOfLargest(dataset.size(), batch, row -> dataset.sequenceLengths(row).length),
        sumOfLargest(dataset.size(), batch, dataset::targetCount),
        longest(dataset),
        0,
        0);
  }

  /// Tokens of every sequence of the training data.
  int[] sequenceLengths() {
    return IntStream.range(0, rows.size())
        .flatMap(row -> Arrays.stream(rows.sequenceLengths(row)))
        .toArray();
  }

  /// Tokens of the longest sequence.
  static int longest(PreparedDataset dataset) {
    int longest = 1;
    for (int row = 0; row < dataset.size(); row++) {
      longest = Math.max(longest, Arrays.stream(dataset.sequenceLengths(row)).max().orElse(1));
    }
    return longest;
  }

  /// The sum of the `count` largest values of rows `0 … size-1`.
  private static int sumOfLargest(int size, int count, IntUnaryOperator value) {
    int[] values = new int[size];
    Arrays.setAll(values, value);
    Arrays.sort(values);
    int sum = 0;
    for (int i = Math.max(0, size - count); i < size; i++) {
      sum = Math.addExact(sum, values[i]);
    }
    return sum;
  }
}
