package dev.gatun;

/// The input is well formed but asks for something this engine lacks: a model family, a rope type,
/// an adapter method, a 4-bit format. Conformance reports such a case as not supported; everybody
/// else may treat it as the [InputException] it is.
public final class UnsupportedException extends InputException {
  private static final long serialVersionUID = 1L;

  public UnsupportedException(String message) {
    super(message);
  }
}
