package dev.gatun.cpu;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/// A fixed set of threads, the caller among them, that works through numbered tasks. Which thread
/// takes which task depends on timing, so tasks must write to places of their own and the split
/// into tasks must not decide the order of any sum.
final class WorkerPool implements AutoCloseable {
  /// One of the numbered tasks.
  interface Task {
    /// Runs task `index`.
    ///
    /// @param workspace buffers of the thread that runs the task
    void run(Workspace workspace, long index);
  }

  private static final AtomicInteger POOLS = new AtomicInteger();

  private final List<Workspace> workspaces = new ArrayList<>();
  private final ExecutorService executor;
  private boolean closed;

  WorkerPool(int threads) {
    int pool = POOLS.incrementAndGet();
    for (int i = 0; i < threads; i++) {
      workspaces.add(new Workspace());
    }
    AtomicInteger names = new AtomicInteger();
    executor =
        Executors.newFixedThreadPool(
            Math.max(1, threads - 1),
            work -> {
              Thread thread = new Thread(work, "gatun-cpu-" + pool + "-" + names.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
  }

  int threads() {
    return workspaces.size();
  }

  /// Runs tasks `0 … count-1` and returns when all are done; the first failure is thrown.
  ///
  /// @param smallest tasks below which another thread is not worth waking
  void run(long count, long smallest, Task task) {
    if (closed) {
      throw new IllegalStateException("the CPU backend is closed");
    }
    int helpers = (int) Math.min(threads(), count / Math.max(1, smallest)) - 1;
    AtomicLong next = new AtomicLong();
    List<Future<?>> running = new ArrayList<>();
    for (int i = 1; i <= helpers; i++) {
      Workspace workspace = workspaces.get(i);
      running.add(executor.submit(() -> drain(workspace, next, count, task)));
    }
    try {
      drain(workspaces.getFirst(), next, count, task);
    } finally {
      // Even after a failure nobody may still be writing when the caller goes on.
      next.set(count);
      for (Future<?> future : running) {
        await(future);
      }
    }
  }

  private static void drain(Workspace workspace, AtomicLong next, long count, Task task) {
    for (long i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
      task.run(workspace, i);
    }
  }

  private static void await(Future<?> future) {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          future.get();
          return;
        } catch (InterruptedException e) {
          interrupted = true;
        } catch (ExecutionException e) {
          switch (e.getCause()) {
            case RuntimeException failure -> throw failure;
            case Error error -> throw error;
            case null, default -> throw new IllegalStateException(e);
          }
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void close() {
    closed = true;
    executor.shutdown();
  }
}
