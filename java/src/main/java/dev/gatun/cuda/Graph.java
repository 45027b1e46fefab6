package dev.gatun.cuda;

import java.lang.foreign.MemorySegment;

/// A sequence of launches, copies and fills recorded once and launched as one. Parameters are
/// frozen at capture: addresses and scalars that change between launches live in device memory, or
/// the graph is updated.
public final class Graph implements AutoCloseable {
  private final Context context;
  private final String name;
  private final Lifetime lifetime;
  private MemorySegment instance; // guarded by this
  private long nodes; // guarded by this

  private Graph(Context context, String name, MemorySegment instance, long nodes) {
    this.context = context;
    this.name = name;
    this.instance = instance;
    this.nodes = nodes;
    this.lifetime = Lifetime.start(context, this, "graph " + name);
  }

  /// Records what `work` queues on `stream`, and on streams that `work` ties to it by events in
  /// both directions, without running it. Calls that wait or allocate fail inside `work`.
  public static Graph capture(String name, Stream stream, Runnable work) {
    MemorySegment graph = record(stream, work);
    try {
      long nodes = DriverModules.graphNodes(graph);
      return new Graph(stream.context(), name, DriverModules.instantiate(graph), nodes);
    } finally {
      DriverModules.destroyGraph(graph);
    }
  }

  /// Records `work` again and puts its parameters into this graph; where the sequence differs, the
  /// graph is built anew.
  ///
  /// @return true if the parameters fitted
  public synchronized boolean update(Stream stream, Runnable work) {
    lifetime.requireOpen();
    context.requireSame(stream.context(), stream.toString());
    MemorySegment graph = record(stream, work);
    try {
      if (DriverModules.update(instance, graph)) {
        return true;
      }
      MemorySegment fresh = DriverModules.instantiate(graph);
      MemorySegment stale = instance;
      instance = fresh;
      nodes = DriverModules.graphNodes(graph);
      DriverModules.destroyInstance(stale);
      return false;
    } finally {
      DriverModules.destroyGraph(graph);
    }
  }

  /// Queues the whole sequence on a stream.
  public synchronized void launch(Stream stream) {
    lifetime.requireOpen();
    context.requireSame(stream.context(), stream.toString());
    MemorySegment queue = stream.enter();
    DriverModules.launchGraph(instance, queue);
    if (context.isBlocking()) {
      Driver.streamSynchronize(queue, () -> stream.name() + " after graph " + name);
    }
  }

  /// Number of launches, copies and fills in the sequence.
  public synchronized long nodeCount() {
    return nodes;
  }

  @Override
  public synchronized void close() {
    lifetime.end(() -> DriverModules.destroyInstance(instance));
  }

  @Override
  public String toString() {
    return "graph " + name + " of " + nodeCount() + " nodes";
  }

  /// The recorded graph, which the caller destroys.
  private static MemorySegment record(Stream stream, Runnable work) {
    MemorySegment queue = stream.enter();
    DriverModules.beginCapture(queue);
    stream.capturing(true);
    try {
      work.run();
    } catch (RuntimeException failure) {
      abandon(queue, failure);
      throw failure;
    } finally {
      stream.capturing(false);
    }
    stream.context().makeCurrent();
    return DriverModules.endCapture(queue);
  }

  /// Ends a capture whose work failed, so that the stream can be used again.
  private static void abandon(MemorySegment queue, RuntimeException failure) {
    try {
      MemorySegment partial = DriverModules.endCapture(queue);
      if (partial.address() != 0) {
        DriverModules.destroyGraph(partial);
      }
    } catch (CudaException e) {
      failure.addSuppressed(e);
    }
  }
}
