package dev.gatun.nn;

import dev.gatun.model.ModelConfig;
import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Keys and values of the tokens that sequences have seen so far: `slots` sequences of up to
/// `capacity` tokens each, in an arena of its own.
public final class KvCache implements AutoCloseable {
  private final TensorArena arena;
  private final int capacity;
  private final int[] lengths;
  private final int[] hidden;
  private final List<Tensor> keys = new ArrayList<>();
  private final List<Tensor> values = new ArrayList<>();

  private KvCache(TensorArena arena, int slots, int capacity) {
    this.arena = arena;
    this.capacity = capacity;
    this.lengths = new int[slots];
    this.hidden = new int[slots];
  }

  /// An empty cache.
  public static KvCache create(Backend backend, ModelConfig config, int slots, int capacity) {
    long bytes = byteSize(config, backend.activationType(), slots, capacity);
    KvCache cache = new KvCache(backend.arena("kv-cache", bytes), slots, capacity);
    Shape shape =
        Shape.of(Math.multiplyExact(slots, capacity), config.keyValueHeads(), config.headSize());
    for (int i = 0; i < config.layerCount(); i++) {
      cache.keys.add(cache.arena.allocate(backend.activationType(), shape));
      cache.values.add(cache.arena.allocate(backend.activationType(), shape));
    }
    return cache;
  }

  /// Bytes of such a cache.
  public static long byteSize(ModelConfig config, DType type, int slots, int capacity) {
    long rows = Math.multiplyExact((long) slots, capacity);
    long elements = rows * config.keyValueHeads() * config.headSize();
    return 2L * config.layerCount() * TensorArena.sizeOf(type, elements);
  }

  public int slots() {
    return lengths.length;
  }

  /// Tokens a slot can hold.
  public int capacity() {
    return capacity;
  }

  /// Tokens a slot holds.
  public int length(int slot) {
    return lengths[slot];
  }

  /// Forgets the tokens of a slot.
  public void clear(int slot) {
    lengths[slot] = 0;
    hidden[slot] = 0;
  }

  /// Hides the oldest `count` tokens of a slot from the tokens still to come. Positions go on
  /// counting.
  public void hide(int slot, int count) {
    if (count < 0 || count > lengths[slot]) {
      throw new IllegalArgumentException(
          count + " of " + lengths[slot] + " tokens cannot be hidden");
    }
    hidden[slot] = count;
  }

  @Override
  public void close() {
    arena.close();
  }

  /// Reserves room for new tokens.
  ///
  /// @param newTokens for every slot the ids to append; empty leaves the slot out
  /// @throws IllegalArgumentException if a slot has no room
  Step append(int[][] newTokens) {
    if (newTokens.length != lengths.length) {
      throw new IllegalArgumentException(
          newTokens.length + " sequences for " + lengths.length + " slots");
    }
    List<Segment> segments = new ArrayList<>();
    int row = 0;
    for (int slot = 0; slot < lengths.length; slot++) {
      int count = newTokens[slot].length;
      if (count > capacity - lengths[slot]) {
        throw new IllegalArgumentException(
            "slot %d holds %d of %d tokens, no room for %d more"
                .formatted(slot, lengths[slot], capacity, count));
      }
      if (count > 0) {
        int start = slot * capacity;
        segments.add(new Segment(row, count, start, lengths[slot], hidden[slot], newTokens[slot]));
        lengths[slot] += count;
        row += count;
      }
    }
    return new Step(this, List.copyOf(segments), row);
  }

  /// The new tokens of one slot.
  ///
  /// @param row first row in the pass
  /// @param start first row of the slot in the cache
  /// @param seen tokens the slot held before
  /// @param hidden the oldest of them, which are not attended to
  record Segment(int row, int count, int start, int seen, int hidden, int[] ids) {}

  /// One decoding pass.
  ///
  /// @param tokens new tokens of all slots
  record Step(KvCache cache, List<Segment> segments, int tokens) {
    Tensor keys(int layer) {
      return cache.keys.get(layer);
    }

    Tensor values(int layer) {
      return cache.values.get(layer);
    }

    /// Copies the new keys and values of one layer to their places.
    void store(Backend backend, int layer, Tensor newKeys, Tensor newValues) {
      for (Segment segment : segments) {
        long at = segment.start() + (long) segment.seen();
        int n = segment.count();
        backend.tensor().copy(keys(layer).rows(at, n), newKeys.rows(segment.row(), n));
        backend.tensor().copy(values(layer).rows(at, n), newValues.rows(segment.row(), n));
      }
    }

    /// Uploads what the layers need to know about the new tokens.
    Tokens upload(Uploads uploads, RopeTables tables) {
      int[] ids = new int[tokens];
      int[] positions = new int[tokens];
      int[] extents = new int[tokens];
      for (Segment segment : segments) {
        System.arraycopy(segment.ids(), 0, ids, segment.row(), segment.count());
        for (int i = 0; i < segment.count(); i++) {
          positions[segment.row() + i] = segment.seen() + i;
          extents[segment.row() + i] = segment.seen() + segment.count();
        }
      }
      return DeviceBatch.place(uploads, tables, ids, positions, extents, sequences(uploads));
    }

    private Sequences sequences(Uploads uploads) {
      int[] queryStart = new int[segments.size() + 1];
      int[] keyStart = new int[segments.size()];
      int[] keyLength = new int[segments.size()];
      int longestQuery = 0;
      for (int i = 0; i < segments.size(); i++) {
        Segment segment = segments.get(i);
        queryStart[i + 1] = segment.row() + segment.count();
        keyStart[i] = segment.start() + segment.hidden();
        keyLength[i] = segment.seen() + segment.count() - segment.hidden();
        longestQuery = Math.max(longestQuery, segment.count());
      }
      return new Sequences(
          uploads.ints(queryStart),
          uploads.ints(keyStart),
          uploads.ints(keyLength),
          segments.size(),
          longestQuery,
          Arrays.stream(keyLength).max().orElse(0));
    }

    /// Last row of every sequence in the pass.
    int[] lastRows() {
      return segments.stream().mapToInt(s -> s.row() + s.count() - 1).toArray();
    }
  }
}
