package dev.gatun.report;

import dev.gatun.io.AtomicFiles;
import dev.gatun.io.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/// `run.json`: what was known of a run before its first update.
///
/// @param device what it ran on, for people
/// @param updates optimiser steps of the whole run
/// @param memory bytes of each arena
/// @param lengths how many sequences of the training data are how long
public record RunSummary(
    String device, long trainableParameters, int updates, List<Arena> memory, Lengths lengths) {
  /// Name of the file.
  public static final String FILE = "run.json";

  private static final int FORMAT = 1;

  public RunSummary {
    memory = List.copyOf(memory);
  }

  /// One arena.
  public record Arena(String name, String holds, long bytes) {}

  /// A histogram.
  ///
  /// @param width tokens of an interval: interval `i` counts lengths from `i·width + 1` to `(i +
  ///   1)·width`
  public record Lengths(int width, List<Integer> counts) {
    private static final int MOST_INTERVALS = 40;

    public Lengths {
      counts = List.copyOf(counts);
    }

    /// Counts lengths, each at least 1.
    public static Lengths of(int[] lengths) {
      int longest = 1;
      for (int length : lengths) {
        longest = Math.max(longest, length);
      }
      int width = Math.ceilDiv(longest, MOST_INTERVALS);
      Integer[] counts = new Integer[Math.ceilDiv(longest, width)];
      Arrays.fill(counts, 0);
      for (int length : lengths) {
        counts[(Math.max(1, length) - 1) / width]++;
      }
      return new Lengths(width, List.of(counts));
    }
  }

  /// Bytes of all arenas.
  long memoryBytes() {
    return memory.stream().mapToLong(Arena::bytes).sum();
  }

  /// Writes the file into a run's folder.
  public void write(Path folder) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("format", FORMAT);
    json.put("device", device);
    json.put("trainable_parameters", trainableParameters);
    json.put("updates", updates);
    json.put("memory", memory);
    json.put("sequence_lengths", lengths);
    AtomicFiles.writeText(
        folder.resolve(FILE), JsonMapper.shared().writeValueAsString(json) + "\n");
  }

  static @Nullable RunSummary read(Path file) {
    if (!Files.isRegularFile(file)) {
      return null;
    }
    JsonObject json = JsonObject.read(file);
    json.integer("format", FORMAT, FORMAT);
    JsonObject lengths = json.object("sequence_lengths");
    if (lengths == null) {
      throw json.bad("sequence_lengths", "is missing");
    }
    return new RunSummary(
        json.string("device"),
        (long) json.number("trainable_parameters"),
        json.integer("updates", 0, Integer.MAX_VALUE),
        json.objects("memory").stream()
            .map(arena ->
                new Arena(
                    arena.string("name"), arena.string("holds"), (long) arena.number("bytes")))
            .toList(),
        new Lengths(
            lengths.integer("width", 1, Integer.MAX_VALUE),
            lengths.integers("counts", 0, Integer.MAX_VALUE)));
  }
}
