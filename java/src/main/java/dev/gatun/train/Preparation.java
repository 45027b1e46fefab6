package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.adapter.AdapterStart;
import dev.gatun.adapter.WeightInitializer;
import dev.gatun.data.DataFinding;
import dev.gatun.data.Dataset;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.data.TokenCache;
import dev.gatun.generate.ExactMatch;
import dev.gatun.generate.Generator;
import dev.gatun.generate.HeldOutQuestions;
import dev.gatun.generate.QuestionReader;
import dev.gatun.generate.Sampler;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.PeftAdapter;
import dev.gatun.io.Subtracted;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.LoraInitializer;
import dev.gatun.nn.LoraModule;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.ModulesToSave;
import dev.gatun.nn.Training;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import org.jspecify.annotations.Nullable;

/// Opens what a configuration names: checkpoint, tokenizer, data. Everything is checked before
/// anything large is read or reserved.
final class Preparation implements AutoCloseable {
  private final SftConfig config;
  private final Resources resources = new Resources();
  private final TrainingInputs inputs;

  private Preparation(SftConfig given) {
    try {
      PeftAdapter adapter = adapter(given);
      config = adapter == null ? given : continued(given, adapter.config());
      Checkpoint checkpoint = Checkpoint.open(config.model().modelNameOrPath());
      resources.add(checkpoint::close);
      requireTrainable(checkpoint.config());
      Training training = training(checkpoint, adapter);
      Tokenizer tokenizer = Tokenizer.open(config.model().tokenizer());
      resources.add(tokenizer::close);
      requireVocabulary(tokenizer, checkpoint);
      PreparedDataset rows = prepare(config.data().datasetPath(), tokenizer, false);
      List<Path> evaluationFiles = config.data().evalDatasetPath();
      PreparedDataset evaluation =
          evaluationFiles.isEmpty() ? null : prepare(evaluationFiles, tokenizer, true);
      inputs =
          new TrainingInputs(
              checkpoint,
              TrainingRecipe.format(config),
              training,
              rows,
              evaluation,
              questions(config, evaluationFiles, checkpoint, tokenizer),
              subtracted(training),
              notices(TrainingRecipe.checks(config, tokenizer).of(rows, evaluation)));
    } catch (RuntimeException e) {
      resources.close();
      throw e;
    }
  }

  /// @throws InputException if something is missing, malformed or does not fit together
  static Preparation open(SftConfig config) {
    return new Preparation(config);
  }

  /// The configuration; that of the adapter where one is trained on.
  SftConfig config() {
    return config;
  }

  private static @Nullable PeftAdapter adapter(SftConfig config) {
    Path directory = config.model().adapterNameOrPath();
    return directory == null ? null : AdapterFiles.read(directory);
  }

  /// An adapter is what its own configuration says, so another one can only be meant by mistake.
  private static SftConfig continued(SftConfig config, LoraConfig adapter) {
    LoraConfig asked = config.lora();
    if (!adapter.equals(asked) && !AdapterSettings.defaultLora().equals(asked)) {
      throw new InputException(
          "the configuration describes another adapter than %s holds: %s against %s; leave the keys of the adapter out"
              .formatted(config.model().adapterNameOrPath(), asked, adapter));
    }
    return new SftConfig(
        config.model(),
        config.data(),
        config.optimization(),
        config.loop(),
        config.evaluation(),
        config.output(),
        adapter);
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

  private Training training(Checkpoint checkpoint, @Nullable PeftAdapter adapter) {
    ModelConfig model = checkpoint.config();
    if (adapter != null) {
      return AdapterStart.training(
          adapter, model, String.valueOf(config.model().adapterNameOrPath()));
    }
    LoraConfig lora = config.lora();
    return lora == null
        ? new Training.Full()
        : new Training.Lora(start(lora, checkpoint), ModulesToSave.resolve(lora, model));
  }

  private SortedMap<String, LoraModule> start(LoraConfig lora, Checkpoint checkpoint) {
    SortedMap<String, LoraConfig.Adapted> targets = LoraTargets.resolve(lora, checkpoint.config());
    long seed = config.loop().seed();
    return WeightInitializer.needsWeights(lora.initialization())
        ? WeightInitializer.initialize(
            targets, checkpoint, lora.initialization(), TrainingRecipe.format(config), seed)
        : LoraInitializer.initialize(targets, checkpoint.config(), lora.initialization(), seed);
  }

  private Map<String, Subtracted> subtracted(Training training) {
    LoraConfig lora = config.lora();
    return lora == null ? Map.of() : WeightInitializer.subtracted(lora, training.adapters());
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

  /// @throws InputException if a finding stops the run
  private static List<String> notices(List<DataFinding> findings) {
    List<String> stops =
        findings.stream().filter(DataFinding::stops).map(DataFinding::message).toList();
    if (!stops.isEmpty()) {
      throw new InputException("the training data: " + String.join("; and ", stops));
    }
    return findings.stream().map(DataFinding::message).toList();
  }

  private PreparedDataset prepare(List<Path> files, Tokenizer tokenizer, boolean evaluation) {
    PreparedDataset rows = prepare(config, files, tokenizer, evaluation);
    resources.add(rows::close);
    return rows;
  }

  /// Tokenises data files, or maps what the cache has of them.
  static PreparedDataset prepare(
      SftConfig config, List<Path> files, Tokenizer tokenizer, boolean evaluation) {
    SftDataOptions options = TrainingRecipe.dataOptions(config, evaluation);
    Dataset dataset = dataset(files);
    Path cache = config.data().cacheDir();
    return cache == null
        ? SftPreparation.prepare(dataset, tokenizer, options)
        : TokenCache.prepare(dataset, tokenizer, options, cache);
  }

  private static Dataset dataset(List<Path> files) {
    return files.size() == 1 ? Dataset.open(files.getFirst()) : Dataset.of(files);
  }

  /// The questions to answer at each evaluation; null if the configuration asks for none.
  static @Nullable HeldOutQuestions questions(
      SftConfig config, List<Path> files, Checkpoint checkpoint, Tokenizer tokenizer) {
    SftConfig.Generation generation = config.evaluation().generation();
    if (generation.samples() == 0) {
      return null;
    }
    if (files.isEmpty()) {
      throw new InputException(
          "eval_generation_samples asks for answers but eval_dataset_path is not set");
    }
    return HeldOutQuestions.of(
        QuestionReader.read(
            dataset(files),
            generation.samples(),
            tokenizer,
            TrainingRecipe.dataOptions(config, true)),
        new Generator.Settings(
            generation.maxNewTokens(),
            config.evaluation().perDeviceEvalBatchSize(),
            Sampler.greedy()),
        ExactMatch.of(generation.answer()),
        checkpoint,
        tokenizer);
  }

  @Override
  public void close() {
    resources.close();
  }
}
