package dev.gatun.text.chat.jinja;

/// Counts down what a rendering may still use.
final class Budget {
  private final Limits limits;
  private long steps;
  private long characters;
  private int depth;

  /// @param inputCharacters size of what the template is given
  Budget(Limits limits, long inputCharacters) {
    this.limits = limits;
    this.steps = limits.steps();
    this.characters = limits.characters() + Limits.INPUT_FACTOR * inputCharacters;
  }

  /// One expression or statement.
  void step() {
    if (--steps < 0) {
      throw new Fault(
          "the template does not come to an end within %d steps".formatted(limits.steps()));
    }
  }

  /// Text or list entries that are about to be made or read.
  void characters(long count) {
    characters -= count;
    if (characters < 0) {
      throw new Fault(
          "the template handles more text than its input explains (over %d characters)"
              .formatted(limits.characters()));
    }
  }

  /// The amount of text so far and `more` is written.
  void output(long total, long more) {
    if (total + more > limits.outputCharacters()) {
      throw new Fault(
          "the template writes more than %d characters".formatted(limits.outputCharacters()));
    }
  }

  void enter() {
    if (++depth > limits.depth()) {
      throw new Fault("the template is nested more than %d deep".formatted(limits.depth()));
    }
  }

  void leave() {
    depth--;
  }
}
