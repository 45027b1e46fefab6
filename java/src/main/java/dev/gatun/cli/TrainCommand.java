package dev.gatun.cli;

import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingResult;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/// `gatun train`.
@Command(name = "train", description = "Fine-tunes a checkpoint as a configuration file says.")
final class TrainCommand implements Callable<Integer> {
  @Mixin private ConfigOptions.WithDevice options;

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
    SftConfigReader.Loaded loaded =
        resume ? options.read("resume_from_checkpoint=last") : options.read();
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
