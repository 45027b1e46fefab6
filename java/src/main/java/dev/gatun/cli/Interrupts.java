package dev.gatun.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jline.utils.Signals;

/// Ctrl-C and SIGTERM while something runs that can stop by itself: the first asks it to, the
/// second ends the process at once.
///
/// Handlers rather than a shutdown hook: the run ends in its own time on its own thread, and
/// nothing races with its last writes.
final class Interrupts implements AutoCloseable {
  /// What a shell reports for a program that SIGINT ended.
  static final int EXIT_CODE = 130;

  private final AtomicInteger count = new AtomicInteger();
  private final List<Runnable> restore = new ArrayList<>();

  private Interrupts() {}

  /// Calls `stop` at the first interrupt, on a thread of its own.
  static Interrupts handle(Runnable stop) {
    Interrupts interrupts = new Interrupts();
    for (String name : List.of("INT", "TERM")) {
      // Without a previous handler the JVM keeps the signal to itself (-Xrs) and simply ends.
      Object previous = Signals.register(name, () -> interrupts.interrupted(stop));
      if (previous != null) {
        interrupts.restore.add(() -> Signals.unregister(name, previous));
      }
    }
    return interrupts;
  }

  /// Whether there was an interrupt.
  boolean happened() {
    return count.get() > 0;
  }

  private void interrupted(Runnable stop) {
    if (count.incrementAndGet() > 1) {
      Runtime.getRuntime().halt(EXIT_CODE);
    }
    System.err.println(
        System.lineSeparator() + "gatun: stopping after this step; once more quits at once");
    stop.run();
  }

  /// Gives the signals back.
  @Override
  public void close() {
    restore.forEach(Runnable::run);
  }
}
