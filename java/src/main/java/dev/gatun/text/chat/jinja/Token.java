package dev.gatun.text.chat.jinja;

/// A piece of a template.
///
/// @param text what was written; of a string its value, of data the text to print
/// @param line where it begins, from 1
record Token(Kind kind, String text, int line) {
  /// What a piece is.
  enum Kind {
    DATA,
    BLOCK_BEGIN,
    BLOCK_END,
    VARIABLE_BEGIN,
    VARIABLE_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean is(Kind wanted, String wantedText) {
    return kind == wanted && text.equals(wantedText);
  }

  /// For messages.
  String shown() {
    return switch (kind) {
      case DATA -> "text";
      case BLOCK_BEGIN -> "{%";
      case BLOCK_END -> "the end of the block";
      case VARIABLE_BEGIN -> "{{";
      case VARIABLE_END -> "the end of the expression";
      case STRING -> "a string";
      case NAME, INTEGER, FLOAT, OPERATOR -> "`" + text + "`";
      case END -> "the end of the template";
    };
  }
}
