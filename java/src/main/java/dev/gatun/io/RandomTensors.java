package dev.gatun.io;

import dev.gatun.io.ShardFile.Sink;
import dev.gatun.quant.DynamicMap;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.Bf16;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.PlannedStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// One parameter of a random checkpoint: the tensors it is stored as, and the tasks that write
/// them, each for itself and in bounded memory.
sealed interface RandomTensors {
  /// Elements that a task holds at a time; a multiple of every block size.
  int CHUNK = 1 << 20;

  /// Stored tensors by name, without memory.
  Map<String, Tensor> stored();

  /// Tasks that write all of it, in any order.
  List<ShardFile.Task> tasks();

  /// Every element the same: norms and biases.
  record Constant(String name, DType type, Shape shape, float value) implements RandomTensors {
    @Override
    public Map<String, Tensor> stored() {
      return Map.of(name, PlannedStorage.tensor(type, shape));
    }

    @Override
    public List<ShardFile.Task> tasks() {
      float[] values = new float[Math.toIntExact(shape.count())];
      Arrays.fill(values, value);
      return List.of(sink -> sink.write(name, 0, bytes(values, values.length, type)));
    }
  }

  /// Normally distributed elements in a floating type.
  record Normal(String name, DType type, Shape shape, NormalLevels levels, long seed)
      implements RandomTensors {
    @Override
    public Map<String, Tensor> stored() {
      return Map.of(name, PlannedStorage.tensor(type, shape));
    }

    @Override
    public List<ShardFile.Task> tasks() {
      long stream = NormalLevels.stream(seed, name);
      List<ShardFile.Task> tasks = new ArrayList<>();
      for (long from = 0; from < shape.count(); from += CHUNK) {
        long start = from;
        int count = (int) Math.min(CHUNK, shape.count() - from);
        tasks.add(sink -> {
          float[] values = new float[count];
          levels.fill(values, stream, start, count);
          sink.write(name, start * type.bytes(), bytes(values, count, type));
        });
      }
      return tasks;
    }
  }

  /// The same elements quantised to double NF4 as bitsandbytes stores them (see [PackedWeight]).
  record Packed(String name, DType type, Shape shape, NormalLevels levels, long seed)
      implements RandomTensors {
    /// Room for the JSON of the state, which is filled up with blanks.
    private static final int STATE_BYTES = 256;

    private String stateName() {
      return name + ".quant_state.bitsandbytes__nf4";
    }

    private int blocks() {
      return Math.toIntExact(Weight.Nf4.blockCount(shape.count(), Nf4Codec.BLOCK));
    }

    private int nestedBlocks() {
      return Math.toIntExact(Weight.Nf4.blockCount(blocks(), Nf4Codec.NESTED_BLOCK));
    }

    @Override
    public Map<String, Tensor> stored() {
      Map<String, Tensor> stored = new LinkedHashMap<>();
      stored.put(name, PlannedStorage.tensor(DType.U8, Shape.of((shape.count() + 1) / 2, 1)));
      stored.put(name + ".absmax", PlannedStorage.tensor(DType.U8, Shape.of(blocks())));
      stored.put(name + ".quant_map", PlannedStorage.tensor(DType.F32, Shape.of(16)));
      stored.put(
          name + ".nested_absmax", PlannedStorage.tensor(DType.F32, Shape.of(nestedBlocks())));
      stored.put(name + ".nested_quant_map", PlannedStorage.tensor(DType.F32, Shape.of(256)));
      stored.put(stateName(), PlannedStorage.tensor(DType.U8, Shape.of(STATE_BYTES)));
      return stored;
    }

    @Override
    public List<ShardFile.Task> tasks() {
      return List.of(this::write);
    }

    private void write(Sink sink) throws IOException {
      long stream = NormalLevels.stream(seed, name);
      float[] absmax = new float[blocks()];
      float[] values = new float[(int) Math.min(CHUNK, shape.count())];
      byte[] nibbles = new byte[values.length];
      byte[] packed = new byte[(values.length + 1) / 2];
      for (long from = 0; from < shape.count(); from += CHUNK) {
        int count = (int) Math.min(CHUNK, shape.count() - from);
        levels.fill(values, stream, from, count);
        quantize(values, count, nibbles, absmax, Math.toIntExact(from / Nf4Codec.BLOCK));
        Nf4Codec.pack(nibbles, count, packed);
        sink.write(name, from / 2, ByteBuffer.wrap(packed, 0, (count + 1) / 2));
      }
      writeScales(sink, absmax);
    }

    private static void quantize(
        float[] values, int count, byte[] nibbles, float[] absmax, int firstBlock) {
      for (int from = 0; from < count; from += Nf4Codec.BLOCK) {
        int size = Math.min(Nf4Codec.BLOCK, count - from);
        float largest = Nf4Codec.absmax(values, from, size);
        absmax[firstBlock + from / Nf4Codec.BLOCK] = largest;
        Nf4Codec.quantizeBlock(values, from, size, largest, nibbles, from);
      }
    }

    private void writeScales(Sink sink, float[] absmax) throws IOException {
      float offset = Nf4Codec.offset(absmax);
      byte[] codes = new byte[absmax.length];
      float[] nested = new float[nestedBlocks()];
      Nf4Codec.quantizeScales(absmax, offset, codes, nested);
      sink.write(name + ".absmax", 0, ByteBuffer.wrap(codes));
      sink.write(name + ".quant_map", 0, bytes(Nf4Codec.codebook(), 16, DType.F32));
      sink.write(name + ".nested_absmax", 0, bytes(nested, nested.length, DType.F32));
      sink.write(name + ".nested_quant_map", 0, bytes(DynamicMap.signed(), 256, DType.F32));
      sink.write(stateName(), 0, ByteBuffer.wrap(state(offset)));
    }

    private byte[] state(float offset) {
      String json =
          """
          {"quant_type": "nf4", "blocksize": %d, "dtype": "%s", "shape": [%d, %d], \
          "nested_blocksize": %d, "nested_dtype": "float32", "nested_offset": %s}\
          """
              .formatted(
                  Nf4Codec.BLOCK,
                  TorchTypes.name(type),
                  shape.dim(0),
                  shape.dim(1),
                  Nf4Codec.NESTED_BLOCK,
                  PythonJson.repr(offset));
      byte[] padded = Arrays.copyOf(json.getBytes(StandardCharsets.US_ASCII), STATE_BYTES);
      Arrays.fill(padded, json.length(), STATE_BYTES, (byte) ' ');
      return padded;
    }
  }

  private static ByteBuffer bytes(float[] values, int count, DType type) {
    ByteBuffer bytes = ByteBuffer.allocate(count * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    switch (type) {
      case F32 -> bytes.asFloatBuffer().put(values, 0, count);
      case BF16, F16 -> {
        short[] bits = new short[count];
        for (int i = 0; i < count; i++) {
          bits[i] = type == DType.BF16 ? Bf16.of(values[i]) : Float.floatToFloat16(values[i]);
        }
        bytes.asShortBuffer().put(bits);
      }
      case F64, I64, I32, I16, I8, U8, BOOL ->
          throw new IllegalArgumentException("no weights of type " + type);
    }
    return bytes;
  }
}
