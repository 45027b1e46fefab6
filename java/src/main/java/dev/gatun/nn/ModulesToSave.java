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
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The embedding and the output head as parameters of their own beside frozen weights: PEFT's
/// `modules_to_save`. As in PEFT the two are trained apart even where the base model ties them,
/// unless `ensure_weight_tying` keeps them one parameter.
///
/// @param starts by module path: host starting values `[V, H]`, or empty for those of the base
/// @param tied whether the head is the embedding's parameter
public record ModulesToSave(SortedMap<String, Optional<Tensor>> starts, boolean tied) {
  public ModulesToSave {
    starts = Collections.unmodifiableSortedMap(new TreeMap<>(starts));
  }

  /// Nothing.
  public static ModulesToSave none() {
    return new ModulesToSave(new TreeMap<>(), false);
  }

  /// The modules that a configuration names, starting as the base model has them.
  ///
  /// @throws UnsupportedException if a name is that of another module
  /// @throws InputException if a name is that of no module
  public static ModulesToSave resolve(LoraConfig lora, ModelConfig model) {
    SortedMap<String, Optional<Tensor>> starts = new TreeMap<>();
    for (String name : lora.modulesToSave()) {
      List<String> matching =
          ModuleTree.modules(model).stream().filter(path -> path.endsWith(name)).toList();
      if (matching.isEmpty()) {
        throw new InputException(
            "modules_to_save names %s, which is no module of this model; name embed_tokens or lm_head"
                .formatted(name));
      }
      for (String path : matching) {
        if (!path.equals(ModuleTree.EMBEDDING) && !path.equals(ModuleTree.HEAD)) {
          throw new UnsupportedException(
              "modules_to_save names %s, and only embed_tokens and lm_head can be trained whole beside an adapter; name those, or train every weight with use_peft: false"
                  .formatted(path));
        }
        starts.put(path, Optional.empty());
      }
    }
    boolean tied = lora.ensureWeightTying() && model.tiedEmbeddings() && !starts.isEmpty();
    if (tied) {
      starts.put(ModuleTree.EMBEDDING, Optional.empty());
      starts.put(ModuleTree.HEAD, Optional.empty());
    }
    return new ModulesToSave(starts, tied);
  }

  /// The same with starting values of an adapter's own.
  ///
  /// @param values by module path
  /// @throws InputException if a module has no value
  public ModulesToSave startingFrom(Map<String, Tensor> values) {
    SortedMap<String, Optional<Tensor>> given = new TreeMap<>();
    for (String path : starts.keySet()) {
      Tensor value = values.get(path);
      if (value == null) {
        throw new InputException(
            "modules_to_save name %s, but the adapter holds no tensor for it".formatted(path));
      }
      given.put(path, Optional.of(value));
    }
    return new ModulesToSave(given, tied);
  }

  /// The parameter that holds a module's weight, or null if the base does.
  public @Nullable String parameter(String path) {
    if (!starts.containsKey(path)) {
      return null;
    }
    return ModuleTree.saved(tied ? ModuleTree.EMBEDDING : path);
  }

  /// Starting values by parameter, see [#starts].
  SortedMap<String, Map.Entry<String, Optional<Tensor>>> parameters() {
    SortedMap<String, Map.Entry<String, Optional<Tensor>>> parameters = new TreeMap<>();
    starts.forEach((path, start) -> {
      if (!tied || path.equals(ModuleTree.EMBEDDING)) {
        parameters.put(ModuleTree.saved(path), Map.entry(path, start));
      }
    });
    return parameters;
  }

  /// @throws InputException if a starting value has another shape than the model
  List<Parameter.Spec> specs(ModelConfig config) {
    Shape shape = Shape.of(config.vocabulary(), config.hidden());
    List<Parameter.Spec> specs = new ArrayList<>();
    parameters()
        .forEach((name, module) -> {
          module.getValue().ifPresent(start -> requireShape(module.getKey(), start.shape(), shape));
          boolean head = module.getKey().equals(ModuleTree.HEAD);
          specs.add(new Parameter.Spec(name, head ? Kind.HEAD : Kind.EMBEDDING, shape));
        });
    return specs;
  }

  private static void requireShape(String path, Shape actual, Shape expected) {
    if (!actual.equals(expected)) {
      throw new InputException(
          "the adapter's weight of %s has shape %s, this model needs %s; use the base model it was trained on"
              .formatted(path, actual, expected));
    }
  }
}
