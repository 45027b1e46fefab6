package dev.gatun.train;

/// An update whose loss or gradients are not finite. The parameters still are those of the update
/// before.
final class NonFiniteException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  NonFiniteException(String message) {
    super(message);
  }
}
