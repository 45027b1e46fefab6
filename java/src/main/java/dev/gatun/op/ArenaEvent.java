package dev.gatun.op;

import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/// Java Flight Recorder: a backend's memory was reserved, or given back.
@Name("dev.gatun.Arena")
@Label("Arena")
@Category("Gatun")
@Description("Memory of a backend was reserved, or given back")
@StackTrace(false)
public final class ArenaEvent extends Event {
  @Label("Arena")
  private final String arena;

  @Label("Size")
  @DataAmount
  private final long bytes;

  @Label("Most in Use")
  @DataAmount
  private final long peakBytes;

  @Label("Given Back")
  private final boolean freed;

  private ArenaEvent(String arena, long bytes, long peakBytes, boolean freed) {
    this.arena = arena;
    this.bytes = bytes;
    this.peakBytes = peakBytes;
    this.freed = freed;
  }

  /// Records that an arena exists.
  public static void reserved(String arena, long bytes) {
    new ArenaEvent(arena, bytes, 0, false).commit();
  }

  /// Records that an arena is gone.
  public static void freed(String arena, long bytes, long peakBytes) {
    new ArenaEvent(arena, bytes, peakBytes, true).commit();
  }
}
