package dev.gatun.data;

/// Evaluation data, prepared. They stay the property of whoever prepared them.
///
/// @param name what their figures are called by; empty for the only evaluation data of a run
/// @param rows at least one
/// @param bySource whether the loss of every file is of interest, beside that of all
public record EvaluationRows(String name, PreparedDataset rows, boolean bySource) {
  /// For people: `evaluation data`, or with a name `evaluation data math`.
  public String description() {
    return name.isEmpty() ? "evaluation data" : "evaluation data " + name;
  }
}
