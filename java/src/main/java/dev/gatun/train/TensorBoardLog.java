package dev.gatun.train;

import dev.gatun.io.EventFile;
import dev.gatun.train.SftConfig.Reporter;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Shows the entries of a run's log to TensorBoard, under the names that transformers gives them:
/// `train/loss`, `eval/loss`. One event file for each process that worked on the run; it appears
/// with the first entry.
final class TensorBoardLog implements AutoCloseable {
  private static final String EVALUATION = "eval_";

  private final @Nullable Path directory;
  private @Nullable EventFile file;
  private int shown;
  private int resumedAfter;

  private TensorBoardLog(@Nullable Path directory) {
    this.directory = directory;
  }

  /// @param config may ask for nothing, in which case nothing is written
  static TensorBoardLog of(SftConfig config) {
    if (!config.evaluation().reportTo().contains(Reporter.TENSORBOARD)) {
      return new TensorBoardLog(null);
    }
    Path set = config.evaluation().loggingDir();
    return new TensorBoardLog(set == null ? config.output().outputDir().resolve("runs") : set);
  }

  /// Goes on after update `step`; the files of earlier processes hold `entries` entries that count,
  /// and perhaps more that do not.
  void restore(int entries, int step) {
    shown = entries;
    resumedAfter = step;
  }

  /// Writes the entries that are new.
  void show(List<Map<String, @Nullable Object>> history) {
    if (directory != null) {
      for (Map<String, @Nullable Object> entry : history.subList(shown, history.size())) {
        show(directory, entry);
      }
    }
    shown = history.size();
  }

  private void show(Path directory, Map<String, @Nullable Object> entry) {
    long step = 0;
    Map<String, Double> values = new TreeMap<>();
    for (Map.Entry<String, @Nullable Object> each : entry.entrySet()) {
      if (each.getValue() instanceof Number number) {
        if (each.getKey().equals("step")) {
          step = number.longValue();
        } else {
          values.put(tag(each.getKey()), number.doubleValue());
        }
      }
    }
    if (file == null) {
      file = open(directory);
    }
    file.scalars(now(), step, values);
  }

  private EventFile open(Path directory) {
    EventFile opened =
        EventFile.create(
            directory.resolve(
                "events.out.tfevents.%010d.%s.%d.%d"
                    .formatted(
                        (long) now(), host(), ProcessHandle.current().pid(), System.nanoTime())),
            now());
    if (resumedAfter > 0) {
      opened.start(now(), resumedAfter + 1L);
    }
    return opened;
  }

  private static String tag(String key) {
    return key.startsWith(EVALUATION)
        ? "eval/" + key.substring(EVALUATION.length())
        : "train/" + key;
  }

  private static double now() {
    return System.currentTimeMillis() / 1e3;
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName().replaceAll("[^\\w.-]", "_");
    } catch (UnknownHostException _) {
      return "localhost";
    }
  }

  @Override
  public void close() {
    if (file != null) {
      file.close();
    }
  }
}
