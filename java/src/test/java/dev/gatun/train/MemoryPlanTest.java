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
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MemoryPlanTest {
  private static final long MIB = 1 << 20;

  @TempDir private Path directory;
  private final List<String> arenas = new ArrayList<>();

  @Test
  void aRunThatFitsCountsWhatTheDeviceItselfTakes() throws IOException {
    MemoryPlan plan = plan(device(500 * MIB, 600 * MIB));

    plan.requireFit();
    assertThat(plan.budget().bytes()).isEqualTo(1100 * MIB);
    assertThat(plan.lines())
        .filteredOn(line -> line.arena().equals("runtime"))
        .singleElement()
        .satisfies(line -> assertThat(line.bytes()).isEqualTo(600 * MIB));
    assertThat(plan.table())
        .contains("runtime         600.0 MiB  context, code, workspaces, other processes")
        .containsPattern("total +60\\d\\.\\d MiB  of 1\\.07 GiB");
  }

  @Test
  void aRunThatCannotFitIsRefusedBeforeAnythingIsReserved() throws IOException {
    SftConfig config = TinyRun.config(directory, 8).build();
    Backend device = device(MIB / 10, 600 * MIB);
    try (Preparation preparation = Preparation.open(config)) {
      assertThatThrownBy(() -> TrainingSession.open(preparation.inputs(), device, config))
          .isInstanceOf(FailureException.class)
          .hasMessageStartingWith("the run needs 60")
          .hasMessageContaining(
              "MiB but only 600.1 MiB can be had; the largest part is runtime with 600.0 MiB:"
                  + " end the other processes on the GPU, which nvidia-smi lists");
    }
    assertThat(arenas).isEmpty();
  }

  @Test
  void theRefusalNamesTheLargestPartAndWhatToChange() {
    assertThatThrownBy(() -> of("weights").requireFit()).hasMessageContaining("set load_in_4bit");
    assertThatThrownBy(() -> of("optimizer").requireFit()).hasMessageContaining("lower lora_r");
    assertThatThrownBy(() -> of("kv-cache").requireFit())
        .hasMessageContaining("lower eval_generation_max_new_tokens");
    assertThatThrownBy(() -> of("activations").requireFit())
        .hasMessageContaining("lower per_device_train_batch_size or max_length");
  }

  @Test
  void aBackendThatTakesNothingItselfHasNoSuchLine() throws IOException {
    MemoryPlan plan = plan(device(Long.MAX_VALUE, 0));

    plan.requireFit();
    assertThat(plan.budget().bytes()).isEqualTo(Long.MAX_VALUE);
    assertThat(plan.lines()).extracting(MemoryPlan.Line::arena).doesNotContain("runtime");
  }

  private static MemoryPlan of(String largest) {
    return new MemoryPlan(
        List.of(new MemoryPlan.Line("other", "", 1), new MemoryPlan.Line(largest, "", 2)), 1);
  }

  private MemoryPlan plan(Backend device) throws IOException {
    SftConfig config = TinyRun.config(directory, 8).build();
    try (Preparation preparation = Preparation.open(config)) {
      return TrainingSession.plan(preparation.inputs(), device, config);
    }
  }

  /// A CPU backend with the memory of a device of the given sizes, which records its arenas.
  private Backend device(long free, long taken) {
    Backend cpu = CpuBackend.create();
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (_, method, arguments) -> {
              switch (method.getName()) {
                case "memoryBytes":
                  return free;
                case "reservedBytes":
                  return taken;
                case "arena":
                  arenas.add((String) arguments[0]);
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
