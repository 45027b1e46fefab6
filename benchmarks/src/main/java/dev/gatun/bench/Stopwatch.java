package dev.gatun.bench;

import dev.gatun.op.Backend;
import java.util.Arrays;

/// Takes the time of work that a backend runs asynchronously.
interface Stopwatch {
  /// Seconds that `repetitions` runs of `work` take together.
  double seconds(Runnable work, int repetitions);

  /// The median over `samples` of the seconds that one run takes, after some to warm up.
  default double median(Runnable work, int samples) {
    long start = System.nanoTime();
    double once = seconds(work, 1);
    // By the host's clock: a stopwatch may take far longer than the work.
    while (System.nanoTime() - start < WARMUP_SECONDS * 1e9) {
      once = Math.min(once, seconds(work, 1));
    }
    // The estimate decides how many runs fill a sample that the clock resolves.
    int repetitions = Math.clamp((long) (SAMPLE_SECONDS / Math.max(once, 1e-9)), 1, MOST);
    seconds(work, repetitions);
    double[] times = new double[samples];
    Arrays.setAll(times, _ -> seconds(work, repetitions) / repetitions);
    Arrays.sort(times);
    return (times[(samples - 1) / 2] + times[samples / 2]) / 2;
  }

  /// How long to run before anything counts: for a compiler, and for clocks that rise under load.
  double WARMUP_SECONDS = 0.05;

  /// What a sample should last at least.
  double SAMPLE_SECONDS = 1e-3;

  /// Runs in a sample at most: what the host queues while the device is kept busy.
  int MOST = 32;

  /// The host's clock, from an idle backend to an idle backend.
  static Stopwatch wallClock(Backend backend) {
    return (work, repetitions) -> {
      backend.synchronize();
      long start = System.nanoTime();
      for (int i = 0; i < repetitions; i++) {
        work.run();
      }
      backend.synchronize();
      return (System.nanoTime() - start) / 1e9;
    };
  }
}
