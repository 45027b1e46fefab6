package dev.gatun.train;

import dev.gatun.data.PreparedDataset;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.op.Backend;
import dev.gatun.tensor.Tensor;
import dev.gatun.train.TrainingSession.UpdateFigures;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/// A tiny Llama and a few made-up rows to train it on.
final class TinyRun {
  private TinyRun() {}

  static Path model() {
    try {
      return Path.of(TinyRun.class.getResource("/conformance/models/llama_tied_mha/model").toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /// Prompt and completion rows of different lengths.
  static Path rows(Path directory, int count) throws IOException {
    Random random = new Random(5);
    StringBuilder lines = new StringBuilder();
    for (int row = 0; row < count; row++) {
      lines
          .append("{\"prompt\": \"")
          .append("count ".repeat(1 + random.nextInt(4)))
          .append(row)
          .append(":\", \"completion\": \" ")
          .append("yes no ".repeat(1 + random.nextInt(3)))
          .append("\"}\n");
    }
    return Files.writeString(directory.resolve("rows-" + count + ".jsonl"), lines);
  }

  /// A run that does everything the same way every time: no dropout, rows in order.
  static SftConfigBuilder config(Path directory, int rows) throws IOException {
    return SftConfig.builder()
        .modelNameOrPath(model())
        .datasetPath(rows(directory, rows))
        .outputDir(directory.resolve("out"))
        .learningRate(1e-2)
        .lrSchedulerType("constant")
        .loraTargetModules(new Modules.AllLinear())
        .loraR(4)
        .loraDropout(0)
        .perDeviceTrainBatchSize(2)
        .trainSamplingStrategy(SftConfig.SamplingStrategy.SEQUENTIAL)
        .saveStrategy(SftConfig.Interval.NO)
        .maxSteps(3);
  }

  /// Figures and parameters after all updates of a run without files.
  record Outcome(List<UpdateFigures> updates, Map<String, Tensor> parameters) {
    Tensor parameter(String name) {
      return Objects.requireNonNull(parameters.get(name), name);
    }
  }

  static Outcome train(SftConfig config, Backend backend) {
    try (Preparation preparation = Preparation.open(config);
        TrainingSession session = TrainingSession.open(preparation.inputs(), backend, config)) {
      List<UpdateFigures> updates = new ArrayList<>();
      for (int step = 1; step <= session.order().updates(); step++) {
        updates.add(session.update(step));
      }
      return new Outcome(updates, session.model().parameters().download());
    }
  }

  static EvaluationResult evaluate(SftConfig config, Backend backend) {
    try (Preparation preparation = Preparation.open(config);
        TrainingSession session = TrainingSession.open(preparation.inputs(), backend, config)) {
      return session.evaluate(preparation.inputs().evaluation().getFirst());
    }
  }

  static int size(SftConfig config) {
    try (Preparation preparation = Preparation.open(config)) {
      PreparedDataset rows = preparation.inputs().rows();
      return rows.size();
    }
  }
}
