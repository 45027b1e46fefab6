package dev.gatun.data;

import java.util.List;

/// What preparation did to a dataset. Counts of rows are counts of source rows.
///
/// @param sourceRows rows read
/// @param preparedRows rows that training sees: after dropping, and after packing if any
/// @param sequences samples in them (documents of packed rows)
/// @param tokens tokens in them
/// @param trainedTokens targets of the loss: labels other than -100, the first of a sequence not
///   counted since nothing predicts it
/// @param longest length in tokens of the longest source row, before any cutting
/// @param overlongRows source rows longer than `max_length`
/// @param truncatedRows source rows that lost tokens
/// @param cutTokens tokens they lost
/// @param droppedOverlong source rows left out for their length
/// @param droppedUntrained source rows left out since no label was left
/// @param eosTrainedRows kept source rows in which the end-of-sequence token is trained; if it is 0
///   the model does not learn to stop
/// @param doubleBosRows source rows that begin with two beginning-of-sequence tokens
/// @param unstablePromptRows rows whose prompt alone is tokenised differently from the beginning of
///   prompt and completion together; the mask is then one of token counts, as in TRL
/// @param figures what the data are like
/// @param notices sentences for the user
public record PreparationReport(
    long sourceRows,
    long preparedRows,
    long sequences,
    long tokens,
    long trainedTokens,
    int longest,
    long overlongRows,
    long truncatedRows,
    long cutTokens,
    long droppedOverlong,
    long droppedUntrained,
    long eosTrainedRows,
    long doubleBosRows,
    long unstablePromptRows,
    DataFigures figures,
    List<String> notices) {

  public PreparationReport {
    notices = List.copyOf(notices);
  }

  /// Source rows that are trained on.
  public long keptRows() {
    return sourceRows - droppedOverlong - droppedUntrained;
  }

  PreparationReport withNotices(List<String> other) {
    return new PreparationReport(
        sourceRows,
        preparedRows,
        sequences,
        tokens,
        trainedTokens,
        longest,
        overlongRows,
        truncatedRows,
        cutTokens,
        droppedOverlong,
        droppedUntrained,
        eosTrainedRows,
        doubleBosRows,
        unstablePromptRows,
        figures,
        other);
  }
}
