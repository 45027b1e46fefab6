package dev.gatun.text.chat.jinja;

/// How far a rendering may go. A template is data that somebody else wrote; these bounds hold its
/// time and its memory.
///
/// @param outputCharacters longest output, in UTF-16 units
/// @param steps expressions and statements that may be evaluated
/// @param characters text and list entries that may be made and read, in UTF-16 units; the input's
///   size is added [#INPUT_FACTOR] times
/// @param depth how deep macros and expressions may be inside each other
public record Limits(long outputCharacters, long steps, long characters, int depth) {
  /// How often the input may be copied on top of what a small input may.
  public static final int INPUT_FACTOR = 32;

  /// Far above what templates need.
  public static Limits defaults() {
    return new Limits(16L << 20, 20_000_000, 96L << 20, 600);
  }
}
