package dev.gatun.io;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// Paths that stand in files. A text may hold what no path can: a NUL, half a character, or one
/// that the locale of this system does not have.
public final class PathText {
  private PathText() {}

  /// The path that a text names, or null if it can name none on this system.
  public static @Nullable Path parse(String text) {
    try {
      return Path.of(text);
    } catch (InvalidPathException _) {
      return null;
    }
  }
}
