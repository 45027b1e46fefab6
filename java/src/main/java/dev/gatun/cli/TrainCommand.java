package dev.gatun.cli;

import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingResult;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/// `gatun train`.
@Command(name = "train", description = "Fine-tunes a checkpoint as a configuration file says.")
final class TrainCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "CONFIG",
      description = "YAML with TRL's and PEFT's keys; docs/configuration.md lists them.")
  private Path file;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "Overrides a key of the configuration; repeatable.")
  private List<String> overrides = List.of();

  @Option(names = "--device", paramLabel = "DEVICE", description = "Short for --set device=DEVICE.")
  private @Nullable String device;

  @Option(
      names = "--resume",
      description =
          "Goes on from the newest good checkpoint of output_dir; short for"
              + " --set resume_from_checkpoint=last.")
  private boolean resume;

  @ParentCommand private Gatun parent;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    List<String> settings = new ArrayList<>(overrides);
    if (device != null) {
      settings.add("device=" + device);
    }
    if (resume) {
      settings.add("resume_from_checkpoint=last");
    }
    SftConfigReader.Loaded loaded = SftConfigReader.read(file, settings);
    loaded.notices().forEach(notice -> out.println("notice: " + notice));
    SftConfig config = loaded.config();
    try (Backend backend = Device.open(config.model().device())) {
      out.println("device: " + backend.description());
      out.flush();
      TrainingResult result = TrainingRun.run(config, backend, out, parent.terminal());
      return result.stopped() ? Interrupts.EXIT_CODE : 0;
    }
  }
}
