package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.op.Backend;
import dev.gatun.train.MemoryPlan;
import dev.gatun.train.MemorySize;
import dev.gatun.train.SftConfig;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import dev.gatun.train.SftConfigReader;
import dev.gatun.train.TrainingPlan;
import dev.gatun.train.TrainingPlan.Longest;
import dev.gatun.train.TrainingPlan.Totals;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;

/// `gatun plan`.
@Command(
    name = "plan",
    description =
        "Says what a training run would take - memory, steps, tokens, time - without running it.")
final class PlanCommand implements Callable<Integer> {
  @Mixin private ConfigOptions.WithDevice options;

  @Option(
      names = "--memory",
      paramLabel = "AMOUNT",
      description =
          "Memory that the run may reserve, such as 80GB, whatever this machine has (default:"
              + " memory_limit, else what is free).")
  private @Nullable String memory;

  @Option(
      names = "--tokens-per-second",
      paramLabel = "RATE",
      description = "Speed to reckon the time with, such as a run's own (default: an estimate).")
  private @Nullable Double tokensPerSecond;

  @Option(names = "--json", description = "Print JSON instead.")
  private boolean json;

  @Spec private CommandSpec spec;

  /// Time of the run.
  ///
  /// @param seconds of training, evaluations not counted; empty if the speed is not known
  private record Time(OptionalDouble seconds, String source) {}

  @Override
  public Integer call() {
    Double rate = tokensPerSecond;
    if (rate != null && !(rate > 0 && Double.isFinite(rate))) {
      throw new InputException("--tokens-per-second takes a number above 0, not " + rate);
    }
    SftConfigReader.Loaded loaded = options.read();
    SftConfig config = loaded.config();
    PrintWriter out = spec.commandLine().getOut();
    try (Backend backend = Device.open(config.model().device())) {
      TrainingPlan plan = TrainingPlan.of(config, backend, memoryBytes());
      if (json) {
        out.println(
            JsonMapper.shared()
                .writerWithDefaultPrettyPrinter()
                .writeValueAsString(json(backend, plan, time(plan))));
      } else {
        loaded.notices().forEach(notice -> out.println("notice: " + notice));
        out.println("device: " + backend.description());
        if (memory != null && backend.usesHostMemory()) {
          out.println(
              "notice: sizes are those of the CPU, whose activations have 32 bits; a GPU has 16 and"
                  + " buffers of its own, so plan for it where one is");
        }
        print(out, config, plan, time(plan));
      }
    }
    return 0;
  }

  private @Nullable Long memoryBytes() {
    if (memory == null) {
      return null;
    }
    return MemorySize.parse(memory)
        .orElseThrow(() ->
            new InputException("--memory takes an amount such as 80GB or 9.5GiB, not " + memory));
  }

  private Time time(TrainingPlan plan) {
    if (tokensPerSecond != null) {
      return new Time(
          OptionalDouble.of(plan.totals().tokens() / tokensPerSecond), "at --tokens-per-second");
    }
    OptionalDouble step = plan.stepSeconds();
    return step.isPresent()
        ? new Time(
            OptionalDouble.of(step.getAsDouble() * plan.totals().updates()),
            "estimated from operations and bytes")
        : new Time(OptionalDouble.empty(), "not known for this device; give --tokens-per-second");
  }

  private static void print(PrintWriter out, SftConfig config, TrainingPlan plan, Time time) {
    out.print(plan.memory().table());
    if (!plan.memory().fits()) {
      out.println("  does not fit: train would refuse it");
    }
    Totals totals = plan.totals();
    out.printf(Locale.ROOT, "trained parameters  %,d%n", plan.trainableParameters());
    out.printf(
        Locale.ROOT,
        "updates             %,d, %,d an epoch, on %,d rows%n",
        totals.updates(),
        totals.updatesPerEpoch(),
        totals.rows());
    out.printf(
        Locale.ROOT, "tokens              %,d, %,d trained%n", totals.tokens(), totals.targets());
    if (time.seconds().isPresent()) {
      double seconds = time.seconds().getAsDouble();
      out.printf(
          Locale.ROOT,
          "time                %s (%,.0f tokens/s, %s), evaluations and saves not counted%n",
          Sizes.time(Duration.ofMillis(Math.round(seconds * 1e3))),
          totals.tokens() / seconds,
          time.source());
    } else {
      out.println("time                " + time.source());
    }
    out.printf("longest rows that fit, %d a batch%n", config.loop().perDeviceTrainBatchSize());
    for (Longest longest : plan.longest()) {
      out.printf(
          Locale.ROOT,
          "  %-46s %,9d tokens%s%n",
          "gradient_checkpointing: "
              + value(longest.mode())
              + (longest.offloaded() ? ", activation_offloading" : ""),
          longest.tokens(),
          longest.limited() ? ", all that the model has positions for" : "");
    }
  }

  private static String value(GradientCheckpointing mode) {
    return switch (mode) {
      case OFF -> "false";
      case ON -> "true";
      case AUTO -> "auto";
    };
  }

  private static Map<String, Object> json(Backend backend, TrainingPlan plan, Time time) {
    Map<String, Object> arenas = new LinkedHashMap<>();
    plan.memory().lines().forEach(line -> arenas.put(line.arena(), line.bytes()));
    MemoryPlan memory = plan.memory();
    Totals totals = plan.totals();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("device", backend.description());
    json.put("arena_bytes", arenas);
    json.put("total_bytes", memory.totalBytes());
    if (memory.budget().bytes() != Long.MAX_VALUE) {
      json.put("budget_bytes", memory.budget().bytes());
    }
    json.put("pinned_host_bytes", memory.host().bytes());
    json.put("fits", memory.fits());
    json.put("trainable_parameters", plan.trainableParameters());
    json.put("rows", totals.rows());
    json.put("updates", totals.updates());
    json.put("updates_per_epoch", totals.updatesPerEpoch());
    json.put("micro_batches", totals.microBatches());
    json.put("tokens", totals.tokens());
    json.put("trained_tokens", totals.targets());
    time.seconds()
        .ifPresent(seconds -> {
          json.put("seconds", seconds);
          json.put("tokens_per_second", totals.tokens() / seconds);
          json.put("seconds_source", time.source());
        });
    List<Map<String, Object>> longest = new ArrayList<>();
    for (Longest each : plan.longest()) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("gradient_checkpointing", value(each.mode()));
      entry.put("activation_offloading", each.offloaded());
      entry.put("tokens", each.tokens());
      longest.add(entry);
    }
    json.put("longest_row", longest);
    return json;
  }
}
