package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ParameterLayout;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// A LoRA adapter as PEFT stores it.
///
/// @param baseModel `base_model_name_or_path`
/// @param modules the low-rank updates by module path (`model.layers.0.self_attn.q_proj`), sorted
/// @param saved weights of `modules_to_save` by module path, F32, sorted
/// @param tokens rows of `trainable_token_indices` by module path, F32 `[n, H]`, sorted
/// @param baseCopies weights of the base model that the files repeat, by module path, F32, sorted
public record PeftAdapter(
    LoraConfig config,
    @Nullable String baseModel,
    Map<String, LowRank> modules,
    Map<String, Tensor> saved,
    Map<String, Tensor> tokens,
    Map<String, Tensor> baseCopies) {

  private static final String EMBEDDING = "model.embed_tokens";

  /// The two factors of one update.
  ///
  /// @param a `[R, in]` F32
  /// @param b `[out, R]` F32
  /// @param magnitude `[out]` F32 of a weight-decomposed update, null for a plain one
  public record LowRank(Tensor a, Tensor b, @Nullable Tensor magnitude) {
    /// A plain update.
    public LowRank(Tensor a, Tensor b) {
      this(a, b, null);
    }
  }

  public PeftAdapter {
    modules = Collections.unmodifiableMap(new TreeMap<>(modules));
    saved = Collections.unmodifiableMap(new TreeMap<>(saved));
    tokens = Collections.unmodifiableMap(new TreeMap<>(tokens));
    baseCopies = Collections.unmodifiableMap(new TreeMap<>(baseCopies));
  }

  /// Without repetitions of the base model.
  public PeftAdapter(
      LoraConfig config,
      @Nullable String baseModel,
      Map<String, LowRank> modules,
      Map<String, Tensor> saved) {
    this(config, baseModel, modules, saved, Map.of(), Map.of());
  }

  /// Low-rank updates alone.
  public PeftAdapter(LoraConfig config, @Nullable String baseModel, Map<String, LowRank> modules) {
    this(config, baseModel, modules, Map.of());
  }

  /// The tokens that the adapter's embedding and head need rows for; empty if it has neither.
  public OptionalInt vocabulary() {
    return IntStream.concat(
            saved.values().stream().mapToInt(weight -> Math.toIntExact(weight.rows())),
            config.tokenIndices().values().stream()
                .flatMap(List::stream)
                .mapToInt(id -> Math.addExact(id, 1)))
        .max();
  }

  /// Checks that every update belongs to a layer of a model and has its sizes. Whether every target
  /// of the configuration has an update is for the caller who resolves the targets.
  ///
  /// @param source where the adapter comes from, for the message
  /// @throws InputException naming the module
  public void requireFits(ModelConfig model, String source) {
    Map<String, Shape> linears = new HashMap<>(ParameterLayout.of(model).linears());
    Shape table = Shape.of(model.vocabulary(), model.hidden());
    linears.put(ParameterLayout.HEAD, table);
    // An embedding leads from ids to hidden states.
    linears.put(EMBEDDING, Shape.of(model.hidden(), model.vocabulary()));
    modules.forEach((path, update) -> {
      Shape weight = linears.get(path);
      if (weight == null) {
        throw new InputException(
            "%s holds tensors for %s, which the base model does not have"
                .formatted(source, Quoted.of(path)));
      }
      if (update.a().cols() != weight.dim(1) || update.b().rows() != weight.dim(0)) {
        throw new InputException(
            "%s: lora_A %s and lora_B %s of %s do not fit the base model's weight %s"
                .formatted(
                    source, update.a().shape(), update.b().shape(), Quoted.of(path), weight));
      }
    });
    saved.forEach((path, weight) -> {
      if (!weight.shape().equals(table)) {
        throw new InputException(
            "%s: the weight of %s has shape %s, and the base model's %s"
                .formatted(source, Quoted.of(path), weight.shape(), table));
      }
    });
  }
}
