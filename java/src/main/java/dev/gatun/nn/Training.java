package dev.gatun.nn;

import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/// What of a model is trained.
public sealed interface Training {
  /// Low-rank updates beside frozen weights.
  ///
  /// @param modules by module path: `model.layers.0.self_attn.q_proj`
  /// @param saved what is trained whole beside them
  /// @param tokens single rows that are trained beside them
  record Lora(SortedMap<String, LoraModule> modules, ModulesToSave saved, TrainedTokens tokens)
      implements Training {
    public Lora {
      modules = sorted(modules);
    }

    /// No single rows.
    public Lora(SortedMap<String, LoraModule> modules, ModulesToSave saved) {
      this(modules, saved, TrainedTokens.none());
    }

    /// Low-rank updates alone.
    public Lora(SortedMap<String, LoraModule> modules) {
      this(modules, ModulesToSave.none());
    }
  }

  /// Every parameter; the weights must be unquantised. A tied embedding is one parameter. The model
  /// copies the weights into its own F32 masters, so that their arena may be closed once the model
  /// exists.
  record Full() implements Training {}

  /// Nothing.
  ///
  /// @param modules low-rank updates that take part in the forward pass; may be empty
  /// @param saved weights that take the place of the base model's
  /// @param tokens rows that take the place of the base model's
  record Frozen(SortedMap<String, LoraModule> modules, ModulesToSave saved, TrainedTokens tokens)
      implements Training {
    public Frozen {
      modules = sorted(modules);
    }

    /// No single rows.
    public Frozen(SortedMap<String, LoraModule> modules, ModulesToSave saved) {
      this(modules, saved, TrainedTokens.none());
    }
  }

  /// A frozen model without updates.
  static Frozen frozen() {
    return new Frozen(new TreeMap<>(), ModulesToSave.none());
  }

  /// Low-rank training of modules whose values do not exist yet, for [CausalLm#memoryNeed].
  static Lora planned(SortedMap<String, LoraConfig.Adapted> targets, ModelConfig model) {
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    for (ModuleTree.Linear linear : ModuleTree.adaptable(model)) {
      LoraConfig.Adapted adapted = targets.get(linear.path());
      if (adapted != null) {
        modules.put(linear.path(), LoraModule.planned(adapted, linear));
      }
    }
    return new Lora(modules);
  }

  /// The low-rank updates, none when everything is trained.
  default SortedMap<String, LoraModule> adapters() {
    return switch (this) {
      case Lora lora -> lora.modules();
      case Frozen frozen -> frozen.modules();
      case Full _ -> new TreeMap<>();
    };
  }

  /// What takes the place of single rows of the base model's weights.
  default TrainedTokens rows() {
    return switch (this) {
      case Lora lora -> lora.tokens();
      case Frozen frozen -> frozen.tokens();
      case Full _ -> TrainedTokens.none();
    };
  }

  /// What takes the place of the base model's weights, nothing when everything is trained.
  default ModulesToSave replaced() {
    return switch (this) {
      case Lora lora -> lora.saved();
      case Frozen frozen -> frozen.saved();
      case Full _ -> ModulesToSave.none();
    };
  }

  private static SortedMap<String, LoraModule> sorted(Map<String, LoraModule> modules) {
    return Collections.unmodifiableSortedMap(new TreeMap<>(modules));
  }
}
