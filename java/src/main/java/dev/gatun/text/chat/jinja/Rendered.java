package dev.gatun.text.chat.jinja;

import java.util.List;

/// What a template made of its variables.
///
/// @param text the text
/// @param spans the parts inside `{% generation %}`, in the order in which they were written
public record Rendered(String text, List<Span> spans) {
  public Rendered {
    spans = List.copyOf(spans);
  }

  /// A part of a text, in Unicode code points.
  ///
  /// @param start first code point
  /// @param end the one after the last
  public record Span(int start, int end) {}
}
