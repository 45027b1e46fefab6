package dev.gatun.bench;

import dev.gatun.InputException;
import dev.gatun.io.ModelConfigReader;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.CheckpointPolicy;
import dev.gatun.nn.Options;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `gatun bench train`.
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    description = "Times QLoRA training steps of a random model, built in memory.")
final class TrainStepCommand implements Callable<Integer> {
  private static final Map<String, String> MODELS =
      Map.of("8b", "llama-3.1-8b.json", "1b", "llama-3.2-1b.json");

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = "8b, 1b (shapes of Llama), or a config.json (default: ${DEFAULT-VALUE}).")
  private String model = "8b";

  @Option(
      names = "--sequences",
      paramLabel = "N",
      description = "Sequences packed into a batch (default: ${DEFAULT-VALUE}).")
  private int sequences = 4;

  @Option(
      names = "--length",
      paramLabel = "N",
      description = "Tokens of a sequence (default: ${DEFAULT-VALUE}).")
  private int length = 2048;

  @Option(
      names = "--documents",
      paramLabel = "N",
      description =
          "Fill each sequence with documents of N tokens on average instead (lengths from N/4 to 7N/4).")
  private @Nullable Integer documents;

  @Option(
      names = "--rank",
      paramLabel = "R",
      description = "LoRA rank, all linear layers (default: ${DEFAULT-VALUE}).")
  private int rank = 16;

  @Option(
      names = "--checkpointing",
      paramLabel = "POLICY",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private CheckpointPolicy checkpointing = CheckpointPolicy.PER_LAYER;

  @Option(
      names = "--loss-chunk",
      paramLabel = "ROWS",
      description = "Rows whose logits exist at a time (default: as gatun train).")
  private @Nullable Integer lossChunk;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Timed steps (default: ${DEFAULT-VALUE}).")
  private int steps = 20;

  @Option(
      names = "--warmup",
      paramLabel = "N",
      description = "Steps before those (default: ${DEFAULT-VALUE}).")
  private int warmup = 3;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "cpu, cuda, cuda:N or auto (default: ${DEFAULT-VALUE}).")
  private String device = "auto";

  @Option(names = "--json", paramLabel = "FILE", description = "Write the figures here too.")
  private @Nullable Path json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws IOException {
    for (int value :
        new int[] {sequences, length, rank, lossChunk == null ? 1 : lossChunk, steps}) {
      if (value < 1) {
        throw new InputException(
            "--sequences, --length, --rank, --loss-chunk and --steps start at 1, not " + value);
      }
    }
    if (length < 2) {
      throw new InputException("--length is 1; a sequence needs 2 tokens to predict one");
    }
    ModelConfig config = config();
    int chunk = lossChunk == null ? Options.lossChunkRows(config.vocabulary()) : lossChunk;
    if (documents != null && documents < 8) {
      throw new InputException("--documents starts at 8, not " + documents);
    }
    int document = documents == null ? length : Math.min(documents, length);
    TrainStepBench.Plan plan =
        new TrainStepBench.Plan(config, sequences, length, document, rank, checkpointing, chunk);
    try (MeasuredDevice measured = MeasuredDevice.open(device);
        TrainStepBench bench = new TrainStepBench(measured.backend(), plan)) {
      TrainStepBench.Result result = bench.run(warmup, steps);
      print(measured, plan, result);
      Bench.write(json, TrainStepBench.json(plan, measured.backend(), result));
      return 0;
    }
  }

  private void print(
      MeasuredDevice measured, TrainStepBench.Plan plan, TrainStepBench.Result result) {
    PrintWriter out = spec.commandLine().getOut();
    out.println(measured.backend().description());
    out.printf(
        Locale.ROOT,
        "%s, %d layers, hidden %d; NF4, LoRA r=%d on all linear layers; %d x %d tokens%s, checkpointing %s%n",
        plan.config().family(),
        plan.config().layerCount(),
        plan.config().hidden(),
        plan.rank(),
        plan.sequences(),
        plan.length(),
        plan.document() == plan.length()
            ? ""
            : " of documents of %d on average".formatted(plan.document()),
        plan.checkpointing().name().toLowerCase(Locale.ROOT));
    double seconds = result.median();
    out.printf(
        Locale.ROOT,
        "step %.1f ms (median of %d), %.0f tokens/s, %.1f TFLOP/s, loss %.4f%n",
        seconds * 1e3,
        result.seconds().length,
        plan.tokens() / seconds,
        TrainStepBench.flops(plan) / seconds / 1e12,
        result.loss());
    out.printf(
        "memory: planned %s, of it activations %s in use at most%s%n",
        Bench.gigabytes(result.plannedBytes()),
        Bench.gigabytes(result.activationBytes()),
        result.takenBytes() < 0
            ? ""
            : String.format(
                Locale.ROOT,
                ", taken from the device %s (%+.2f %%)",
                Bench.gigabytes(result.takenBytes()),
                100.0 * (result.takenBytes() - result.plannedBytes()) / result.plannedBytes()));
  }

  private ModelConfig config() throws IOException {
    String resource = MODELS.get(model);
    if (resource == null) {
      return ModelConfigReader.read(Path.of(model));
    }
    Path file = Files.createTempFile("gatun", resource);
    try (InputStream in = TrainStepCommand.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("the jar lacks " + resource);
      }
      Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
      return ModelConfigReader.read(file);
    } finally {
      Files.delete(file);
    }
  }
}
