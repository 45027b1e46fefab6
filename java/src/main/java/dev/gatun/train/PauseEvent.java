package dev.gatun.train;

import java.util.function.Supplier;
import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// Java Flight Recorder: training waited for an evaluation or for files.
@Name("dev.gatun.Pause")
@Label("Pause")
@Category("Gatun")
@Description("Training waited for an evaluation or for files")
@StackTrace(false)
final class PauseEvent extends Event {
  @Label("Step")
  private int step;

  @Label("For")
  private String reason = "";

  /// Does what training waits for.
  ///
  /// @param step updates done
  static <T> T during(String reason, int step, Supplier<T> work) {
    PauseEvent event = new PauseEvent();
    event.begin();
    T result = work.get();
    event.step = step;
    event.reason = reason;
    event.commit();
    return result;
  }
}
