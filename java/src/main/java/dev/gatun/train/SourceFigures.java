package dev.gatun.train;

import dev.gatun.data.EvaluationRows;
import dev.gatun.data.PreparedDataset;
import dev.gatun.train.EvaluationResult.SourceLoss;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;

/// Adds up what an evaluation finds for each source file. Packed rows hold samples of several.
///
/// @param rows every sample of which is of one file
/// @param names of the files, empty if nothing is to be added up
/// @param sums by file
record SourceFigures(PreparedDataset rows, List<String> names, BatchFigures[] sums)
    implements EvaluationPass.RowListener {
  static SourceFigures of(EvaluationRows data) {
    List<String> names = data.bySource() ? names(data.rows().files()) : List.of();
    BatchFigures[] sums = new BatchFigures[names.size()];
    Arrays.fill(sums, BatchFigures.NONE);
    return new SourceFigures(data.rows(), names, sums);
  }

  /// The name of a file alone where no other has it.
  private static List<String> names(List<String> files) {
    List<String> names =
        files.stream().map(file -> String.valueOf(Path.of(file).getFileName())).toList();
    return IntStream.range(0, files.size())
        .mapToObj(file ->
            Collections.frequency(names, names.get(file)) == 1 ? names.get(file) : files.get(file))
        .toList();
  }

  @Override
  public void row(int row, TargetFigures figures) {
    if (names.isEmpty()) {
      return;
    }
    int[] counts = rows.targetCounts(row);
    int[] files = rows.sourceFiles(row);
    int from = 0;
    for (int sample = 0; sample < counts.length; sample++) {
      int to = from + counts[sample];
      sums[files[sample]] = sums[files[sample]].plus(figures.part(from, to).sum());
      from = to;
    }
  }

  List<SourceLoss> losses() {
    return IntStream.range(0, names.size())
        .mapToObj(
            file -> new SourceLoss(names.get(file), sums[file].meanLoss(), sums[file].targets()))
        .toList();
  }
}
