package dev.gatun.train;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.data.PreparedDataset;
import dev.gatun.generate.Answer;
import dev.gatun.generate.Decoder;
import dev.gatun.generate.HeldOutQuestions;
import dev.gatun.generate.LanguageModel;
import dev.gatun.generate.ModelSource;
import dev.gatun.io.WeightFormat;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.nn.KvCache;
import dev.gatun.nn.Limits;
import dev.gatun.nn.MemoryNeed;
import dev.gatun.nn.Options;
import dev.gatun.nn.Training;
import dev.gatun.op.Backend;
import dev.gatun.op.Fence;
import dev.gatun.op.TensorArena;
import dev.gatun.text.Tokenizer;
import dev.gatun.train.EvaluationReport.Figures;
import dev.gatun.train.EvaluationReport.SourceFile;
import dev.gatun.train.EvaluationReport.WorstRow;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.PriorityQueue;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// Evaluates a checkpoint, with an adapter or without, on data files as a configuration prepares
/// them. The files are tokenised, and so checked, before weights are read. Not thread-safe.
public final class ModelEvaluation implements AutoCloseable {
  private static final int TEXT_CHARACTERS = 80;
  private static final int TEXT_TOKENS = 4 * TEXT_CHARACTERS; // a character has up to 4 bytes

  private final Backend backend;
  private final SftConfig config;
  private final Resources resources = new Resources();
  private final List<Data> files = new ArrayList<>();
  private final Limits limits;
  private final Options options;
  private final MemoryPlan memoryPlan;
  private final LanguageModel loaded;
  private final EvaluationPass pass;
  private final SequencedMap<String, HeldOutQuestions> questions;
  private final @Nullable KvCache cache;

  private record Data(Path path, PreparedDataset rows) {}

  private record Loss(Data data, int row, BatchFigures figures) {}

  private ModelEvaluation(
      SftConfig config,
      Backend backend,
      @Nullable Path adapter,
      SequencedMap<String, List<Path>> datasets) {
    this.backend = backend;
    this.config = config;
    List<Path> paths = datasets.values().stream().flatMap(List::stream).toList();
    if (paths.isEmpty()) {
      throw new InputException("there is no data to evaluate on; set eval_dataset_path");
    }
    try {
      ModelSource source =
          ModelSource.open(config.model().modelNameOrPath(), adapter, config.model().tokenizer());
      try {
        prepare(paths, source.tokenizer());
        questions =
            Preparation.questions(config, datasets, source.checkpoint(), source.tokenizer());
        Decoder.Room room = questions.isEmpty() ? null : questions.firstEntry().getValue().room();
        limits = limits(room);
        options =
            TrainingRecipe.options(
                config.loop(), source.checkpoint().config(), CheckpointPolicy.NONE);
        WeightFormat format = TrainingRecipe.format(config);
        memoryPlan =
            EvaluationMemory.plan(
                source, backend, format, limits, options, room, config.loop().memoryLimit());
        memoryPlan.requireFit("per_device_eval_batch_size");
        loaded = source.load(backend, format);
      } catch (RuntimeException e) {
        source.close();
        throw e;
      }
      resources.add(loaded::close);
      pass = pass();
      cache = cache();
    } catch (RuntimeException e) {
      resources.close();
      throw e;
    }
  }

  private void prepare(List<Path> paths, Tokenizer tokenizer) {
    for (Path path : paths) {
      PreparedDataset rows = Preparation.prepare(config, List.of(path), tokenizer, true);
      resources.add(rows::close);
      files.add(new Data(path, rows));
    }
  }

  private @Nullable KvCache cache() {
    if (questions.isEmpty()) {
      return null;
    }
    KvCache made = questions.firstEntry().getValue().room().cache(backend, loaded.config());
    resources.add(made::close);
    return made;
  }

  private Limits limits(Decoder.@Nullable Room room) {
    Limits batches =
        files.stream()
            .map(file -> TrainingInputs.limits(file.rows(), batchSize()))
            .reduce(Limits::or)
            .orElseThrow();
    return room == null ? batches : batches.or(room.limits());
  }

  /// Prepares the data and loads the model.
  ///
  /// @param adapter directory of an adapter in PEFT's format, or null for the checkpoint as it is
  /// @param datasets data files by the name of their dataset, at least one
  /// @throws InputException if something is missing, malformed or does not fit together
  /// @throws FailureException if it takes more memory than there is, before weights are read
  public static ModelEvaluation open(
      SftConfig config,
      Backend backend,
      @Nullable Path adapter,
      SequencedMap<String, List<Path>> datasets) {
    return new ModelEvaluation(config, backend, adapter, datasets);
  }

  private EvaluationPass pass() {
    Training.Frozen training = loaded.updates();
    MemoryNeed need =
        CausalLm.memoryNeed(backend, loaded.config(), loaded.weights(), training, limits, options);
    CausalLm model =
        CausalLm.create(backend, loaded.config(), loaded.weights(), training, limits, options);
    resources.add(model::close);
    BatchFeed feed =
        new BatchFeed(
            model, place("batch 0", need.inputBytes()), place("batch 1", need.inputBytes()));
    return new EvaluationPass(backend, model, feed, arena("outputs", need.outputBytes()));
  }

  private int batchSize() {
    return config.evaluation().perDeviceEvalBatchSize();
  }

  private TensorArena arena(String name, long bytes) {
    TensorArena arena = backend.arena(name, bytes);
    resources.add(arena::close);
    return arena;
  }

  private BatchFeed.Place place(String name, long bytes) {
    TensorArena arena = arena(name, bytes);
    Fence used = backend.fence();
    resources.add(used::close);
    return new BatchFeed.Place(arena, used);
  }

  /// What is reserved.
  public MemoryPlan memoryPlan() {
    return memoryPlan;
  }

  /// Runs all rows through the model, and has it answer the questions if there are any.
  ///
  /// @param worst how many of the rows with the largest loss to report
  public EvaluationReport run(int worst) {
    PriorityQueue<Loss> hardest = // the easiest of them at its head
        new PriorityQueue<>(Comparator.comparingDouble(loss -> loss.figures().meanLoss()));
    List<SourceFile> sources = new ArrayList<>();
    BatchFigures total = BatchFigures.NONE;
    long rows = 0;
    for (Data file : files) {
      BatchFigures[] sum = {BatchFigures.NONE};
      pass.run(
          file.rows(),
          batchSize(),
          (row, targets) -> {
            BatchFigures figures = targets.sum();
            sum[0] = sum[0].plus(figures);
            hardest.add(new Loss(file, row, figures));
            if (hardest.size() > worst) {
              hardest.remove();
            }
          });
      sources.add(new SourceFile(file.path(), Figures.of(file.rows().size(), sum[0])));
      total = total.plus(sum[0]);
      rows += file.rows().size();
    }
    List<WorstRow> worstRows = new ArrayList<>();
    while (!hardest.isEmpty()) {
      worstRows.addFirst(worstRow(hardest.remove()));
    }
    return new EvaluationReport(sources, Figures.of(rows, total), worstRows, answers());
  }

  private SequencedMap<String, List<Answer>> answers() {
    SequencedMap<String, List<Answer>> answers = new LinkedHashMap<>();
    if (cache != null) {
      questions.forEach(
          (name, asked) -> answers.put(name, asked.ask(backend, pass.model(), cache)));
    }
    return answers;
  }

  private WorstRow worstRow(Loss loss) {
    PreparedDataset rows = loss.data().rows();
    int[] ids = rows.inputIds(loss.row());
    return new WorstRow(
        loss.data().path(),
        loss.row() + 1,
        rows.source(loss.row()),
        ids.length,
        loss.figures().targets(),
        loss.figures().meanLoss(),
        beginning(ids));
  }

  private String beginning(int[] ids) {
    int[] first = Arrays.copyOf(ids, Math.min(ids.length, TEXT_TOKENS));
    String text = loaded.tokenizer().decode(first, false);
    int points = text.codePointCount(0, text.length());
    return points <= TEXT_CHARACTERS
        ? text
        : text.substring(0, text.offsetByCodePoints(0, TEXT_CHARACTERS));
  }

  @Override
  public void close() {
    resources.close();
  }
}
