package dev.gatun.cuda;

import java.lang.foreign.MemorySegment;

/// A point in a stream that others wait for, or between two of which time is measured.
public final class Event implements AutoCloseable {
  private final Context context;
  private final MemorySegment handle;
  private final boolean timing;
  private final Lifetime lifetime;

  Event(Context context, boolean timing) {
    context.makeCurrent();
    this.context = context;
    this.timing = timing;
    this.handle = Driver.eventCreate(timing);
    this.lifetime = Lifetime.start(context, this, timing ? "timing event" : "event");
  }

  public Context context() {
    return context;
  }

  /// Waits until the stream has reached the last record of this event.
  public void synchronize() {
    context.makeCurrent();
    Driver.eventSynchronize(handle());
  }

  /// True if the stream has reached the last record of this event.
  public boolean isDone() {
    context.makeCurrent();
    return Driver.eventIsDone(handle());
  }

  /// Milliseconds between `start` and this event, both recorded and reached; resolution 0.5 µs.
  ///
  /// @throws IllegalArgumentException if either does not take the time
  public float millisecondsSince(Event start) {
    if (!timing || !start.timing) {
      throw new IllegalArgumentException("both events must come from Context.timingEvent()");
    }
    context.makeCurrent();
    return Driver.eventElapsed(start.handle(), handle());
  }

  @Override
  public void close() {
    lifetime.end(() -> Driver.eventDestroy(handle));
  }

  MemorySegment handle() {
    lifetime.requireOpen();
    return handle;
  }
}
