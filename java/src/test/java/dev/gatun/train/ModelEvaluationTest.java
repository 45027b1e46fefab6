package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.op.Backend;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The memory that an evaluation without training takes.
class ModelEvaluationTest {
  @TempDir private Path directory;
  private final Map<String, Long> arenas = new LinkedHashMap<>();

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 8).perDeviceEvalBatchSize(3);
  }

  @ParameterizedTest
  @CsvSource({
    "false, false, 0",
    "false, true, 0",
    "true, false, 4",
    "true, true, 4",
  })
  void everyArenaIsPlanned(boolean trained, boolean loadIn4bit, int questions) throws IOException {
    SftConfigBuilder config = config().loadIn4bit(loadIn4bit);
    try (Backend cpu = CpuBackend.create()) {
      if (trained) {
        new SftTrainer(config.modulesToSave(List.of("lm_head")).build(), cpu).run();
      }
      Path adapter = trained ? directory.resolve("out") : null;
      SftConfig asked =
          config.evalGenerationSamples(questions).evalGenerationMaxNewTokens(9).build();

      MemoryPlan plan = evaluate(asked, device(cpu, Long.MAX_VALUE), adapter);

      assertThat(arenas).containsKey("weights");
      assertThat(arenas.containsKey("kv-cache")).isEqualTo(questions > 0);
      arenas.remove("loading scratch"); // freed before all but the weights is reserved
      assertThat(plan.totalBytes())
          .as(plan.table() + arenas)
          .isEqualTo(arenas.values().stream().mapToLong(Long::longValue).sum());
    }
  }

  @Test
  void whatDoesNotFitIsRefusedBeforeWeightsAreRead() throws IOException {
    SftConfig config = config().build();
    try (Backend cpu = CpuBackend.create()) {
      assertThatThrownBy(() -> evaluate(config, device(cpu, 10_000), null))
          .isInstanceOf(FailureException.class)
          .hasMessageContaining("only 9.8 KiB can be had")
          .hasMessageContaining("lower per_device_eval_batch_size or max_length");
      assertThatThrownBy(() ->
              evaluate(
                  config.toBuilder().memoryLimit(20_000L).build(),
                  device(cpu, Long.MAX_VALUE),
                  null))
          .isInstanceOf(FailureException.class)
          .hasMessageContaining("memory_limit leaves it 19.5 KiB");
    }
    assertThat(arenas).isEmpty();
  }

  private MemoryPlan evaluate(SftConfig config, Backend backend, @Nullable Path adapter)
      throws IOException {
    List<Path> held = List.of(TinyRun.rows(directory, 5));
    try (ModelEvaluation evaluation =
        ModelEvaluation.open(config, backend, adapter, new LinkedHashMap<>(Map.of("", held)))) {
      assertThat(evaluation.run(0).total().rows()).isEqualTo(5);
      return evaluation.memoryPlan();
    }
  }

  /// The backend with the memory of a device, which records its arenas.
  private Backend device(Backend cpu, long free) {
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (_, method, arguments) -> {
              switch (method.getName()) {
                case "memoryBytes":
                  return free;
                case "arena":
                  arenas.merge((String) arguments[0], (Long) arguments[1], Long::sum);
                  break;
                default:
                  break;
              }
              try {
                return method.invoke(cpu, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
