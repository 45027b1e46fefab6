package dev.gatun.train;

import dev.gatun.FailureException;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/// Every byte a run will reserve, known before anything is allocated.
///
/// @param lines what for, and how much
/// @param budget what may be reserved in all
/// @param host host memory that a device offloads to
public record MemoryPlan(List<Line> lines, Budget budget, Host host) {
  public MemoryPlan {
    lines = List.copyOf(lines);
  }

  /// A plan without offloading, limited by the device.
  public MemoryPlan(List<Line> lines, long budgetBytes) {
    this(lines, new Budget(budgetBytes, false), new Host(0, 0, Long.MAX_VALUE));
  }

  /// Memory that may be reserved.
  ///
  /// @param bytes `Long.MAX_VALUE` if that is not known
  /// @param configured whether `memory_limit` is the reason
  public record Budget(long bytes, boolean configured) {}

  /// Pinned host memory.
  ///
  /// @param checkpointBytes of offloaded checkpoints
  /// @param stateBytes of a paged optimiser's state
  /// @param budgetBytes what may be pinned in all; `Long.MAX_VALUE` if that is not known
  public record Host(long checkpointBytes, long stateBytes, long budgetBytes) {
    public long bytes() {
      return checkpointBytes + stateBytes;
    }

    private String holds() {
      if (stateBytes == 0) {
        return "offloaded checkpoints";
      }
      return (checkpointBytes == 0 ? "" : "offloaded checkpoints and ") + "the optimizer's state";
    }
  }

  /// One arena.
  ///
  /// @param arena name of the arena
  /// @param holds what it is for, in a few words
  public record Line(String arena, String holds, long bytes) {}

  /// Bytes of the arenas of that name.
  long bytesOf(String arena) {
    return lines.stream().filter(line -> line.arena().equals(arena)).mapToLong(Line::bytes).sum();
  }

  public long totalBytes() {
    return lines.stream().mapToLong(Line::bytes).sum();
  }

  /// Whether everything can be reserved.
  public boolean fits() {
    return totalBytes() <= budget.bytes() && host.bytes() <= host.budgetBytes();
  }

  /// Refuses a run that will not fit.
  ///
  /// @throws FailureException that names the largest part and what to change
  public void requireFit() {
    requireFit("per_device_train_batch_size");
  }

  /// @param batchSize the key that says how large batches are
  void requireFit(String batchSize) {
    if (totalBytes() > budget.bytes()) {
      Line largest = lines.stream().max(Comparator.comparingLong(Line::bytes)).orElseThrow();
      throw new FailureException(
          "the run needs %s but %s; the largest part is %s with %s: %s%s"
              .formatted(
                  size(totalBytes()),
                  budget.configured()
                      ? "memory_limit leaves it " + size(budget.bytes())
                      : "only " + size(budget.bytes()) + " can be had",
                  largest.arena(),
                  size(largest.bytes()),
                  remedy(largest.arena(), batchSize),
                  System.lineSeparator() + table()));
    }
    if (host.bytes() > host.budgetBytes()) {
      boolean state = host.stateBytes() > host.checkpointBytes();
      throw new FailureException(
          "%s needs %s of host memory but only %s can be had; %s%s"
              .formatted(
                  state ? "the paged optimizer" : "activation_offloading",
                  size(host.bytes()),
                  size(host.budgetBytes()),
                  remedy(state ? "optimizer" : "activations", batchSize),
                  System.lineSeparator() + table()));
    }
  }

  private static String remedy(String arena, String batchSize) {
    return switch (arena) {
      case "weights" -> "set load_in_4bit, or take a smaller model";
      case "parameters", "optimizer" -> "lower lora_r or train fewer lora_target_modules";
      case RunMemory.CACHE -> "lower eval_generation_max_new_tokens or per_device_eval_batch_size";
      case "runtime" -> "end the other processes on the GPU, which nvidia-smi lists";
      default -> "lower %s or max_length".formatted(batchSize);
    };
  }

  /// The plan as a table of text lines.
  public String table() {
    StringBuilder text = new StringBuilder("Memory plan\n");
    for (Line line : lines) {
      text.append(
          String.format(
              Locale.ROOT, "  %-12s %12s  %s%n", line.arena(), size(line.bytes()), line.holds()));
    }
    String limit = budget.bytes() == Long.MAX_VALUE ? "" : "of " + size(budget.bytes());
    text.append(
        String.format(Locale.ROOT, "  %-12s %12s  %s%n", "total", size(totalBytes()), limit));
    if (host.bytes() > 0) {
      text.append(
          String.format(
              Locale.ROOT,
              "  %-12s %12s  %s%n",
              "pinned host",
              size(host.bytes()),
              host.holds() + ", not on the device"));
    }
    return text.toString();
  }

  static String size(long bytes) {
    if (bytes >= 1L << 30) {
      return String.format(Locale.ROOT, "%.2f GiB", bytes / (double) (1L << 30));
    }
    if (bytes >= 1L << 20) {
      return String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1L << 20));
    }
    return String.format(Locale.ROOT, "%.1f KiB", bytes / 1024.0);
  }
}
