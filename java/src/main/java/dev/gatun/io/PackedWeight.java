package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A 4-bit weight as bitsandbytes stores it: `W` (packed nibbles), `W.absmax`, `W.quant_map`, with
/// double quantisation also `W.nested_absmax` and `W.nested_quant_map`, and the JSON bytes of
/// `W.quant_state.bitsandbytes__nf4`, for a parameter name `W`.
///
/// @param names the stored tensors it consists of
public record PackedWeight(
    Shape shape,
    int blockSize,
    DType sourceType,
    TensorPlan packed,
    TensorPlan absmax,
    @Nullable NestedScales nested,
    List<String> names) {

  /// The second level of double quantisation.
  public record NestedScales(TensorPlan absmax, TensorPlan map, float offset, int blockSize) {}

  public PackedWeight {
    names = List.copyOf(names);
  }

  private static final String STATE = ".quant_state.";
  private static final String NF4 = "bitsandbytes__nf4";

  /// Whether a parameter is stored in 4 bits: iff it has a quantisation state.
  public static boolean isStored(StoredTensors stored, String name) {
    return stateName(stored, name) != null;
  }

  private static @Nullable String stateName(StoredTensors stored, String name) {
    for (String type : List.of(NF4, "bitsandbytes__fp4")) {
      if (stored.contains(name + STATE + type)) {
        return name + STATE + type;
      }
    }
    return null;
  }

  /// Reads and checks the state of a parameter.
  ///
  /// @param shape what the model asks for
  /// @throws InputException if a part is missing or of the wrong size
  /// @throws UnsupportedException if it is not NF4
  public static PackedWeight read(StoredTensors stored, String name, Shape shape, Backend backend) {
    return new Reader(stored, name, shape, backend).read();
  }

  /// Bytes that [#place] takes from its arena.
  public long arenaBytes() {
    return packed.arenaBytes()
        + absmax.arenaBytes()
        + (nested == null ? 0 : nested.absmax().arenaBytes() + nested.map().arenaBytes());
  }

  /// The weight as an operand of `backend`.
  public Weight.Nf4 place(Backend backend, TensorArena arena) {
    // Nothing here is rounded, so no scratch is taken.
    Tensor nibbles = packed.place(backend, arena, arena);
    Tensor scales = absmax.place(backend, arena, arena);
    Absmax all =
        nested == null
            ? new Absmax.Plain(scales)
            : new Absmax.Nested(
                scales,
                nested.absmax().place(backend, arena, arena),
                nested.map().place(backend, arena, arena),
                nested.offset(),
                nested.blockSize());
    return new Weight.Nf4(nibbles, all, shape.dim(0), shape.dim(1), blockSize, sourceType);
  }

  private static final class Reader {
    private final StoredTensors stored;
    private final String name;
    private final Shape shape;
    private final Backend backend;
    private final List<String> names = new ArrayList<>();

    Reader(StoredTensors stored, String name, Shape shape, Backend backend) {
      this.stored = stored;
      this.name = name;
      this.shape = shape;
      this.backend = backend;
    }

    PackedWeight read() {
      String stateName = String.valueOf(stateName(stored, name));
      names.add(stateName);
      JsonObject state =
          JsonObject.parse(
              stored.fileOf(stateName),
              "tensor " + Quoted.of(stateName),
              TextFiles.decode(
                  stored.fileOf(stateName),
                  " tensor " + Quoted.of(stateName),
                  stored.tensor(stateName).segment().asByteBuffer()));
      checkType(state);
      checkCodebook();
      int blockSize = powerOfTwo(state, "blocksize");
      long blocks = Weight.Nf4.blockCount(shape.count(), blockSize);
      NestedScales nested = state.has("nested_blocksize") ? nested(state, blocks) : null;
      Tensor absmax = part(".absmax", nested == null ? DType.F32 : DType.U8, blocks);
      return new PackedWeight(
          shape,
          blockSize,
          TorchTypes.parse(state.string("dtype"), state.where("dtype")),
          TensorPlan.asStored(packed(), backend),
          TensorPlan.asStored(absmax, backend),
          nested,
          names);
    }

    private void checkType(JsonObject state) {
      String type = state.string("quant_type");
      if (!type.equals("nf4")) {
        throw new UnsupportedException(
            "%s is %s; of 4-bit formats only nf4 is supported"
                .formatted(state.where("quant_type"), Quoted.of(type)));
      }
      List<Integer> storedShape = state.integers("shape", 0, Integer.MAX_VALUE);
      if (!Shape.of(storedShape.stream().mapToLong(i -> i).toArray()).equals(shape)) {
        throw state.bad("shape", "is %s, but the model asks for %s".formatted(storedShape, shape));
      }
    }

    private void checkCodebook() {
      Tensor map = part(".quant_map", DType.F32, 16);
      if (!Arrays.equals(map.toFloats(), Nf4Codec.codebook())) {
        throw new UnsupportedException(
            "%s: tensor %s is not the NF4 code book, and no other is supported"
                .formatted(stored.fileOf(name), Quoted.of(name + ".quant_map")));
      }
    }

    private NestedScales nested(JsonObject state, long blocks) {
      int blockSize = powerOfTwo(state, "nested_blocksize");
      Tensor absmax = part(".nested_absmax", DType.F32, Weight.Nf4.blockCount(blocks, blockSize));
      Tensor map = part(".nested_quant_map", DType.F32, 256);
      return new NestedScales(
          TensorPlan.asStored(absmax, backend),
          TensorPlan.asStored(map, backend),
          (float) state.number("nested_offset"),
          blockSize);
    }

    private static int powerOfTwo(JsonObject state, String key) {
      int value = state.integer(key, 2, 1 << 20);
      if (Integer.bitCount(value) != 1) {
        throw state.bad(key, "is %d, not a power of two".formatted(value));
      }
      return value;
    }

    /// The nibbles; `bnb_4bit_quant_storage` may have stored them under any type.
    private Tensor packed() {
      names.add(name);
      Tensor nibbles = stored.tensor(name);
      long bytes = (shape.count() + 1) / 2;
      if (nibbles.byteSize() != bytes) {
        throw wrongSize(name, nibbles, bytes + " bytes");
      }
      return Tensor.of(nibbles.storage(), nibbles.byteOffset(), DType.U8, Shape.of(bytes));
    }

    private Tensor part(String suffix, DType dtype, long count) {
      names.add(name + suffix);
      Tensor tensor = stored.tensor(name + suffix);
      if (tensor.dtype() != dtype || tensor.count() != count) {
        throw wrongSize(name + suffix, tensor, dtype + " [" + count + "]");
      }
      return tensor.reshape(count);
    }

    private InputException wrongSize(String part, Tensor tensor, String wanted) {
      return new InputException(
          "%s: tensor %s is %s %s, but a 4-bit weight of shape %s needs %s"
              .formatted(
                  stored.fileOf(part),
                  Quoted.of(part),
                  tensor.dtype(),
                  tensor.shape(),
                  shape,
                  wanted));
    }
  }
}
