package dev.gatun.cli;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.io.AtomicFiles;
import dev.gatun.io.RandomCheckpoint;
import dev.gatun.tensor.DType;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `gatun init-model`.
@Command(
    name = "init-model",
    description = "Writes a checkpoint of random weights: any size of model without a download.")
final class InitModelCommand implements Callable<Integer> {
  private static final List<String> TOKENIZER_FILES =
      List.of(
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "chat_template.jinja");

  /// Element types as the command line spells them.
  enum ElementType {
    BF16(DType.BF16),
    F16(DType.F16),
    F32(DType.F32);

    private final DType type;

    ElementType(DType type) {
      this.type = type;
    }
  }

  /// Ways to quantise.
  enum Quantization {
    NF4
  }

  @Option(
      names = "--config",
      required = true,
      paramLabel = "FILE",
      description = "The model's config.json.")
  private Path config;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "New folder for the checkpoint.")
  private Path output;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Equal seeds give equal files (default: ${DEFAULT-VALUE}).")
  private long seed = 42;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description = "bf16, f16 or f32 (default: what config.json says).")
  private @Nullable ElementType type;

  @Option(
      names = "--quantize",
      paramLabel = "FORMAT",
      description = "nf4: store the linear layers in 4 bits, as bitsandbytes does.")
  private @Nullable Quantization quantization;

  @Option(
      names = "--tokenizer",
      paramLabel = "DIR",
      description = "Where to copy the tokenizer from (default: one token a byte).")
  private @Nullable Path tokenizer;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    requireEmpty(output);
    long start = System.nanoTime();
    RandomCheckpoint.Settings settings =
        new RandomCheckpoint.Settings(
            seed,
            type == null ? null : type.type,
            quantization != null,
            RandomCheckpoint.SHARD_BYTES);
    int vocabulary = RandomCheckpoint.vocabulary(config);
    if (tokenizer == null) {
      ByteTokenizer.write(output, vocabulary);
    } else {
      copyTokenizer(tokenizer, vocabulary);
    }
    RandomCheckpoint.Summary summary = RandomCheckpoint.write(config, output, settings);
    PrintWriter out = spec.commandLine().getOut();
    out.printf(
        Locale.ROOT,
        "%s: %s of %s parameters, %s in %d tensors, %d file%s, %.1f s%n",
        output,
        summary.config().family(),
        Sizes.count(summary.parameters()),
        Sizes.bytes(summary.bytes()),
        summary.tensors(),
        summary.files(),
        summary.files() == 1 ? "" : "s",
        (System.nanoTime() - start) / 1e9);
    return 0;
  }

  private void copyTokenizer(Path source, int vocabulary) {
    try (Tokenizer opened = Tokenizer.open(source)) {
      if (opened.largestTokenId() >= vocabulary) {
        throw new InputException(
            "%s has token ids up to %d, but the model has %d tokens; use the tokenizer of this model or a smaller one."
                .formatted(source, opened.largestTokenId(), vocabulary));
      }
    }
    for (String name : TOKENIZER_FILES) {
      Path file = source.resolve(name);
      if (Files.isRegularFile(file)) {
        copy(file, output.resolve(name));
      }
    }
  }

  private static void copy(Path from, Path to) {
    try {
      ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(from));
      AtomicFiles.write(
          to,
          channel -> {
            while (bytes.hasRemaining()) {
              channel.write(bytes);
            }
          });
    } catch (IOException e) {
      throw new InputException(from + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static void requireEmpty(Path output) {
    if (Files.exists(output) && !Files.isDirectory(output)) {
      throw new InputException(output + " is a file; name a new folder with --output.");
    }
    if (!Files.isDirectory(output)) {
      return;
    }
    try (Stream<Path> entries = Files.list(output)) {
      if (entries.findAny().isPresent()) {
        throw new InputException(
            output + " exists and is not empty; remove it, or name a new folder with --output.");
      }
    } catch (IOException e) {
      throw new FailureException(output + " cannot be read: " + e.getMessage(), e);
    }
  }
}
