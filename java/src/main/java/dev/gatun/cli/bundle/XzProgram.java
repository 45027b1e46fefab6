package dev.gatun.cli.bundle;

import dev.gatun.FailureException;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Path;

/// The `xz` program of this machine, compressing what is written to it into a file.
final class XzProgram extends FilterOutputStream {
  private final Process process;
  private boolean closed;

  private XzProgram(Process process, OutputStream input) {
    super(input);
    this.process = process;
  }

  /// @throws FailureException if there is no such program
  static XzProgram start(Path file) {
    try {
      // Blocks of a fixed size: the bytes do not depend on the number of threads.
      Process process =
          new ProcessBuilder("xz", "-6", "--threads=0", "--block-size=48MiB", "--stdout")
              .redirectOutput(file.toFile())
              .redirectError(Redirect.INHERIT)
              .start();
      return new XzProgram(process, process.getOutputStream());
    } catch (IOException e) {
      throw new FailureException(
          "xz cannot be started (%s); install xz-utils, or name a .tar.gz with --output."
              .formatted(e.getMessage()),
          e);
    }
  }

  @Override
  public void write(byte[] bytes, int from, int count) throws IOException {
    out.write(bytes, from, count);
  }

  @Override
  public void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    super.close();
    try {
      int status = process.waitFor();
      if (status != 0) {
        throw new IOException("xz ended with status " + status);
      }
    } catch (InterruptedException e) {
      process.destroy();
      Thread.currentThread().interrupt();
      throw new IOException("waiting for xz was interrupted", e);
    }
  }
}
