package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.SequencedSet;

/// The tensors of a checkpoint directory: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists. Every shard is opened and validated at once.
public final class TensorFiles implements StoredTensors {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";

  private final Path directory;
  private final Map<String, SafeTensors> shards = new LinkedHashMap<>();

  /// Which shard holds a tensor.
  private final Map<String, SafeTensors> files = new LinkedHashMap<>();

  private TensorFiles(Path directory) {
    this.directory = directory;
  }

  /// Opens the file or the shards of a directory.
  ///
  /// @throws InputException naming the file or tensor that is missing or wrong
  public static TensorFiles open(Path directory) {
    TensorFiles tensors = new TensorFiles(directory);
    boolean opened = false;
    try {
      if (Files.exists(directory.resolve(SINGLE))) {
        SafeTensors file = tensors.shard(directory.resolve(SINGLE));
        file.names().forEach(name -> tensors.files.put(name, file));
      } else if (Files.exists(directory.resolve(INDEX))) {
        tensors.openIndexed(JsonObject.read(directory.resolve(INDEX)));
      } else {
        throw tensors.nothingToOpen();
      }
      opened = true;
      return tensors;
    } finally {
      if (!opened) {
        tensors.close();
      }
    }
  }

  private void openIndexed(JsonObject index) {
    if (!index.has("weight_map")) {
      throw index.bad("weight_map", "is missing");
    }
    index
        .stringMap("weight_map")
        .forEach((name, fileName) -> {
          SafeTensors shard = shard(shardPath(index, name, fileName));
          if (!shard.contains(name)) {
            throw new InputException(
                "%s places tensor %s in %s, which does not hold it"
                    .formatted(index.file(), Quoted.of(name), shard.path()));
          }
          files.put(name, shard);
        });
  }

  private Path shardPath(JsonObject index, String tensor, String fileName) {
    if (PathText.parse(fileName) == null
        || fileName.isEmpty()
        || fileName.equals("..")
        || fileName.chars().anyMatch(c -> c == '/' || c == '\\' || c == ':' || c == 0)) {
      throw new InputException(
          "%s places tensor %s in %s, which is not the name of a file beside it"
              .formatted(index.file(), Quoted.of(tensor), Quoted.of(fileName)));
    }
    Path path = directory.resolve(fileName);
    if (!Files.isRegularFile(path)) {
      throw new InputException(
          "%s is missing, but %s places tensor %s in it"
              .formatted(path, index.file(), Quoted.of(tensor)));
    }
    return path;
  }

  private SafeTensors shard(Path path) {
    SafeTensors open = shards.get(path.toString());
    if (open == null) {
      open = SafeTensors.open(path);
      shards.put(path.toString(), open);
    }
    return open;
  }

  private InputException nothingToOpen() {
    if (!Files.isDirectory(directory)) {
      return new InputException(
          "%s is not a directory: give the folder of a checkpoint".formatted(directory));
    }
    String found =
        Files.exists(directory.resolve("pytorch_model.bin"))
                || Files.exists(directory.resolve("pytorch_model.bin.index.json"))
            ? "only pytorch_model.bin, a pickle, which is never read: convert it to safetensors"
            : "neither %s nor %s".formatted(SINGLE, INDEX);
    return new InputException("%s holds %s".formatted(directory, found));
  }

  @Override
  public SequencedSet<String> names() {
    return Collections.unmodifiableSequencedSet(new LinkedHashSet<>(files.keySet()));
  }

  @Override
  public boolean contains(String name) {
    return files.containsKey(name);
  }

  @Override
  public Tensor tensor(String name) {
    SafeTensors file = files.get(name);
    if (file == null) {
      throw new InputException("%s holds no tensor %s".formatted(location(), Quoted.of(name)));
    }
    return file.tensor(name);
  }

  @Override
  public Path fileOf(String name) {
    SafeTensors file = files.get(name);
    return file == null ? location() : file.path();
  }

  /// The one file, or the directory of the shards.
  private Path location() {
    return shards.size() == 1 ? shards.values().iterator().next().path() : directory;
  }

  @Override
  public void close() {
    shards.values().forEach(SafeTensors::close);
    shards.clear();
  }
}
