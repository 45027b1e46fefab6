package dev.gatun.examples;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.model.LoraConfig.Modules.AllLinear;
import dev.gatun.op.Backend;
import dev.gatun.train.ProgressLines;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftTrainer;
import java.nio.file.Path;

/// The README's example of fine-tuning from Java.
final class EmbeddingExample {
  private EmbeddingExample() {}

  static Path tune(Path model, Path data, Path output) {
    SftConfig config =
        SftConfig.builder()
            .modelNameOrPath(model)
            .datasetPath(data)
            .outputDir(output)
            .learningRate(2e-4)
            .loadIn4bit(true)
            .loraTargetModules(new AllLinear())
            .maxSteps(3)
            .build();
    try (Backend backend = CpuBackend.create()) {
      var progress = new ProgressLines(System.out::println, 1);
      return new SftTrainer(config, backend, progress).run().directory();
    }
  }
}
