package dev.gatun.data;

/// Which tokens of a row are trained.
public enum TrainOn {
  /// All of them.
  ALL,
  /// The completion of a prompt.
  COMPLETION,
  /// Every turn of the assistant.
  ASSISTANT,
  /// The assistant's last turn.
  LAST_ASSISTANT
}
