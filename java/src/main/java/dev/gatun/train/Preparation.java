package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.data.TokenCache;
import dev.gatun.io.Checkpoint;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LoraInitializer;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.Training;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;

/// Opens what a configuration names: checkpoint, tokenizer, data. Everything is checked before
/// anything large is read or reserved.
final class Preparation implements AutoCloseable {
  private final SftConfig config;
  private final Resources resources = new Resources();
  private final TrainingInputs inputs;

  private Preparation(SftConfig config) {
    this.config = config;
    try {
      Checkpoint checkpoint = Checkpoint.open(config.model().modelNameOrPath());
      resources.add(checkpoint::close);
      requireTrainable(checkpoint.config());
      Training training = training(checkpoint.config());
      Tokenizer tokenizer = Tokenizer.open(config.model().tokenizer());
      resources.add(tokenizer::close);
      requireVocabulary(tokenizer, checkpoint);
      PreparedDataset rows = prepare(config.data().datasetPath(), tokenizer, false);
      List<Path> evaluationFiles = config.data().evalDatasetPath();
      PreparedDataset evaluation =
          evaluationFiles.isEmpty() ? null : prepare(evaluationFiles, tokenizer, true);
      inputs =
          new TrainingInputs(checkpoint, TrainingRecipe.format(config), training, rows, evaluation);
    } catch (RuntimeException e) {
      resources.close();
      throw e;
    }
  }

  /// @throws InputException if something is missing, malformed or does not fit together
  static Preparation open(SftConfig config) {
    return new Preparation(config);
  }

  TrainingInputs inputs() {
    return inputs;
  }

  private void requireTrainable(ModelConfig model) {
    if (config.lora() == null && model.quantization() != null) {
      throw new InputException(
          "%s is stored in 4 bit, and 4-bit weights cannot be trained; set use_peft: true"
              .formatted(config.model().modelNameOrPath()));
    }
  }

  private Training training(ModelConfig model) {
    LoraConfig lora = config.lora();
    return lora == null
        ? new Training.Full()
        : new Training.Lora(
            LoraInitializer.initialize(
                LoraTargets.resolve(lora, model),
                model,
                lora.initialization(),
                config.loop().seed()));
  }

  private void requireVocabulary(Tokenizer tokenizer, Checkpoint checkpoint) {
    if (tokenizer.largestTokenId() >= checkpoint.config().vocabulary()) {
      throw new InputException(
          "the tokenizer in %s has token id %d, but the vocabulary of %s has %d entries; use the tokenizer that belongs to the model"
              .formatted(
                  config.model().tokenizer(),
                  tokenizer.largestTokenId(),
                  checkpoint.configFile(),
                  checkpoint.config().vocabulary()));
    }
  }

  private PreparedDataset prepare(List<Path> files, Tokenizer tokenizer, boolean evaluation) {
    SftDataOptions options = TrainingRecipe.dataOptions(config, evaluation);
    Dataset dataset = files.size() == 1 ? Dataset.open(files.getFirst()) : Dataset.of(files);
    Path cache = config.data().cacheDir();
    PreparedDataset rows =
        cache == null
            ? SftPreparation.prepare(dataset, tokenizer, options)
            : TokenCache.prepare(dataset, tokenizer, options, cache);
    resources.add(rows::close);
    return rows;
  }

  @Override
  public void close() {
    resources.close();
  }
}
