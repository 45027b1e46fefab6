package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.JsonObject;
import dev.gatun.io.SafeTensors;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
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
      byte[] mutant = mutate(original, random);
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

  private static byte[] mutate(byte[] original, Random random) {
    byte[] bytes = original.clone();
    // Most of a tensor file is elements; its header is where readers can go wrong.
    int reach = random.nextInt(4) == 0 ? bytes.length : Math.min(bytes.length, 600);
    switch (random.nextInt(5)) {
      case 0 -> {
        return Arrays.copyOf(bytes, random.nextInt(bytes.length));
      }
      case 1 -> bytes[random.nextInt(reach)] ^= (byte) (1 << random.nextInt(8));
      case 2 -> {
        int from = random.nextInt(reach);
        byte[] noise = new byte[Math.min(16, bytes.length - from)];
        random.nextBytes(noise);
        System.arraycopy(noise, 0, bytes, from, noise.length);
      }
      case 3 -> {
        long length = random.nextBoolean() ? random.nextLong() : random.nextInt(200_000_000);
        if (bytes.length >= 8) {
          ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
        }
      }
      case 4 -> {
        byte[] wild = WILD.get(random.nextInt(WILD.size())).getBytes(StandardCharsets.UTF_8);
        int from = random.nextInt(reach);
        int to = Math.min(bytes.length, from + random.nextInt(12));
        byte[] spliced = new byte[from + wild.length + bytes.length - to];
        System.arraycopy(bytes, 0, spliced, 0, from);
        System.arraycopy(wild, 0, spliced, from, wild.length);
        System.arraycopy(bytes, to, spliced, from + wild.length, bytes.length - to);
        return spliced;
      }
      default -> throw new IllegalStateException();
    }
    return bytes;
  }
}
