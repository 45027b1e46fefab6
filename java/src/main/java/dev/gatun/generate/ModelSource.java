package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.adapter.AdapterStart;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A checkpoint whose weights are still to be read, an adapter for it if there is one, and a
/// tokenizer, all checked against each other.
public final class ModelSource implements AutoCloseable {
  private final Checkpoint checkpoint;
  private final Training.Frozen updates;
  private final Tokenizer tokenizer;

  private ModelSource(Checkpoint checkpoint, Training.Frozen updates, Tokenizer tokenizer) {
    this.checkpoint = checkpoint;
    this.updates = updates;
    this.tokenizer = tokenizer;
  }

  /// Opens a checkpoint with an adapter and the tokenizer of [#tokenizerFolder].
  ///
  /// @param adapter the folder of a PEFT adapter that was trained on the checkpoint, or null
  /// @param tokenizerFolder where the tokenizer is unless the adapter brings its own
  /// @throws InputException naming the file if something is incomplete, malformed or not supported,
  ///   or belongs to another model
  public static ModelSource open(Path directory, @Nullable Path adapter, Path tokenizerFolder) {
    PeftAdapter stored = adapter == null ? null : AdapterFiles.read(adapter);
    Checkpoint checkpoint = checkpoint(directory, stored);
    try {
      Training.Frozen updates =
          stored == null
              ? Training.frozen()
              : AdapterStart.frozen(stored, checkpoint, String.valueOf(adapter));
      Path folder = tokenizerFolder(adapter, tokenizerFolder);
      Tokenizer tokenizer = Tokenizer.open(folder);
      try {
        requireSameVocabulary(folder, tokenizer, checkpoint);
        return new ModelSource(checkpoint, updates, tokenizer);
      } catch (RuntimeException e) {
        tokenizer.close();
        throw e;
      }
    } catch (RuntimeException e) {
      checkpoint.close();
      throw e;
    }
  }

  /// The adapter's folder where it holds a tokenizer, which knows tokens that were added for it.
  private static Path tokenizerFolder(@Nullable Path adapter, Path otherwise) {
    return adapter != null && Files.isRegularFile(adapter.resolve("tokenizer.json"))
        ? adapter
        : otherwise;
  }

  private static Checkpoint checkpoint(Path directory, @Nullable PeftAdapter adapter) {
    Checkpoint stored = Checkpoint.open(directory);
    try {
      return adapter == null ? stored : AdapterStart.base(stored, adapter);
    } catch (RuntimeException e) {
      stored.close();
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

  /// The checkpoint, with rows for tokens that the adapter adds.
  public Checkpoint checkpoint() {
    return checkpoint;
  }

  /// The adapter's low-rank updates and the weights that replace the checkpoint's.
  public Training.Frozen updates() {
    return updates;
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /// Reads the weights. The model takes this over: closing it closes this.
  ///
  /// @throws InputException naming file and tensor if the weights do not fit the configuration;
  ///   this then stays the caller's
  public LanguageModel load(Backend backend, WeightFormat format) {
    TensorArena arena =
        backend.arena("weights", ModelLoader.plannedBytes(checkpoint, backend, format));
    try {
      ModelWeights weights = ModelLoader.load(checkpoint, backend, arena, format);
      return new LanguageModel(backend, this, arena, weights);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  @Override
  public void close() {
    tokenizer.close();
    checkpoint.close();
  }
}
