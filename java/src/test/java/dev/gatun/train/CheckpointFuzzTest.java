package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.Mutations;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.JsonObject;
import dev.gatun.io.SafeTensors;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// Readers of checkpoints, adapters and safetensors on damaged files: they read, or they say what
/// is wrong in an exception of ours. Seeded; a failure names seed, round and file.
class CheckpointFuzzTest {
  private static final long SEED = 7;
  private static final List<String> WILD =
      List.of(
          "-1",
          "1e999",
          "9223372036854775807",
          "99999999999999999999",
          "null",
          "[]",
          "{}",
          "\"\\u0000\"",
          "\"../x\"",
          "[".repeat(3000),
          "true",
          "\"F64\"",
          "");

  /// Most of a tensor file is elements; its header is where readers can go wrong.
  private static final Mutations MUTATIONS = new Mutations(WILD, 600);

  @TempDir private Path directory;

  private final Map<Path, byte[]> files = new HashMap<>();

  @BeforeEach
  void writeCheckpoint() throws IOException {
    SftConfig config =
        TinyRun.config(directory, 4).saveStrategy(Interval.STEPS).saveSteps(1).maxSteps(2).build();
    try (Backend backend = CpuBackend.create()) {
      new SftTrainer(config, backend).run();
    }
    for (Path file : RunCheckpoint.list(checkpoint())) {
      files.put(file, Files.readAllBytes(file));
    }
  }

  private Path checkpoint() {
    return directory.resolve("out/checkpoint-1");
  }

  @Test
  @Timeout(value = 60, unit = TimeUnit.SECONDS)
  void fewRounds() throws IOException {
    rounds(400);
  }

  @Test
  @Tag("slow")
  @Timeout(value = 900, unit = TimeUnit.SECONDS)
  void manyRounds() throws IOException {
    rounds(20_000);
  }

  private void rounds(int count) throws IOException {
    Random random = new Random(SEED);
    List<Path> names = files.keySet().stream().sorted().toList();
    for (int round = 0; round < count; round++) {
      Path file = names.get(random.nextInt(names.size()));
      byte[] original = files.get(file);
      byte[] mutant = MUTATIONS.mutate(original, random);
      if (Arrays.equals(original, mutant)) {
        continue;
      }
      Files.write(file, mutant);
      String where = "seed %d, round %d, %s".formatted(SEED, round, file.getFileName());
      assertThatThrownBy(() -> RunCheckpoint.open(checkpoint()))
          .as(where)
          .isInstanceOf(InputException.class);
      for (Reader reader : readers()) {
        try {
          reader.read();
        } catch (InputException e) {
          // What a damaged file may lead to.
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
          throw new AssertionError(where, e);
        }
      }
      Files.write(file, original);
    }
    RunCheckpoint.open(checkpoint());
  }

  private interface Reader {
    void read();
  }

  /// The readers themselves, without the digests in front of them.
  private List<Reader> readers() {
    return List.of(
        () -> AdapterFiles.read(checkpoint()),
        () -> readAll(checkpoint().resolve(RunCheckpoint.TENSORS)),
        () -> RunState.read(checkpoint()),
        () -> SftConfigReader.read(checkpoint().resolve(RunCheckpoint.CONFIG), List.of()),
        () -> {
          JsonObject saved = JsonObject.read(checkpoint().resolve(RunCheckpoint.TRAINER_STATE));
          saved.objects("log_history").forEach(JsonObject::toMap);
        });
  }

  private static void readAll(Path path) {
    try (SafeTensors file = SafeTensors.open(path)) {
      for (String name : file.names()) {
        file.tensor(name).segment();
      }
    }
  }
}
