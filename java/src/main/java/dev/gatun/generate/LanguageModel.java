package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A checkpoint that is ready to continue texts: its weights in a backend's memory, an adapter if
/// there is one, and a tokenizer.
public final class LanguageModel implements AutoCloseable {
  private final Backend backend;
  private final ModelSource source;
  private final TensorArena arena;
  private final ModelWeights weights;

  /// @param arena holds the weights
  LanguageModel(Backend backend, ModelSource source, TensorArena arena, ModelWeights weights) {
    this.backend = backend;
    this.source = source;
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
    ModelSource source = ModelSource.open(directory, adapter, directory);
    try {
      return source.load(backend, format);
    } catch (RuntimeException e) {
      source.close();
      throw e;
    }
  }

  public Backend backend() {
    return backend;
  }

  public ModelConfig config() {
    return source.checkpoint().config();
  }

  public ModelWeights weights() {
    return weights;
  }

  public Tokenizer tokenizer() {
    return source.tokenizer();
  }

  /// The adapter's low-rank updates and the weights that replace the checkpoint's.
  public Training.Frozen updates() {
    return source.updates();
  }

  /// Ids that end a text, see [TextEnds].
  public Set<Integer> endOfText() {
    return TextEnds.of(source.checkpoint().directory(), tokenizer());
  }

  @Override
  public void close() {
    arena.close();
    source.close();
  }
}
