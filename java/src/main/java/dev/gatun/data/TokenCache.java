package dev.gatun.data;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplateFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/// Prepared datasets as Arrow IPC files, memory-mapped when used again. A file is named by the
/// SHA-256 of everything that determines its content: the data files, the tokenizer's files, the
/// options, and [#VERSION]. A file that is damaged is made again.
public final class TokenCache {
  /// Changes whenever preparation or the file's layout does.
  static final String VERSION = "gatun-tokens-3";

  private static final int BLOCK_BYTES = 1 << 20;

  private TokenCache() {}

  /// Prepares a dataset, or maps what was prepared before. If the folder cannot be written, the
  /// dataset is prepared on the heap and the report says so.
  ///
  /// @param directory where cached files are kept; made if missing
  /// @throws InputException if the data is malformed, empty, or leaves nothing to train
  public static PreparedDataset prepare(
      Dataset dataset, Tokenizer tokenizer, SftDataOptions options, Path directory) {
    Path file = directory.resolve(key(dataset, tokenizer, options) + ".arrow");
    List<String> notices = new ArrayList<>();
    if (Files.exists(file)) {
      try {
        return MappedRows.open(file);
      } catch (CacheDamagedException e) {
        notices.add(
            "The cache %s is damaged and was made again: %s".formatted(file, e.getMessage()));
      }
    }
    HeapRows rows = SftPreparation.prepareOnHeap(dataset, tokenizer, options);
    try {
      TokenCacheWriter.write(file, rows);
      return withNotices(MappedRows.open(file), notices);
    } catch (FailureException | CacheDamagedException e) {
      notices.add("Tokenised data is not cached: " + e.getMessage());
      return withNotices(rows, notices);
    }
  }

  private static PreparedDataset withNotices(PreparedDataset rows, List<String> notices) {
    List<String> all = Stream.concat(notices.stream(), rows.report().notices().stream()).toList();
    PreparationReport report = rows.report().withNotices(all);
    return switch (rows) {
      case HeapRows heap -> heap.withReport(report);
      case MappedRows mapped -> mapped.withReport(report);
      default -> rows;
    };
  }

  /// The name of the cached file, without its ending.
  static String key(Dataset dataset, Tokenizer tokenizer, SftDataOptions options) {
    MessageDigest digest = sha256();
    add(digest, VERSION);
    add(digest, options.toString());
    add(digest, tokenizer.changes().tokens().toString());
    List<Path> templates = ChatTemplateFiles.files(tokenizer, options.chat().templatePath());
    Stream.of(dataset.files(), tokenizer.files(), templates)
        .flatMap(List::stream)
        .forEach(file -> addFile(digest, file));
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new FailureException("This Java runtime lacks SHA-256; use a complete one.", e);
    }
  }

  private static void add(MessageDigest digest, String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    digest.update((bytes.length + ":").getBytes(StandardCharsets.UTF_8));
    digest.update(bytes);
  }

  /// The name counts too: messages about the prepared rows show it.
  private static void addFile(MessageDigest digest, Path file) {
    add(digest, file.toString());
    try (InputStream in = Files.newInputStream(file)) {
      add(digest, Long.toString(Files.size(file)));
      byte[] block = new byte[BLOCK_BYTES];
      for (int read = in.read(block); read >= 0; read = in.read(block)) {
        digest.update(block, 0, read);
      }
    } catch (IOException e) {
      throw new InputException(file + " cannot be read: " + e.getMessage(), e);
    }
  }
}
