package dev.gatun.text.chat.jinja;

/// Text that grows within a budget.
final class Output {
  private final Budget budget;
  private final StringBuilder text = new StringBuilder();
  private int supplementary;

  Output(Budget budget) {
    this.budget = budget;
  }

  Output append(String more) {
    budget.output(text.length(), more.length());
    budget.characters(more.length());
    text.append(more);
    for (int i = 0; i < more.length(); i++) {
      if (Character.isHighSurrogate(more.charAt(i))) {
        supplementary++;
      }
    }
    return this;
  }

  /// How many code points were written; pairs are never split.
  int codePoints() {
    return text.length() - supplementary;
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
