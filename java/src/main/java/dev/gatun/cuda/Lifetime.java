package dev.gatun.cuda;

import java.lang.ref.Cleaner;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Whether a native resource is open, kept apart from the resource so that a context can list its
/// children without keeping them reachable, and so that a lost one is reported. Reporting is all
/// that happens then: the memory stays taken until the process ends.
final class Lifetime implements Runnable {
  private static final Logger LOG = LoggerFactory.getLogger("dev.gatun.cuda");
  private static final Cleaner CLEANER = Cleaner.create();

  private final Context context;
  private final String description;
  private volatile boolean open = true;

  private Lifetime(Context context, String description) {
    this.context = context;
    this.description = description;
  }

  /// Registers `resource` with its context.
  static Lifetime start(Context context, Object resource, String description) {
    Lifetime lifetime = new Lifetime(context, description);
    context.adopt(lifetime);
    CLEANER.register(resource, lifetime);
    return lifetime;
  }

  String description() {
    return description;
  }

  /// @throws IllegalStateException if the resource is closed
  void requireOpen() {
    if (!open) {
      throw new IllegalStateException(description + " is closed");
    }
  }

  /// Ends the lifetime and frees the resource; a second call does nothing.
  void end(Runnable free) {
    synchronized (this) {
      if (!open) {
        return;
      }
      open = false;
    }
    context.release(this);
    context.makeCurrent();
    free.run();
  }

  @Override
  public void run() {
    if (open) {
      LOG.warn("{} was lost without close(): its memory is leaked", description);
    }
  }
}
