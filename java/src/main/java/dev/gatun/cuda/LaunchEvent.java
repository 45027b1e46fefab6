package dev.gatun.cuda;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Enabled;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/// Java Flight Recorder: a kernel was queued. The time is the host's, not the kernel's. Off unless
/// asked for: a training step makes thousands.
@Name("dev.gatun.KernelLaunch")
@Label("Kernel Launch")
@Category("Gatun")
@Description("A kernel was queued; the time is that of the call on the host")
@Enabled(false)
@StackTrace(false)
final class LaunchEvent extends Event {
  // Says whether such events are wanted without making one.
  private static final LaunchEvent ANY = new LaunchEvent();

  @Label("Kernel")
  private String kernel = "";

  @Label("Blocks")
  private long blocks;

  @Label("Threads a Block")
  private int threads;

  /// An event that begins now, or null if nobody records them.
  static @Nullable LaunchEvent begun() {
    if (!ANY.isEnabled()) {
      return null;
    }
    LaunchEvent event = new LaunchEvent();
    event.begin();
    return event;
  }

  void end(String name, LaunchConfig config) {
    kernel = name;
    blocks = (long) config.gridX() * config.gridY() * config.gridZ();
    threads = config.blockX() * config.blockY() * config.blockZ();
    commit();
  }
}
