package dev.gatun.adapter;

import dev.gatun.InputException;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LoraModule;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.ModuleTree;
import dev.gatun.nn.ModulesToSave;
import dev.gatun.nn.TrainedTokens;
import dev.gatun.nn.Training;
import dev.gatun.tensor.Tensor;
import java.util.SortedMap;
import java.util.TreeMap;

/// A stored adapter as what a model starts from.
public final class AdapterStart {
  private static final float HALF_PRECISION = 0x1p-8f;

  private AdapterStart() {}

  /// The base model of an adapter with rows for the tokens that were added for it.
  ///
  /// @param base closed with the result, which takes its place
  public static Checkpoint base(Checkpoint base, PeftAdapter adapter) {
    int stored = base.config().vocabulary();
    int needed = adapter.vocabulary().orElse(stored);
    Checkpoint grown = needed > stored ? base.withTokens(stored, needed - stored) : base;
    return adapter.tokens().isEmpty() ? grown : grown.withTrainedRows();
  }

  /// An adapter as part of a model that is not trained.
  ///
  /// @param source where it comes from, for the message
  /// @throws InputException if the adapter is incomplete or belongs to another model
  public static Training.Frozen frozen(PeftAdapter adapter, Checkpoint checkpoint, String source) {
    Training.Lora trained = training(adapter, checkpoint, source);
    return new Training.Frozen(trained.modules(), trained.saved(), trained.tokens());
  }

  /// Training that goes on from an adapter, under the adapter's own configuration.
  ///
  /// @param source where it comes from, for the message
  /// @throws InputException if the adapter is incomplete or belongs to another model
  public static Training.Lora training(PeftAdapter adapter, Checkpoint checkpoint, String source) {
    ModelConfig model = checkpoint.config();
    adapter.requireFits(model, source);
    adapter.baseCopies().forEach((path, copy) -> requireSame(path, copy, checkpoint, source));
    SortedMap<String, LoraConfig.Adapted> targets = LoraTargets.resolve(adapter.config(), model);
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    targets.forEach((path, adapted) -> {
      PeftAdapter.LowRank update = adapter.modules().get(path);
      if (update == null) {
        throw new InputException(
            "%s: target_modules name %s, but there are no tensors for it".formatted(source, path));
      }
      modules.put(path, new LoraModule(adapted, update.a(), update.b(), update.magnitude()));
    });
    for (String path : adapter.modules().keySet()) {
      if (!targets.containsKey(path)) {
        throw new InputException(
            "%s: there are tensors for %s, but target_modules do not name it"
                .formatted(source, path));
      }
    }
    return new Training.Lora(
        modules,
        ModulesToSave.resolve(adapter.config(), model).startingFrom(adapter.saved()),
        TrainedTokens.resolve(adapter.config(), model).startingFrom(adapter.tokens()));
  }

  /// PEFT would let the copy take the place of the checkpoint's weight.
  private static void requireSame(String path, Tensor copy, Checkpoint checkpoint, String source) {
    boolean head = path.equals(ModuleTree.HEAD) && !checkpoint.config().tiedEmbeddings();
    String name = (head ? ModuleTree.HEAD : ModuleTree.EMBEDDING) + ".weight";
    Tensor stored = checkpoint.tensor(name);
    if (!copy.shape().equals(stored.shape()) || !isSame(copy.toFloats(), stored.toFloats())) {
      throw new InputException(
          "%s repeats the base weight of %s, and it is not that of %s; use the base model it was trained on"
              .formatted(source, path, checkpoint.fileOf(name)));
    }
  }

  /// But for a rounding to 16 bit.
  private static boolean isSame(float[] a, float[] b) {
    for (int i = 0; i < a.length; i++) {
      if (!(Math.abs(a[i] - b[i]) <= HALF_PRECISION * Math.abs(b[i]) + Float.MIN_NORMAL)) {
        return false;
      }
    }
    return true;
  }
}
