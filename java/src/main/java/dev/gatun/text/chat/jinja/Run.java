package dev.gatun.text.chat.jinja;

import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;

/// One rendering: what it may still use, where it stands, and what it has written.
final class Run {
  private final Budget budget;
  private final LocalDateTime now;
  private final List<Rendered.Span> spans = new ArrayList<>();
  private final List<String> generated = new ArrayList<>();
  private final Output output;
  private int line;

  Run(Budget budget, LocalDateTime now) {
    this.budget = budget;
    this.now = now;
    this.output = new Output(budget);
  }

  Budget budget() {
    return budget;
  }

  /// What `strftime_now` sees.
  LocalDateTime now() {
    return now;
  }

  /// The template's own output; macros and blocks that are values have others.
  Output output() {
    return output;
  }

  /// Notes what a `{% generation %}` block wrote.
  void generated(Rendered.Span span, String text) {
    spans.add(span);
    generated.add(text);
  }

  /// What was rendered.
  Rendered result() {
    String text = output.toString();
    boolean inPlace = true;
    int last = 0;
    for (int i = 0; i < spans.size() && inPlace; i++) {
      Rendered.Span span = spans.get(i);
      inPlace = span.start() >= last && span.end() <= output.codePoints();
      if (inPlace) {
        int start = text.offsetByCodePoints(0, span.start());
        inPlace = text.startsWith(generated.get(i), start);
        last = span.end();
      }
    }
    return new Rendered(text, spans, inPlace);
  }

  /// The line that is being rendered.
  int line() {
    return line;
  }

  void at(int newLine) {
    line = newLine;
  }

  /// Counts text that a function reads or makes.
  String counted(String text) {
    budget.characters(text.length());
    return text;
  }

  /// A text of the budget.
  Value.Str text(String text) {
    return new Value.Str(counted(text));
  }

  /// A list of the budget.
  Value.Items list(List<Value> items) {
    budget.characters(4L * items.size());
    return Value.Items.list(items);
  }
}
