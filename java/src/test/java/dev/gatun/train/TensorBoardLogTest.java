package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.JsonObject;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.Interval;
import dev.gatun.train.SftConfig.Reporter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TensorBoardLogTest {
  @TempDir private Path directory;

  /// One event: its step, scalars, and whether it starts a session.
  private record Event(long step, Map<String, Float> scalars, boolean starts) {}

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 8)
        .evalDatasetPath(TinyRun.rows(directory, 5))
        .evalStrategy(Interval.STEPS)
        .evalSteps(2.0)
        .loggingSteps(1)
        .saveStrategy(Interval.STEPS)
        .saveSteps(2)
        .reportTo(List.of(Reporter.TENSORBOARD))
        .maxSteps(5);
  }

  private static void run(SftConfig config) {
    try (Backend backend = CpuBackend.create(1)) {
      new SftTrainer(config, backend).run();
    }
  }

  @Test
  void showsWhatTheLogHoldsUnderTransformersNames() throws IOException {
    run(config().build());

    List<Event> events = read(onlyFile(directory.resolve("out/runs")));
    List<JsonObject> log =
        JsonObject.read(directory.resolve("out/trainer_state.json")).objects("log_history");
    assertThat(events.getFirst()).isEqualTo(new Event(0, Map.of(), false)); // the version
    assertThat(events.subList(1, events.size())).hasSameSizeAs(log);
    for (int i = 0; i < log.size(); i++) {
      Event event = events.get(i + 1);
      JsonObject entry = log.get(i);
      assertThat(event.step()).isEqualTo(entry.integer("step", 0, 5));
      assertThat(event.scalars()).hasSize(entry.keys().size() - 1);
      event
          .scalars()
          .forEach((tag, value) -> {
            String key = tag.startsWith("eval/") ? tag.replace("eval/", "eval_") : tag.substring(6);
            double logged = entry.number(key);
            assertThat((double) value).as(tag).isCloseTo(logged, within(Math.abs(logged) * 1e-6));
          });
    }
    assertThat(events.get(1).scalars())
        .containsKeys("train/loss", "train/learning_rate", "train/grad_norm", "train/epoch");
    assertThat(events.get(3).scalars()).containsKey("eval/loss");
    assertThat(events.getLast().scalars()).containsKey("train/train_loss");
  }

  @Test
  void aRunThatGoesOnVoidsWhatWasLoggedAfterItsCheckpoint() throws IOException {
    Path logs = directory.resolve("logs");
    run(config().loggingDir(logs).build());
    Path first = onlyFile(logs);
    try (Stream<Path> entries = Files.list(directory.resolve("out"))) {
      for (Path entry : entries.filter(Files::isRegularFile).toList()) {
        Files.delete(entry);
      }
    }

    run(config().loggingDir(logs).resumeFromCheckpoint("last").build());

    Files.delete(first);
    List<Event> events = read(onlyFile(logs));
    assertThat(events.get(1)).isEqualTo(new Event(5, Map.of(), true));
    assertThat(events.get(2).step()).isEqualTo(5);
    assertThat(events.get(2).scalars()).containsKey("train/loss");
  }

  @Test
  void nothingIsWrittenUnlessAskedFor() throws IOException {
    run(config().reportTo(List.of()).build());

    assertThat(directory.resolve("out/runs")).doesNotExist();
  }

  private static SftConfig parse(String line) {
    String text = "model_name_or_path: m\ndataset_path: d\noutput_dir: o\n" + line;
    return SftConfigReader.parse("test", text, List.of()).config();
  }

  @ParameterizedTest
  @CsvSource({"none, 0", "[], 0", "[none], 0", "tensorboard, 1", "[tensorboard], 1", "all, 1"})
  void readsTheKey(String value, int reporters) {
    SftConfig config = parse("report_to: " + value);

    assertThat(config.evaluation().reportTo()).hasSize(reporters);
    assertThat(config.toBuilder().build()).isEqualTo(config);
  }

  @ParameterizedTest
  @ValueSource(strings = {"wandb", "[tensorboard, mlflow]", "1"})
  void refusesOthers(String value) {
    assertThatThrownBy(() -> parse("report_to: " + value))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("report_to must be none, tensorboard or all");
  }

  private static Path onlyFile(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      List<Path> found = files.toList();
      assertThat(found).singleElement().asString().contains("/events.out.tfevents.");
      return found.getFirst();
    }
  }

  /// Reads TFRecords of `tf.Event` by the published layout; checksums are compared in
  /// `EventFileTest`.
  private static List<Event> read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    List<Event> events = new ArrayList<>();
    while (bytes.hasRemaining()) {
      int length = (int) bytes.getLong();
      bytes.getInt();
      ByteBuffer data = bytes.slice(bytes.position(), length).order(ByteOrder.LITTLE_ENDIAN);
      bytes.position(bytes.position() + length + 4);
      events.add(event(data));
    }
    return events;
  }

  private static Event event(ByteBuffer data) {
    long step = 0;
    boolean starts = false;
    Map<String, Float> scalars = new TreeMap<>();
    while (data.hasRemaining()) {
      switch ((int) varint(data)) {
        case 1 << 3 | 1 -> data.getDouble();
        case 2 << 3 -> step = varint(data);
        case 3 << 3 | 2 -> assertThat(text(data)).isEqualTo("brain.Event:2");
        case 5 << 3 | 2 -> {
          ByteBuffer summary = part(data);
          while (summary.hasRemaining()) {
            assertThat(varint(summary)).isEqualTo(1 << 3 | 2);
            ByteBuffer value = part(summary);
            assertThat(varint(value)).isEqualTo(1 << 3 | 2);
            String tag = text(value);
            assertThat(varint(value)).isEqualTo(2 << 3 | 5);
            scalars.put(tag, value.getFloat());
          }
        }
        case 7 << 3 | 2 -> {
          ByteBuffer session = part(data);
          starts = varint(session) == 1 << 3 && varint(session) == 1;
        }
        default -> throw new AssertionError("a field that nobody wrote");
      }
    }
    return new Event(step, scalars, starts);
  }

  private static long varint(ByteBuffer data) {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      byte next = data.get();
      value |= (next & 0x7FL) << shift;
      if (next >= 0) {
        return value;
      }
    }
  }

  private static ByteBuffer part(ByteBuffer data) {
    int length = (int) varint(data);
    ByteBuffer part = data.slice(data.position(), length).order(ByteOrder.LITTLE_ENDIAN);
    data.position(data.position() + length);
    return part;
  }

  private static String text(ByteBuffer data) {
    return StandardCharsets.UTF_8.decode(part(data)).toString();
  }
}
