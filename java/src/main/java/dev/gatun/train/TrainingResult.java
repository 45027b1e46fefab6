package dev.gatun.train;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// How a run ended.
///
/// @param steps updates done
/// @param stopped whether it was stopped before its last update
/// @param trainLoss mean of the losses of all updates
/// @param evaluation figures after the last update, or null without evaluation data or when stopped
/// @param directory where adapter or weights are
public record TrainingResult(
    int steps,
    boolean stopped,
    double trainLoss,
    @Nullable EvaluationResult evaluation,
    Path directory) {}
