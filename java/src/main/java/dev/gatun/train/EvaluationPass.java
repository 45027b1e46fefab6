package dev.gatun.train;

import dev.gatun.data.DataCollator;
import dev.gatun.data.PackedBatch;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SampleOrder;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.DeviceBatch;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/// Runs rows through a model, in order and without dropout, each batch uploaded while the one
/// before is at work.
///
/// @param feed of the model
/// @param outputs with room for the outputs of one batch
record EvaluationPass(Backend backend, CausalLm model, BatchFeed feed, TensorArena outputs) {

  /// Is told every row.
  interface RowListener {
    /// @param row number in the dataset
    /// @param figures of its targets
    void row(int row, TargetFigures figures);
  }

  /// @param rows at least one
  EvaluationResult run(PreparedDataset rows, int batchSize, RowListener listener) {
    long start = System.nanoTime();
    List<BatchFigures> figures = new ArrayList<>();
    double weighted = 0;
    List<int[]> order =
        SampleOrder.microBatches(SampleOrder.sequential(rows.size()), batchSize, false);
    PackedBatch batch = DataCollator.collate(rows, order.getFirst());
    for (int i = 0; i < order.size(); i++) {
      long mark = outputs.mark();
      DeviceBatch device = feed.take(batch).withOutputs(outputs);
      model.evaluate(device);
      feed.launched();
      if (i + 1 < order.size()) {
        batch = DataCollator.collate(rows, order.get(i + 1));
        feed.uploadAhead(batch);
      }
      TargetFigures read = TargetFigures.read(backend, device);
      outputs.release(mark);
      tell(rows, order.get(i), read, listener);
      BatchFigures sum = read.sum();
      figures.add(sum);
      weighted += sum.meanLoss() * order.get(i).length;
    }
    long targets = figures.stream().mapToLong(BatchFigures::targets).sum();
    return new EvaluationResult(
        figures.stream().mapToDouble(BatchFigures::lossSum).sum() / Math.max(1, targets),
        weighted / rows.size(),
        BatchFigures.mean(figures, BatchFigures::accuracy),
        BatchFigures.mean(figures, BatchFigures::meanEntropy),
        targets,
        rows.size(),
        Duration.ofNanos(System.nanoTime() - start),
        List.of(),
        List.of());
  }

  private static void tell(
      PreparedDataset rows, int[] numbers, TargetFigures figures, RowListener listener) {
    int from = 0;
    for (int row : numbers) {
      int to = from + rows.targetCount(row);
      listener.row(row, figures.part(from, to));
      from = to;
    }
  }
}
