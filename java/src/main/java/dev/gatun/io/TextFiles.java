package dev.gatun.io;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/// Reading of text that must be UTF-8.
public final class TextFiles {
  private TextFiles() {}

  /// The content of a small text file.
  ///
  /// @throws InputException if the file is missing, unreadable, longer than `limitBytes` or not
  ///   UTF-8
  public static String read(Path file, long limitBytes) {
    try {
      long size = Files.size(file);
      if (!Files.isRegularFile(file)) {
        throw new InputException("%s is not a file".formatted(file));
      }
      if (size > limitBytes) {
        throw new InputException(
            "%s is %d bytes long, more than the %d this kind of file may have"
                .formatted(file, size, limitBytes));
      }
      return decode(file, "", ByteBuffer.wrap(Files.readAllBytes(file)));
    } catch (NoSuchFileException e) {
      throw new InputException("%s does not exist".formatted(file), e);
    } catch (IOException e) {
      throw new InputException("%s cannot be read: %s".formatted(file, Quoted.reason(e)), e);
    }
  }

  /// Strict UTF-8.
  ///
  /// @param part what of the file is decoded, for the message, with a leading space
  static String decode(Path file, String part, ByteBuffer bytes) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException e) {
      throw new InputException(
          "%s:%s byte %d is not valid UTF-8".formatted(file, part, bytes.position()), e);
    }
  }
}
