package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/// No kernel may use stack or spill registers, except those that are listed with a reason.
class KernelReportTest {
  /// Kernel to reason.
  private static final Map<String, String> ALLOWED =
      Map.of(
          "attention_backward_dkdv_bf16_d128_sm90a",
          "the consumers take 240 registers, which leaves the copying warps 24; faster than cuDNN all the same",
          "attention_backward_dkdv_bf16_d32",
          "8 bytes outside the loops, on sm_80 only",
          "glu_backward_lora_bf16_r16",
          "16 warps of 128 registers; its arguments by side, and 16 bytes spilled: faster so than with fewer warps",
          "glu_backward_lora_bf16_r32",
          "the same with twice the sums");

  @Test
  void noKernelSpillsOrUsesStack() {
    List<BuiltKernels.Usage> wasteful =
        BuiltKernels.report().stream()
            .filter(u -> u.stackBytes() + u.spillStoreBytes() + u.spillLoadBytes() > 0)
            .toList();
    assertThat(wasteful).filteredOn(u -> !ALLOWED.containsKey(u.kernel())).isEmpty();
    Set<String> stale = new HashSet<>(ALLOWED.keySet());
    wasteful.forEach(u -> stale.remove(u.kernel()));
    assertThat(stale).as("listed but clean").isEmpty();
  }

  @Test
  void everyEntryIsReportedForEveryTarget() {
    List<BuiltKernels.Usage> report = BuiltKernels.report();
    for (String module : report.stream().map(BuiltKernels.Usage::module).distinct().toList()) {
      for (Target target : Target.values()) {
        if (!Module.exists(module, target)) {
          continue;
        }
        PtxEntries ptx = PtxEntries.parse(Module.source(module, target).orElseThrow());
        for (String architecture : architectures(target)) {
          assertThat(report)
              .filteredOn(u -> u.module().equals(module) && u.target().equals(architecture))
              .as("%s for %s", module, architecture)
              .allSatisfy(u -> assertThat(u.registers()).isBetween(1, 255))
              .extracting(BuiltKernels.Usage::kernel)
              .containsAll(ptx.entries().keySet());
        }
      }
    }
  }

  private static List<String> architectures(Target target) {
    return switch (target) {
      case SM80 -> List.of("sm_80", "sm_90");
      case SM90A -> List.of("sm_90a");
    };
  }
}
