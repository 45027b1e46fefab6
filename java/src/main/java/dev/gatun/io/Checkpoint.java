package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.model.ModelConfig;
import dev.gatun.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SequencedSet;

/// A Hugging Face checkpoint directory: `config.json`, `generation_config.json` if there is one,
/// and the tensors. Nothing is copied: tensors are views of mapped files and end with [#close].
public final class Checkpoint implements StoredTensors {
  private final Path directory;
  private final Path configFile;
  private final ModelConfig config;
  private final GenerationConfig generationConfig;
  private final StoredTensors tensors;
  private final boolean rowsChange;

  private Checkpoint(
      Path directory,
      Path configFile,
      ModelConfig config,
      GenerationConfig generationConfig,
      StoredTensors tensors,
      boolean rowsChange) {
    this.directory = directory;
    this.configFile = configFile;
    this.config = config;
    this.generationConfig = generationConfig;
    this.tensors = tensors;
    this.rowsChange = rowsChange;
  }

  /// Opens and validates a checkpoint; whether the tensors fit the configuration is checked when a
  /// [ModelLoader] loads them.
  ///
  /// @throws InputException naming the file, and the key or tensor where there is one
  public static Checkpoint open(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw new InputException(
          "%s is not a directory: give the folder of a checkpoint".formatted(directory));
    }
    return open(directory, directory.resolve("config.json"));
  }

  /// Opens the tensors of a directory under a configuration that lies elsewhere.
  public static Checkpoint open(Path directory, Path configFile) {
    ModelConfig config = ModelConfigReader.read(configFile);
    Path generation = directory.resolve("generation_config.json");
    GenerationConfig generationConfig =
        Files.exists(generation) ? GenerationConfig.read(generation) : GenerationConfig.EMPTY;
    return new Checkpoint(
        directory, configFile, config, generationConfig, TensorFiles.open(directory), false);
  }

  /// The same checkpoint with room for tokens whose rows of the embedding and of an untied head are
  /// the mean of the rows in front of them. Takes the place of this one, which must not be used or
  /// closed any more.
  ///
  /// @param first id of the first token, at most the vocabulary's size
  /// @param count at least 1
  /// @throws InputException if embedding or head are stored in 4 bit
  public Checkpoint withTokens(int first, int count) {
    int vocabulary = Math.max(config.vocabulary(), Math.addExact(first, count));
    return new Checkpoint(
        directory,
        configFile,
        config.withVocabulary(vocabulary),
        generationConfig,
        new TokenRows(tensors, config, first, count),
        rowsChange);
  }

  /// The same checkpoint for a model that overwrites rows of its embedding and head: a
  /// [ModelLoader] copies both wherever it would use what is mapped. Takes the place of this one,
  /// which must not be used or closed any more.
  public Checkpoint withTrainedRows() {
    return new Checkpoint(directory, configFile, config, generationConfig, tensors, true);
  }

  /// See [#withTrainedRows].
  boolean rowsChange() {
    return rowsChange;
  }

  public Path directory() {
    return directory;
  }

  public Path configFile() {
    return configFile;
  }

  public ModelConfig config() {
    return config;
  }

  public GenerationConfig generationConfig() {
    return generationConfig;
  }

  @Override
  public SequencedSet<String> names() {
    return tensors.names();
  }

  @Override
  public boolean contains(String name) {
    return tensors.contains(name);
  }

  @Override
  public Tensor tensor(String name) {
    return tensors.tensor(name);
  }

  @Override
  public Path fileOf(String name) {
    return tensors.fileOf(name);
  }

  @Override
  public void close() {
    tensors.close();
  }
}
