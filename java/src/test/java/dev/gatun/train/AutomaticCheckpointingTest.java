package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// `gradient_checkpointing: auto` and `memory_limit`.
class AutomaticCheckpointingTest {
  @TempDir private Path directory;
  private final Backend backend = CpuBackend.create(2);

  @AfterEach
  void close() {
    backend.close();
  }

  private MemoryPlan plan(SftConfig config) {
    try (Preparation preparation = Preparation.open(config)) {
      return TrainingSession.plan(preparation.inputs(), backend, config);
    }
  }

  private static String activations(MemoryPlan plan) {
    return plan.lines().stream()
        .filter(line -> line.arena().equals("activations"))
        .map(MemoryPlan.Line::holds)
        .findFirst()
        .orElseThrow();
  }

  @Test
  void fillsTheLimitAndChangesNoBit() throws IOException {
    SftConfigBuilder builder = TinyRun.config(directory, 8).loraDropout(0.2);
    SftConfig whole = builder.gradientCheckpointing(false).build();
    TinyRun.Outcome expected = TinyRun.train(whole, backend);
    long most = plan(whole).totalBytes();
    long least = plan(builder.gradientCheckpointing(true).build()).totalBytes();
    builder.gradientCheckpointing(GradientCheckpointing.AUTO);
    List<String> chosen = new ArrayList<>();
    long before = 0;
    for (int i = 0; i <= 4; i++) {
      long limit = least + (most - least) * i / 4;
      SftConfig config = builder.memoryLimit(limit).build();

      MemoryPlan plan = plan(config);
      TinyRun.Outcome outcome = TinyRun.train(config, backend);

      assertThat(plan.totalBytes()).isBetween(before, limit);
      before = plan.totalBytes();
      chosen.add(activations(plan));
      assertThat(outcome.updates()).isEqualTo(expected.updates());
      expected
          .parameters()
          .forEach((name, values) ->
              assertThat(outcome.parameter(name).toFloats()).containsExactly(values.toFloats()));
    }
    assertThat(chosen.getFirst())
        .matches("\\d+ tokens a batch; checkpointing: \\d+ layers? input, 1 layer everything");
    assertThat(chosen.getLast()).matches(".*; checkpointing: \\d+ layers everything");
    assertThat(Stream.concat(chosen.stream(), Stream.of(activations(plan(whole)))).distinct())
        .hasSizeGreaterThan(3);
  }

  @Test
  void keepsEverythingWithoutALimit() throws IOException {
    SftConfig config =
        TinyRun.config(directory, 8).gradientCheckpointing(GradientCheckpointing.AUTO).build();

    assertThat(activations(plan(config))).matches(".*; checkpointing: \\d+ layers everything");
  }

  @Test
  void aLimitThatNothingFitsRefusesTheRun() throws IOException {
    for (GradientCheckpointing value : GradientCheckpointing.values()) {
      SftConfig config =
          TinyRun.config(directory, 8).gradientCheckpointing(value).memoryLimit(50_000L).build();
      try (Preparation preparation = Preparation.open(config)) {
        assertThatThrownBy(() -> TrainingSession.open(preparation.inputs(), backend, config))
            .isInstanceOf(FailureException.class)
            .hasMessageStartingWith("the run needs ")
            .hasMessageContaining("but memory_limit leaves it 48.8 KiB; the largest part is ");
      }
    }
  }

  private static SftConfig parse(String lines) {
    String text = "model_name_or_path: m\ndataset_path: d\noutput_dir: o\n" + lines;
    return SftConfigReader.parse("test", text, List.of()).config();
  }

  @ParameterizedTest
  @CsvSource({
    "11GB, 11000000000",
    "9.5GiB, 10200547328",
    "800 MB, 800000000",
    "1.5 TiB, 1649267441664",
    "12KiB, 12288",
    "4096, 4096"
  })
  void readsAmountsOfMemory(String text, long bytes) {
    SftConfig config = parse("memory_limit: " + text);

    assertThat(config.loop().memoryLimit()).isEqualTo(bytes);
    assertThat(config.toBuilder().build()).isEqualTo(config);
  }

  @ParameterizedTest
  @ValueSource(strings = {"11", "0GB", "-3GB", "11 gb", "GB", "1e3GB", "99999999999TB", "1.GB"})
  void refusesOtherAmounts(String text) {
    assertThatThrownBy(() -> parse("memory_limit: \"" + text + "\""))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("test:4")
        .hasMessageContaining("memory_limit must be an amount of memory such as 11GB or 9.5GiB");
  }

  @ParameterizedTest
  @CsvSource({"true, ON", "false, OFF", "auto, AUTO"})
  void readsTheMode(String text, GradientCheckpointing expected) {
    SftConfig config = parse("gradient_checkpointing: " + text);

    assertThat(config.loop().gradientCheckpointing()).isEqualTo(expected);
    assertThat(config.toBuilder().build()).isEqualTo(config);
  }

  @Test
  void refusesOtherModes() {
    assertThatThrownBy(() -> parse("gradient_checkpointing: unsloth"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("gradient_checkpointing must be true, false or auto");
    // Presets set both keys; either may be set over them.
    assertThat(parse("gradient_checkpointing: auto\nactivation_offloading: true").loop())
        .returns(GradientCheckpointing.AUTO, SftConfig.Loop::gradientCheckpointing);
  }
}
