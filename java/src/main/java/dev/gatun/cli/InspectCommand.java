package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.io.JsonObject;
import dev.gatun.io.ModelConfigReader;
import dev.gatun.io.SafeTensors;
import dev.gatun.model.ModelConfig;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `gatun inspect`.
@Command(
    name = "inspect",
    description = "Shows what a checkpoint, an adapter or a safetensors file holds.")
final class InspectCommand implements Callable<Integer> {
  /// Keys of PEFT's that are shown where they say something.
  private static final List<String> FURTHER_KEYS =
      List.of(
          "exclude_modules",
          "layers_to_transform",
          "rank_pattern",
          "alpha_pattern",
          "modules_to_save",
          "trainable_token_indices");

  private static final int MOST_ITEMS = 20;

  @Parameters(
      paramLabel = "PATH",
      description = "A checkpoint's or an adapter's folder, or a .safetensors file.")
  private Path path;

  @Option(names = "--no-tensors", description = "Only the summary.")
  private boolean summaryOnly;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (Files.isRegularFile(path)) {
      tensors(out, List.of(path));
      return 0;
    }
    if (!Files.isDirectory(path)) {
      throw new InputException(path + " does not exist.");
    }
    List<Path> files = safetensors(path);
    if (Files.exists(path.resolve("adapter_config.json"))) {
      adapter(out, JsonObject.read(path.resolve("adapter_config.json")));
      tensors(out, files);
    } else if (Files.exists(path.resolve("config.json"))) {
      // The tensors first: they can be shown even when the architecture is not supported.
      tensors(out, files);
      model(out, ModelConfigReader.read(path.resolve("config.json")));
    } else {
      throw new InputException(
          path
              + " holds neither a config.json nor an adapter_config.json: name a checkpoint's or"
              + " an adapter's folder.");
    }
    return 0;
  }

  private static List<Path> safetensors(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      List<Path> found =
          files.filter(file -> file.toString().endsWith(".safetensors")).sorted().toList();
      if (found.isEmpty()) {
        throw new InputException(directory + " holds no .safetensors file.");
      }
      return found;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void tensors(PrintWriter out, List<Path> files) {
    Totals totals = new Totals();
    for (Path file : files) {
      try (SafeTensors opened = SafeTensors.open(file)) {
        out.println(file.getFileName() + metadata(opened));
        for (String name : opened.names()) {
          Tensor tensor = opened.tensor(name);
          totals.add(tensor);
          if (!summaryOnly) {
            out.printf(
                "  %-72s %-5s %-16s %10s%n",
                printable(name), tensor.dtype(), tensor.shape(), Sizes.bytes(tensor.byteSize()));
          }
        }
      }
    }
    out.println(totals);
  }

  private static String metadata(SafeTensors file) {
    return file.metadata().isEmpty() ? "" : "  " + printable(file.metadata().toString());
  }

  /// A name from a file must not move the cursor.
  private static String printable(String text) {
    return text.replaceAll("\\p{Cntrl}", "?");
  }

  private static void model(PrintWriter out, ModelConfig config) {
    row(out, "family", config.family() + " (" + config.architecture() + ")");
    row(out, "layers", config.layerCount() + windows(config));
    row(out, "hidden", config.hidden() + ", feed-forward " + config.intermediate());
    row(
        out,
        "attention",
        "%d query heads, %d key/value heads of %d"
            .formatted(config.heads(), config.keyValueHeads(), config.headSize()));
    row(out, "positions", config.maxPositions() + ", rope " + config.rope());
    row(
        out,
        "vocabulary",
        config.vocabulary() + (config.tiedEmbeddings() ? ", tied" : ", not tied") + " embeddings");
    row(out, "end of text", config.eosTokenIds().toString());
    ModelConfig.Quantization quantization = config.quantization();
    row(
        out,
        "weights",
        config.dtype()
            + (quantization == null
                ? ""
                : ", linear layers in " + quantization.type() + " (bitsandbytes)"));
  }

  private static String windows(ModelConfig config) {
    long sliding = config.layers().stream().filter(layer -> layer.window() > 0).count();
    return sliding == 0 ? "" : ", " + sliding + " with a sliding window";
  }

  private static void adapter(PrintWriter out, JsonObject config) {
    row(
        out,
        "method",
        config.string("peft_type") + (config.flag("use_dora", false) ? ", DoRA" : ""));
    row(out, "base", String.valueOf(config.optionalString("base_model_name_or_path")));
    row(
        out,
        "rank",
        "%d, alpha %s%s"
            .formatted(
                config.integer("r", 1, Integer.MAX_VALUE),
                config.number("lora_alpha"),
                config.flag("use_rslora", false) ? ", rank-stabilised" : ""));
    row(
        out,
        "modules",
        config.isArray("target_modules")
            ? String.join(", ", config.strings("target_modules"))
            : String.valueOf(config.optionalString("target_modules")));
    Map<String, @Nullable Object> all = config.toMap();
    for (String key : FURTHER_KEYS) {
      String value = text(all.get(key));
      if (!value.isEmpty()) {
        row(out, key, value);
      }
    }
  }

  private static String text(@Nullable Object value) {
    return switch (value) {
      case null -> "";
      case Map<?, ?> map ->
          map.entrySet().stream()
              .map(entry -> "%s: %s".formatted(entry.getKey(), text(entry.getValue())))
              .collect(Collectors.joining("; "));
      case List<?> list when list.size() > MOST_ITEMS -> list.size() + " of them";
      case List<?> list -> list.stream().map(String::valueOf).collect(Collectors.joining(", "));
      default -> value.toString();
    };
  }

  private static void row(PrintWriter out, String what, String value) {
    out.printf("%-24s %s%n", what, value);
  }

  /// Tensors seen so far, by type.
  private static final class Totals {
    private final Map<DType, Long> elements = new EnumMap<>(DType.class);
    private int tensors;
    private long bytes;

    void add(Tensor tensor) {
      tensors++;
      bytes += tensor.byteSize();
      elements.merge(tensor.dtype(), tensor.count(), Long::sum);
    }

    @Override
    public String toString() {
      return "%d tensors, %s in all: %s"
          .formatted(
              tensors,
              Sizes.bytes(bytes),
              elements.entrySet().stream()
                  .map(entry -> Sizes.count(entry.getValue()) + " " + entry.getKey())
                  .collect(Collectors.joining(", ")));
    }
  }
}
