package dev.gatun.text.chat.jinja;

/// Something went wrong while a template was read or rendered. [Template] adds its name and the
/// line, and makes an [dev.gatun.InputException] of it.
final class Fault extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int line;

  /// A fault at the line that is being rendered.
  Fault(String message) {
    this(message, 0);
  }

  /// @param line line of the template, from 1
  Fault(String message, int line) {
    super(message, null, false, false);
    this.line = line;
  }

  /// The line, or 0 for the one that is being rendered.
  int line() {
    return line;
  }
}
