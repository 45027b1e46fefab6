package dev.gatun;

/// The caller's input is wrong: a file, a configuration key, a tensor, an argument. The message is
/// one sentence that says what is wrong, where, and what to do. The command line prints it and
/// exits with 2.
public sealed class InputException extends RuntimeException permits UnsupportedException {
  private static final long serialVersionUID = 1L;

  public InputException(String message) {
    super(message);
  }

  public InputException(String message, Throwable cause) {
    super(message, cause);
  }

  /// Never null: the sentence is what this exception is for.
  @Override
  public String getMessage() {
    return String.valueOf(super.getMessage());
  }
}
