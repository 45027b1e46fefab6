package dev.gatun.nn;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.Parameter.Kind;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Single rows of the embedding and of the output head as parameters beside frozen weights: PEFT's
/// `trainable_token_indices`. A head that is tied to the embedding shares its rows, as in PEFT.
///
/// @param modules by module path, the embedding or an untied head
public record TrainedTokens(SortedMap<String, Rows> modules) {
  public TrainedTokens {
    modules = Collections.unmodifiableSortedMap(new TreeMap<>(modules));
  }

  /// The rows of one module.
  ///
  /// @param ids in the order of the parameter's rows
  /// @param start host starting values `[n, H]`, or empty for those of the base
  public record Rows(List<Integer> ids, Optional<Tensor> start) {
    public Rows {
      ids = List.copyOf(ids);
    }

    /// Stretches of ids that follow one another.
    List<Run> runs() {
      List<Run> runs = new ArrayList<>();
      for (int row = 0; row < ids.size(); row++) {
        Run last = runs.isEmpty() ? null : runs.getLast();
        if (last != null && last.id() + last.count() == ids.get(row)) {
          runs.set(runs.size() - 1, new Run(last.id(), last.row(), last.count() + 1));
        } else {
          runs.add(new Run(ids.get(row), row, 1));
        }
      }
      return runs;
    }
  }

  /// `count` ids from `id` on, whose parameter's rows begin at `row`.
  record Run(int id, int row, int count) {}

  /// Nothing.
  public static TrainedTokens none() {
    return new TrainedTokens(new TreeMap<>());
  }

  /// The rows that a configuration names, starting as the base model has them.
  ///
  /// @throws UnsupportedException if a module's rows cannot be trained
  /// @throws InputException if an id lies outside the vocabulary or appears twice
  public static TrainedTokens resolve(LoraConfig lora, ModelConfig model) {
    SortedMap<String, Rows> modules = new TreeMap<>();
    lora.tokenIndices()
        .forEach((name, ids) -> {
          String path = path(name, model);
          requireFrozen(path, lora, model);
          requireIds(path, ids, model);
          modules.put(path, new Rows(ids, Optional.empty()));
        });
    return new TrainedTokens(modules);
  }

  private static void requireFrozen(String path, LoraConfig lora, ModelConfig model) {
    if (ModulesToSave.resolve(lora, model).starts().containsKey(path)) {
      throw new InputException(
          "%s is named in modules_to_save and in trainable_token_indices; leave it in one of them"
              .formatted(path));
    }
    if (LoraTargets.resolve(lora, model).containsKey(path)) {
      throw new UnsupportedException(
          "%s is named in target_modules and in trainable_token_indices, which together are not supported; leave it in one of them"
              .formatted(path));
    }
  }

  private static String path(String name, ModelConfig model) {
    if (!name.isEmpty() && ModuleTree.EMBEDDING.endsWith(name)) {
      return ModuleTree.EMBEDDING;
    }
    if (!ModuleTree.HEAD.equals(name)) {
      throw new UnsupportedException(
          "trainable_token_indices names %s, and only rows of embed_tokens and lm_head can be trained; name those"
              .formatted(name));
    }
    if (model.tiedEmbeddings()) {
      throw new InputException(
          "trainable_token_indices names lm_head, which this model ties to embed_tokens; name embed_tokens alone, whose rows both use");
    }
    return ModuleTree.HEAD;
  }

  private static void requireIds(String path, List<Integer> ids, ModelConfig model) {
    if (ids.isEmpty()) {
      throw new InputException(
          "trainable_token_indices names no token of %s; leave it out".formatted(path));
    }
    HashSet<Integer> seen = new HashSet<>();
    for (int id : ids) {
      if (id < 0 || id >= model.vocabulary()) {
        throw new InputException(
            "trainable_token_indices names id %d of %s, which has rows 0 to %d"
                .formatted(id, path, model.vocabulary() - 1));
      }
      if (!seen.add(id)) {
        throw new InputException(
            "trainable_token_indices names id %d of %s twice; remove one".formatted(id, path));
      }
    }
  }

  /// The same with starting values of an adapter's own.
  ///
  /// @param values by module path, `[n, H]`
  /// @throws InputException if a module has no value
  public TrainedTokens startingFrom(Map<String, Tensor> values) {
    SortedMap<String, Rows> given = new TreeMap<>();
    modules.forEach((path, rows) -> {
      Tensor value = values.get(path);
      if (value == null) {
        throw new InputException(
            "trainable_token_indices name rows of %s, but the adapter holds no tensor for them"
                .formatted(path));
      }
      given.put(path, new Rows(rows.ids(), Optional.of(value)));
    });
    return new TrainedTokens(given);
  }

  /// @throws InputException if starting values have another shape than the rows
  List<Parameter.Spec> specs(ModelConfig config) {
    List<Parameter.Spec> specs = new ArrayList<>();
    modules.forEach((path, rows) -> {
      Shape shape = Shape.of(rows.ids().size(), config.hidden());
      rows.start()
          .ifPresent(start -> {
            if (!start.shape().equals(shape)) {
              throw new InputException(
                  "the adapter's rows of %s have shape %s, this model needs %s; use the base model it was trained on"
                      .formatted(path, start.shape(), shape));
            }
          });
      specs.add(new Parameter.Spec(ModuleTree.tokens(path), Kind.TOKENS, shape));
    });
    return specs;
  }

  /// The rows of the embedding's parameter, or null.
  @Nullable Rows embedding() {
    return modules.get(ModuleTree.EMBEDDING);
  }
}
