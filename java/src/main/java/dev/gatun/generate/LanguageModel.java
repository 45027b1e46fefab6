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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A checkpoint that is ready to continue texts: its weights in a backend's memory, an adapter if
/// there is one, and a tokenizer.
public final class LanguageModel implements AutoCloseable {
  private final Backend backend;
  private final Checkpoint checkpoint;
  private final Training.Frozen updates;
  private final Tokenizer tokenizer;
  private final TensorArena arena;
  private final ModelWeights weights;

  private LanguageModel(
      Backend backend,
      Checkpoint checkpoint,
      Training.Frozen updates,
      Tokenizer tokenizer,
      TensorArena arena,
      ModelWeights weights) {
    this.backend = backend;
    this.checkpoint = checkpoint;
    this.updates = updates;
    this.tokenizer = tokenizer;
    this.arena = arena;
    this.weights = weights;
  }

  /// Loads a checkpoint. The caller closes it, and the backend after it.
  ///
  /// @throws InputException naming the file if the checkpoint is incomplete, malformed or not
  ///   supported, or if the tokenizer belongs to another model
  public static LanguageModel open(Backend backend, Path directory, WeightFormat format) {
    return open(backend, directory, null, format);
  }

  /// Loads a checkpoint with a PEFT adapter that was trained on it. The tokenizer is the adapter's
  /// where its folder holds one: it knows tokens that were added for it. The caller closes the
  /// model, and the backend after it.
  ///
  /// @param adapter the adapter's folder, or null for none
  /// @throws InputException as [#open(Backend, Path, WeightFormat)], and if the adapter is
  ///   malformed, incomplete, or belongs to another model
  public static LanguageModel open(
      Backend backend, Path directory, @Nullable Path adapter, WeightFormat format) {
    return open(backend, directory, adapter, tokenizer(adapter, directory), format);
  }

  /// Where the tokenizer of an adapter is: in its folder, or where it is otherwise.
  public static Path tokenizer(@Nullable Path adapter, Path otherwise) {
    return adapter != null && Files.isRegularFile(adapter.resolve("tokenizer.json"))
        ? adapter
        : otherwise;
  }

  /// The same with the tokenizer of another folder.
  public static LanguageModel open(
      Backend backend,
      Path directory,
      @Nullable Path adapter,
      Path tokenizerFolder,
      WeightFormat format) {
    PeftAdapter stored = adapter == null ? null : AdapterFiles.read(adapter);
    Checkpoint checkpoint = checkpoint(directory, stored);
    try {
      Training.Frozen updates =
          stored == null
              ? Training.frozen()
              : AdapterStart.frozen(stored, checkpoint, String.valueOf(adapter));
      Tokenizer tokenizer = Tokenizer.open(tokenizerFolder);
      try {
        requireSameVocabulary(tokenizerFolder, tokenizer, checkpoint);
        return load(backend, checkpoint, updates, tokenizer, format);
      } catch (RuntimeException e) {
        tokenizer.close();
        throw e;
      }
    } catch (RuntimeException e) {
      checkpoint.close();
      throw e;
    }
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

  private static LanguageModel load(
      Backend backend,
      Checkpoint checkpoint,
      Training.Frozen updates,
      Tokenizer tokenizer,
      WeightFormat format) {
    long bytes = ModelLoader.plannedBytes(checkpoint, backend, format);
    TensorArena arena = backend.arena("weights", bytes);
    try {
      ModelWeights weights = ModelLoader.load(checkpoint, backend, arena, format);
      return new LanguageModel(backend, checkpoint, updates, tokenizer, arena, weights);
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

  /// The adapter's low-rank updates and the weights that replace the checkpoint's.
  public Training.Frozen updates() {
    return updates;
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
