package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.adapter.AdapterStart;
import dev.gatun.adapter.WeightInitializer;
import dev.gatun.data.DataFinding;
import dev.gatun.data.Dataset;
import dev.gatun.data.EvaluationRows;
import dev.gatun.data.PreparedDataset;
import dev.gatun.data.SftDataOptions;
import dev.gatun.data.SftPreparation;
import dev.gatun.data.TokenCache;
import dev.gatun.generate.Decoder;
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
import dev.gatun.nn.ModuleTree;
import dev.gatun.nn.ModulesToSave;
import dev.gatun.nn.TrainedTokens;
import dev.gatun.nn.Training;
import dev.gatun.text.AddedTokens;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Opens what a configuration names: checkpoint, tokenizer, data. Everything is checked before
/// anything large is read or reserved.
final class Preparation implements AutoCloseable {
  private final SftConfig config;
  private final Resources resources = new Resources();
  private final TrainingInputs inputs;
  private final ServingFiles servingFiles;

  private Preparation(SftConfig given) {
    try {
      PeftAdapter adapter = adapter(given);
      SftConfig chosen = adapter == null ? given : continued(given, adapter.config());
      Tokenizer tokenizer =
          Tokenizer.open(chosen.model().tokenizer(), chosen.model().addedTokens());
      resources.add(tokenizer::close);
      Checkpoint checkpoint = checkpoint(chosen, tokenizer, adapter);
      resources.add(checkpoint::close);
      config = withTokenIds(chosen, tokenizer, checkpoint.config());
      requireTrainable(checkpoint.config());
      Training training = training(checkpoint, adapter);
      requireTrainedRows(tokenizer, checkpoint.config(), training);
      requireVocabulary(tokenizer, checkpoint);
      servingFiles = ServingFiles.of(config, tokenizer);
      List<String> notices = notices(tokenizer.changes(), checkpoint.config());
      int vocabulary = checkpoint.config().vocabulary();
      PreparedDataset rows = prepare(config.data().datasetPath(), tokenizer, vocabulary, false);
      List<EvaluationRows> evaluation = new ArrayList<>();
      boolean wrapped = TrainingRecipe.dataOptions(config, true).isWrapped();
      config
          .data()
          .evalDatasets()
          .forEach((name, files) ->
              evaluation.add(
                  new EvaluationRows(
                      name,
                      prepare(files, tokenizer, vocabulary, true),
                      files.size() > 1 && !wrapped)));
      notices.addAll(notices(TrainingRecipe.checks(config, tokenizer).of(rows, evaluation)));
      inputs =
          new TrainingInputs(
              checkpoint,
              TrainingRecipe.format(config),
              training,
              rows,
              evaluation,
              questions(checkpoint, tokenizer),
              subtracted(training),
              notices);
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
    return withLora(config, adapter);
  }

  private static SftConfig withLora(SftConfig config, LoraConfig lora) {
    return new SftConfig(
        config.model(),
        config.data(),
        config.optimization(),
        config.loop(),
        config.evaluation(),
        config.output(),
        lora);
  }

  /// Puts ids in place of the word for added tokens.
  private static SftConfig withTokenIds(SftConfig config, Tokenizer tokenizer, ModelConfig model) {
    LoraConfig lora = config.lora();
    if (lora == null || !(lora.trainableTokens() instanceof LoraConfig.Tokens.Added)) {
      return config;
    }
    AddedTokens added = config.model().addedTokens();
    List<Integer> ids =
        Stream.concat(added.ordinary().stream(), added.special().stream())
            .map(token -> tokenizer.tokenId(token).orElseThrow())
            .sorted()
            .toList();
    if (ids.isEmpty()) {
      throw new InputException(
          "trainable_token_indices is added_tokens, and there are none; set added_tokens, or name ids");
    }
    Map<String, List<Integer>> modules = new TreeMap<>(Map.of("embed_tokens", ids));
    if (!model.tiedEmbeddings()) {
      modules.put("lm_head", ids);
    }
    return withLora(
        config, lora.toBuilder().trainableTokens(new LoraConfig.Tokens.Indices(modules)).build());
  }

  TrainingInputs inputs() {
    return inputs;
  }

  /// What goes beside the trained weights.
  ServingFiles servingFiles() {
    return servingFiles;
  }

  /// The base model with rows for the tokens that are new, or that an adapter brings.
  private static Checkpoint checkpoint(
      SftConfig config, Tokenizer tokenizer, @Nullable PeftAdapter adapter) {
    Tokenizer.Changes changes = tokenizer.changes();
    Checkpoint stored = Checkpoint.open(config.model().modelNameOrPath());
    try {
      if (adapter != null) {
        return AdapterStart.base(stored, adapter);
      }
      boolean grows =
          !changes.tokens().isEmpty() && changes.firstId() <= stored.config().vocabulary();
      Checkpoint grown =
          grows ? stored.withTokens(changes.firstId(), changes.tokens().size()) : stored;
      LoraConfig lora = config.lora();
      return lora == null || lora.trainableTokens().equals(LoraConfig.Tokens.NONE)
          ? grown
          : grown.withTrainedRows();
    } catch (RuntimeException e) {
      stored.close();
      throw e;
    }
  }

  /// A frozen row would stay the mean of the others, and the model could not tell new tokens apart.
  private void requireTrainedRows(Tokenizer tokenizer, ModelConfig model, Training training) {
    if (tokenizer.changes().tokens().isEmpty() || training instanceof Training.Full) {
      return;
    }
    if (config.model().adapterNameOrPath() != null) {
      throw new InputException(
          "added_tokens is for a new adapter, and adapter_name_or_path goes on with %s; remove one of them"
              .formatted(config.model().adapterNameOrPath()));
    }
    Tokenizer.Changes changes = tokenizer.changes();
    List<Integer> ids =
        IntStream.range(changes.firstId(), changes.firstId() + changes.tokens().size())
            .boxed()
            .toList();
    boolean tiedRows = model.tiedEmbeddings() && trains(training, ModuleTree.EMBEDDING, ids);
    if (!trains(training, ModuleTree.EMBEDDING, ids) && !savesWhole(training, ModuleTree.EMBEDDING)
        || !tiedRows
            && !trains(training, ModuleTree.HEAD, ids)
            && !savesWhole(training, ModuleTree.HEAD)) {
      throw new InputException(
          "added_tokens needs an embedding and a head whose new rows are trained; set trainable_token_indices: added_tokens for those rows alone, or modules_to_save: [embed_tokens, lm_head]%s"
              .formatted(
                  model.tiedEmbeddings()
                      ? " and ensure_weight_tying: true to keep them one matrix as in this model"
                      : ""));
    }
  }

  private static boolean savesWhole(Training training, String module) {
    return training.replaced().starts().containsKey(module);
  }

  private static boolean trains(Training training, String module, List<Integer> ids) {
    TrainedTokens.Rows rows = training.rows().modules().get(module);
    return rows != null && rows.ids().containsAll(ids);
  }

  private static List<String> notices(Tokenizer.Changes changes, ModelConfig model) {
    List<String> notices = new ArrayList<>();
    if (!changes.tokens().isEmpty()) {
      notices.add(
          "%d tokens were added, ids %d to %d; the vocabulary has %d rows"
              .formatted(
                  changes.tokens().size(),
                  changes.firstId(),
                  changes.firstId() + changes.tokens().size() - 1,
                  model.vocabulary()));
    }
    if (!changes.known().isEmpty()) {
      notices.add(
          "the tokenizer already has %s, so nothing is added for it"
              .formatted(String.join(", ", changes.known())));
    }
    return notices;
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
          adapter, checkpoint, String.valueOf(config.model().adapterNameOrPath()));
    }
    LoraConfig lora = config.lora();
    return lora == null
        ? new Training.Full()
        : new Training.Lora(
            start(lora, checkpoint),
            ModulesToSave.resolve(lora, model),
            TrainedTokens.resolve(lora, model));
  }

  private SortedMap<String, LoraModule> start(LoraConfig lora, Checkpoint checkpoint) {
    SortedMap<String, LoraConfig.Adapted> targets = LoraTargets.resolve(lora, checkpoint.config());
    LoraTargets.requireUsed(lora, checkpoint.config());
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

  private PreparedDataset prepare(
      List<Path> files, Tokenizer tokenizer, int vocabulary, boolean evaluation) {
    PreparedDataset rows = prepare(config, files, tokenizer, evaluation);
    resources.add(rows::close);
    for (int row = 0; row < rows.size(); row++) {
      requireIds(rows.inputIds(row), vocabulary, rows, row);
      requireIds(rows.labels(row), vocabulary, rows, row);
    }
    return rows;
  }

  /// Ids that the data bring along may be any tokenizer's.
  private static void requireIds(int[] ids, int vocabulary, PreparedDataset rows, int row) {
    for (int id : ids) {
      if (id >= vocabulary) {
        throw new InputException(
            "%s: token id %d lies outside the model's vocabulary of %d; use the tokenizer that belongs to the model"
                .formatted(rows.source(row), id, vocabulary));
      }
    }
  }

  /// Tokenises data files, or maps what the cache has of them.
  static PreparedDataset prepare(
      SftConfig config, List<Path> files, Tokenizer tokenizer, boolean evaluation) {
    SftDataOptions options = TrainingRecipe.dataOptions(config, evaluation);
    Dataset dataset = Dataset.of(files);
    Path cache = config.data().cacheDir();
    return cache == null
        ? SftPreparation.prepare(dataset, tokenizer, options)
        : TokenCache.prepare(dataset, tokenizer, options, cache);
  }

  private Map<String, HeldOutQuestions> questions(Checkpoint checkpoint, Tokenizer tokenizer) {
    SequencedMap<String, List<Path>> datasets = config.data().evalDatasets();
    if (config.evaluation().generation().samples() > 0 && datasets.isEmpty()) {
      throw new InputException(
          "eval_generation_samples asks for answers but eval_dataset_path is not set");
    }
    return questions(config, datasets, checkpoint, tokenizer);
  }

  /// The questions to answer at each evaluation, by dataset, all with the same room; none if the
  /// configuration asks for none.
  static SequencedMap<String, HeldOutQuestions> questions(
      SftConfig config,
      SequencedMap<String, List<Path>> datasets,
      Checkpoint checkpoint,
      Tokenizer tokenizer) {
    SequencedMap<String, HeldOutQuestions> questions = new LinkedHashMap<>();
    if (config.evaluation().generation().samples() > 0) {
      datasets.forEach(
          (name, files) -> questions.put(name, questionsOf(config, files, checkpoint, tokenizer)));
      Decoder.Room room =
          questions.values().stream()
              .map(HeldOutQuestions::room)
              .reduce(Decoder.Room::or)
              .orElseThrow();
      questions.replaceAll((_, asked) -> asked.withRoom(room));
    }
    return questions;
  }

  private static HeldOutQuestions questionsOf(
      SftConfig config, List<Path> files, Checkpoint checkpoint, Tokenizer tokenizer) {
    SftConfig.Generation generation = config.evaluation().generation();
    return HeldOutQuestions.of(
        QuestionReader.read(
            Dataset.of(files),
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
