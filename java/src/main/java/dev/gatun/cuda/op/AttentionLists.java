package dev.gatun.cuda.op;

import static dev.gatun.cuda.op.DeviceStorage.pointer;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.op.AttentionOps;
import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Work lists of the attention kernels, I32 `[capacity, 2]`: every tile of every sequence, heaviest
/// first, written by one block of the device.
record AttentionLists(Map<Key, Tensor> lists) implements AttentionOps.Plan {

  /// What a list is for.
  ///
  /// @param tile rows of a block
  /// @param overKeys tiles of keys, in the pass of their gradients, rather than of queries
  record Key(int tile, int window, boolean overKeys) {}

  /// The list that a pass over `sequences` was planned with, or null.
  static @Nullable Tensor planned(Sequences sequences, Key key) {
    return sequences.plan() instanceof AttentionLists plan ? plan.lists().get(key) : null;
  }

  /// Entries that are enough for sequences of `rows` rows in all.
  private static int capacity(long rows, int tile, int sequences) {
    return Math.toIntExact(rows / tile + sequences);
  }

  /// Bytes of a list in an arena.
  static long byteSize(long rows, int tile, int sequences) {
    return TensorArena.sizeOf(DType.I32, 2L * capacity(rows, tile, sequences));
  }

  /// Launches `attention_tiles`.
  static final class Maker {
    private static final KernelSpec<Tiles> TILES =
        new KernelSpec<>("attention", "attention_tiles", Tiles.class);
    private static final int INNER_TILE = 64;

    private final Launcher launcher;
    private final Kernel<Tiles> tiles;

    Maker(Launcher launcher) {
      this.launcher = launcher;
      tiles = launcher.kernel(TILES);
    }

    /// Every list of `keys`, in `arena`.
    AttentionLists make(
        Set<Key> keys, Sequences sequences, AttentionOps.Passes passes, TensorArena arena) {
      Map<Key, Tensor> lists = new LinkedHashMap<>();
      for (Key key : keys) {
        long rows = key.overKeys() ? passes.keyRows() : passes.queryRows();
        lists.put(key, make(key, sequences, rows, arena));
      }
      return new AttentionLists(Map.copyOf(lists));
    }

    /// One list, in `arena`.
    ///
    /// @param rows an upper bound of the rows of all sequences
    Tensor make(Key key, Sequences sequences, long rows, TensorArena arena) {
      int capacity = capacity(rows, key.tile(), sequences.count());
      Tensor list = arena.allocate(DType.I32, Shape.of(capacity, 2));
      launcher.launch(
          tiles,
          LaunchConfig.of(1, 1024),
          new Tiles(
              pointer(list),
              pointer(sequences.queryStart(), DType.I32, "queryStart"),
              pointer(sequences.keyStart(), DType.I32, "keyStart"),
              pointer(sequences.keyLength(), DType.I32, "keyLength"),
              sequences.count(),
              capacity,
              sequences.longestKey(),
              key.tile(),
              INNER_TILE,
              key.window(),
              key.overKeys() ? 1 : 0));
      return list;
    }
  }

  record Tiles(
      DevicePtr tiles,
      DevicePtr queryStart,
      DevicePtr keyStart,
      DevicePtr keyLength,
      int sequences,
      int capacity,
      int longestKey,
      int tile,
      int inner,
      int window,
      int overKeys) {}
}
