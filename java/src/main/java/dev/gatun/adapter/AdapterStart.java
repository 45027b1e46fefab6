package dev.gatun.adapter;

import dev.gatun.InputException;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LoraModule;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.ModulesToSave;
import dev.gatun.nn.Training;
import java.util.SortedMap;
import java.util.TreeMap;

/// A stored adapter as what a model starts from.
public final class AdapterStart {
  private AdapterStart() {}

  /// The base model of an adapter with rows for the tokens that were added for it.
  ///
  /// @param base closed with the result, which takes its place
  public static Checkpoint base(Checkpoint base, PeftAdapter adapter) {
    int stored = base.config().vocabulary();
    int needed = adapter.vocabulary().orElse(stored);
    return needed > stored ? base.withTokens(stored, needed - stored) : base;
  }

  /// An adapter as part of a model that is not trained.
  ///
  /// @param source where it comes from, for the message
  /// @throws InputException if the adapter is incomplete or belongs to another model
  public static Training.Frozen frozen(PeftAdapter adapter, ModelConfig model, String source) {
    Training.Lora trained = training(adapter, model, source);
    return new Training.Frozen(trained.modules(), trained.saved());
  }

  /// Training that goes on from an adapter, under the adapter's own configuration.
  ///
  /// @param source where it comes from, for the message
  /// @throws InputException if the adapter is incomplete or belongs to another model
  public static Training.Lora training(PeftAdapter adapter, ModelConfig model, String source) {
    adapter.requireFits(model, source);
    SortedMap<String, LoraConfig.Adapted> targets = LoraTargets.resolve(adapter.config(), model);
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    targets.forEach((path, adapted) -> {
      PeftAdapter.LowRank update = adapter.modules().get(path);
      if (update == null) {
        throw new InputException(
            "%s: target_modules name %s, but there are no tensors for it".formatted(source, path));
      }
      modules.put(path, new LoraModule(adapted, update.a(), update.b()));
    });
    for (String path : adapter.modules().keySet()) {
      if (!targets.containsKey(path)) {
        throw new InputException(
            "%s: there are tensors for %s, but target_modules do not name it"
                .formatted(source, path));
      }
    }
    return new Training.Lora(
        modules, ModulesToSave.resolve(adapter.config(), model).startingFrom(adapter.saved()));
  }
}
