package dev.gatun.data;

/// A cached file is not what was written. Never leaves this package: the file is made again.
final class CacheDamagedException extends Exception {
  private static final long serialVersionUID = 1L;

  CacheDamagedException(String message) {
    super(message);
  }
}
