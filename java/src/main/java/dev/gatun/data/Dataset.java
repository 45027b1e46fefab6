package dev.gatun.data;

import dev.gatun.InputException;
import dev.gatun.io.PathText;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The rows of one or several data files: JSON Lines, a JSON array, CSV, TSV (each also gzipped),
/// Parquet, Arrow IPC file or stream. The format is found by content and name. Nothing is read
/// before it is asked for.
public final class Dataset {
  private static final List<String> SUFFIXES =
      List.of(
          ".jsonl",
          ".ndjson",
          ".json",
          ".csv",
          ".tsv",
          ".jsonl.gz",
          ".json.gz",
          ".csv.gz",
          ".parquet",
          ".arrow",
          ".arrows");

  private final List<DataFile> files;

  private Dataset(List<DataFile> files) {
    this.files = files;
  }

  /// Opens a file, the directory of a Hugging Face `save_to_disk`, or a directory of data files,
  /// which are read in the order of their names.
  ///
  /// @throws InputException if there is no such data
  public static Dataset open(Path path) {
    return of(List.of(path));
  }

  /// Opens several of them as one dataset, in this order.
  ///
  /// @throws InputException if one is not there, or holds no data
  public static Dataset of(List<Path> paths) {
    return new Dataset(
        paths.stream()
            .flatMap(path -> Files.isDirectory(path) ? shards(path).stream() : Stream.of(path))
            .map(DataFile::detect)
            .toList());
  }

  private static List<Path> shards(Path directory) {
    Path state = directory.resolve("state.json");
    if (Files.isRegularFile(state)) {
      return savedToDisk(directory, state);
    }
    if (Files.isRegularFile(directory.resolve("dataset_dict.json"))) {
      throw new InputException(
          directory + " holds several splits; name one of its folders, such as train.");
    }
    try (Stream<Path> entries = Files.list(directory)) {
      List<Path> files = entries.filter(Dataset::isDataFile).sorted().toList();
      if (files.isEmpty()) {
        throw new InputException(directory + " holds no data files" + foldersOf(directory) + ".");
      }
      return files;
    } catch (IOException e) {
      throw new InputException(directory + " cannot be read: " + e.getMessage(), e);
    }
  }

  /// A dataset's folder as a hub has it keeps its files below, as in `data`.
  private static String foldersOf(Path directory) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      List<String> names =
          entries
              .filter(Files::isDirectory)
              .map(folder -> folder.getFileName().toString())
              .filter(name -> !name.startsWith("."))
              .sorted()
              .limit(10)
              .toList();
      return names.isEmpty() ? "" : "; name one of its folders: " + String.join(", ", names);
    }
  }

  private static boolean isDataFile(Path path) {
    String name = path.getFileName().toString().toLowerCase(Locale.ROOT);
    return Files.isRegularFile(path) && SUFFIXES.stream().anyMatch(name::endsWith);
  }

  private static List<Path> savedToDisk(Path directory, Path state) {
    try {
      JsonNode root = JsonMapper.shared().readTree(Files.readAllBytes(state));
      List<Path> files = new ArrayList<>();
      for (JsonNode entry : root.path("_data_files")) {
        String name = entry.path("filename").asString("");
        Path relative = PathText.parse(name);
        Path file = relative == null ? null : directory.resolve(relative).normalize();
        if (file == null || name.isEmpty() || !file.startsWith(directory.normalize())) {
          throw new InputException(state + ": `_data_files` names `" + name + "`, no file here.");
        }
        files.add(file);
      }
      if (files.isEmpty()) {
        throw new InputException(state + " names no data files.");
      }
      return files;
    } catch (JacksonException | IOException e) {
      throw new InputException(state + " cannot be read: " + e.getMessage(), e);
    }
  }

  /// The files, in the order in which they are read.
  public List<Path> files() {
    return files.stream().map(DataFile::path).toList();
  }

  /// Reads all rows in order. The caller closes the reader.
  public RowReader reader() {
    return new ChainedReader(files);
  }

  /// Hands every row to an action, in order.
  public void forEach(Consumer<Row> action) {
    try (RowReader reader = reader()) {
      for (Row row = reader.next(); row != null; row = reader.next()) {
        action.accept(row);
      }
    }
  }

  /// The first rows.
  public List<Row> head(int most) {
    List<Row> rows = new ArrayList<>();
    try (RowReader reader = reader()) {
      while (rows.size() < most) {
        Row row = reader.next();
        if (row == null) {
          break;
        }
        rows.add(row);
      }
    }
    return rows;
  }

  private static final class ChainedReader implements RowReader {
    private final List<DataFile> files;
    private int opened;
    private @Nullable RowReader current;

    ChainedReader(List<DataFile> files) {
      this.files = files;
    }

    @Override
    public @Nullable Row next() {
      while (true) {
        if (current != null) {
          Row row = current.next();
          if (row != null) {
            return row;
          }
          close();
        }
        if (opened == files.size()) {
          return null;
        }
        current = files.get(opened++).open();
      }
    }

    @Override
    public void close() {
      if (current != null) {
        current.close();
        current = null;
      }
    }
  }
}
