package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.adapter.AdapterStart;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.Set;

/// A checkpoint that is ready to continue texts: its weights in a backend's memory, and its
/// tokenizer.
public final class LanguageModel implements AutoCloseable {
  private final Backend backend;
  private final Checkpoint checkpoint;
  private final Tokenizer tokenizer;
  private final TensorArena arena;
  private final ModelWeights weights;

  private LanguageModel(
      Backend backend,
      Checkpoint checkpoint,
      Tokenizer tokenizer,
      TensorArena arena,
      ModelWeights weights) {
    this.backend = backend;
    this.checkpoint = checkpoint;
    this.tokenizer = tokenizer;
    this.arena = arena;
    this.weights = weights;
  }

  /// Loads a checkpoint. The caller closes it, and the backend after it.
  ///
  /// @throws InputException naming the file if the checkpoint is incomplete, malformed or not
  ///   supported, or if the tokenizer belongs to another model
  public static LanguageModel open(Backend backend, Path directory, WeightFormat format) {
    return open(backend, directory, directory, format);
  }

  /// The same with the tokenizer of another directory.
  public static LanguageModel open(
      Backend backend, Path directory, Path tokenizerDirectory, WeightFormat format) {
    Checkpoint checkpoint = Checkpoint.open(directory);
    try {
      Tokenizer tokenizer = Tokenizer.open(tokenizerDirectory);
      try {
        requireSameVocabulary(tokenizerDirectory, tokenizer, checkpoint);
        return load(backend, checkpoint, tokenizer, format);
      } catch (RuntimeException e) {
        tokenizer.close();
        throw e;
      }
    } catch (RuntimeException e) {
      checkpoint.close();
      throw e;
    }
  }

  private static LanguageModel load(
      Backend backend, Checkpoint checkpoint, Tokenizer tokenizer, WeightFormat format) {
    long bytes = ModelLoader.plannedBytes(checkpoint, backend, format);
    TensorArena arena = backend.arena("weights", bytes);
    try {
      ModelWeights weights = ModelLoader.load(checkpoint, backend, arena, format);
      return new LanguageModel(backend, checkpoint, tokenizer, arena, weights);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  private static void requireSameVocabulary(
      Path directory, Tokenizer tokenizer, Checkpoint checkpoint) {
    if (tokenizer.largestTokenId() >= checkpoint.config().vocabulary()) {
      throw new InputException(
          "%s: tokenizer.json has token ids up to %d but %s says vocab_size %d; use the tokenizer that belongs to the model"
              .formatted(
                  directory,
                  tokenizer.largestTokenId(),
                  directory.equals(checkpoint.directory())
                      ? "config.json"
                      : checkpoint.configFile().toString(),
                  checkpoint.config().vocabulary()));
    }
  }

  public Backend backend() {
    return backend;
  }

  public ModelConfig config() {
    return checkpoint.config();
  }

  public ModelWeights weights() {
    return weights;
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /// Reads a PEFT adapter that was trained on this checkpoint.
  ///
  /// @return the low-rank updates and the weights that replace the checkpoint's, for [Generator]
  /// @throws InputException if the adapter is malformed, incomplete, or belongs to another model
  public Training.Frozen readAdapter(Path directory) {
    PeftAdapter adapter = AdapterFiles.read(directory);
    Training.Lora trained = AdapterStart.training(adapter, config(), directory.toString());
    return new Training.Frozen(trained.modules(), trained.saved());
  }

  /// Ids that end a text, see [TextEnds].
  public Set<Integer> endOfText() {
    return TextEnds.of(checkpoint.directory(), tokenizer);
  }

  @Override
  public void close() {
    arena.close();
    tokenizer.close();
    checkpoint.close();
  }
}
