package dev.gatun.rules;

import java.nio.file.Files;
import java.nio.file.Path;

/// The checkout that the tests run in.
public final class Repository {
  private Repository() {}

  /// The folder that holds the launcher: the working directory or one above it.
  public static Path root() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve("mvnw"))) {
      folder = folder.getParent();
      if (folder == null) {
        throw new IllegalStateException("the tests run outside of a checkout");
      }
    }
    return folder;
  }
}
