package dev.gatun;

/// The input is fine but the work cannot go on: no space on the disk, no driver, a non-finite loss.
/// The message is one sentence with a remedy. The command line prints it and exits with 1.
public class FailureException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public FailureException(String message) {
    super(message);
  }

  public FailureException(String message, Throwable cause) {
    super(message, cause);
  }

  /// Never null: the sentence is what this exception is for.
  @Override
  public String getMessage() {
    return String.valueOf(super.getMessage());
  }
}
