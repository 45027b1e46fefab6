package dev.gatun.text.chat.jinja;

import java.util.List;

/// What a template made of its variables.
///
/// @param text the text
/// @param spans the parts inside `{% generation %}`, in the order in which they were written
/// @param inPlace whether the text has at every span what was written there; a block inside a macro
///   is counted from where the macro was called, as in transformers, and may be elsewhere
public record Rendered(String text, List<Span> spans, boolean inPlace) {
  public Rendered {
    spans = List.copyOf(spans);
  }

  /// Spans that are in their places.
  public Rendered(String text, List<Span> spans) {
    this(text, spans, true);
  }

  /// A part of a text, in Unicode code points.
  ///
  /// @param start first code point
  /// @param end the one after the last
  public record Span(int start, int end) {}
}
