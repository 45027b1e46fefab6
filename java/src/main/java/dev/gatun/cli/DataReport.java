package dev.gatun.cli;

import dev.gatun.data.DataFigures;
import dev.gatun.data.LengthFigures;
import dev.gatun.data.PreparationReport;
import java.io.PrintWriter;
import java.util.Locale;

/// What preparation found out about a dataset, for people.
final class DataReport {
  private static final int BAR_WIDTH = 40;

  private final PrintWriter out;

  DataReport(PrintWriter out) {
    this.out = out;
  }

  /// @param strict whether rows over `max_length` stop training
  void print(PreparationReport report, boolean strict) {
    DataFigures figures = report.figures();
    out.printf(
        "trained: %s of %s tokens; the end of text is trained in %s of the rows%n",
        Sizes.share(report.trainedTokens(), report.tokens()),
        Sizes.count(report.tokens()),
        Sizes.share(report.eosTrainedRows(), report.keptRows()));
    DataFigures.Ending ending = figures.ending();
    if (ending != null) {
      out.printf(
          "rows end with: %s (id %d) in %s of the rows%n",
          visible(ending.token()), ending.id(), Sizes.share(ending.rows(), report.keptRows()));
    }
    if (report.overlongRows() > 0) {
      out.printf(
          "longer than max_length: %d rows (%s), the longest has %d tokens; %s%n",
          report.overlongRows(),
          Sizes.share(report.overlongRows(), report.sourceRows()),
          report.longest(),
          strict
              ? "with overlong_policy: error training would refuse them"
              : report.cutTokens()
                  + " tokens are cut, "
                  + report.droppedOverlong()
                  + " rows left out");
    }
    if (report.droppedUntrained() > 0) {
      out.printf("left out: %d rows without a trained token%n", report.droppedUntrained());
    }
    out.printf(
        "exact repeats: %d rows (%s)%n",
        figures.repeatedRows(), Sizes.share(figures.repeatedRows(), report.keptRows()));
    DataFigures.Packing packing = figures.packing();
    if (packing != null) {
      out.printf(
          Locale.ROOT,
          "packing: %d rows become %d of %d tokens, %.1f %% filled%n",
          packing.rows(),
          packing.packedRows(),
          packing.capacity(),
          100 * packing.filled());
    }
    histogram(figures.lengths());
  }

  private void histogram(LengthFigures lengths) {
    out.printf(
        "lengths before any cut: %d to %d tokens, half at most %d, 90 %% at most %d, 99 %% at most %d%n",
        lengths.shortest(), lengths.longest(), lengths.median(), lengths.p90(), lengths.p99());
    long most = lengths.bins().stream().mapToLong(LengthFigures.Bin::samples).max().orElse(1);
    for (LengthFigures.Bin bin : lengths.bins()) {
      String bar = "#".repeat((int) Math.ceilDiv(bin.samples() * BAR_WIDTH, most));
      out.printf("%7d - %-7d %-40s %d%n", bin.from(), bin.to(), bar, bin.samples());
    }
  }

  /// A token from a file must not move the cursor.
  private static String visible(String token) {
    return "'" + token.replace("\n", "\\n").replaceAll("\\p{Cntrl}", "?") + "'";
  }
}
