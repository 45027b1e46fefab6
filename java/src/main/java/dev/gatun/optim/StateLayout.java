package dev.gatun.optim;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import java.util.ArrayList;
import java.util.List;

/// Which stretches of the flat buffers have 8-bit state, as bitsandbytes and transformers decide
/// it: parameters below a size, and embeddings, keep F32. The 8-bit stretches lie one after the
/// other in buffers of their own, and so do the F32 ones.
final class StateLayout {
  /// A stretch of adjacent parameters with state of one kind.
  ///
  /// @param offset first element in the flat buffers
  /// @param count elements, gaps included
  /// @param stateOffset first element in the state buffers of its kind
  record Segment(long offset, long count, boolean eightBit, long stateOffset) {
    long end() {
      return offset + count;
    }
  }

  private final List<Segment> segments = new ArrayList<>();
  private long eightBitCount;
  private long fullCount;

  /// @param parameters in the order of the flat buffers
  /// @param smallest elements from which on a parameter has 8-bit state
  StateLayout(List<Parameter> parameters, long smallest) {
    for (Parameter parameter : parameters) {
      long count = parameter.shape().count();
      boolean eightBit = count >= smallest && parameter.kind() != Parameter.Kind.EMBEDDING;
      add(parameter.offset(), Math.ceilDiv(count, Parameters.ALIGNMENT), eightBit);
    }
  }

  private void add(long offset, long blocks, boolean eightBit) {
    long count = blocks * Parameters.ALIGNMENT;
    Segment last = segments.isEmpty() ? null : segments.getLast();
    if (last != null && last.eightBit() == eightBit && last.end() == offset) {
      segments.set(
          segments.size() - 1,
          new Segment(last.offset(), last.count() + count, eightBit, last.stateOffset()));
    } else {
      segments.add(new Segment(offset, count, eightBit, eightBit ? eightBitCount : fullCount));
    }
    if (eightBit) {
      eightBitCount += count;
    } else {
      fullCount += count;
    }
  }

  /// The stretches of one kind each that a range consists of.
  List<Segment> within(ParameterGroup.Range range) {
    List<Segment> parts = new ArrayList<>();
    for (Segment segment : segments) {
      long from = Math.max(segment.offset(), range.offset());
      long to = Math.min(segment.end(), range.offset() + range.count());
      if (from < to) {
        long stateOffset = segment.stateOffset() + from - segment.offset();
        parts.add(new Segment(from, to - from, segment.eightBit(), stateOffset));
      }
    }
    return parts;
  }

  /// Where the state of one parameter lies.
  Segment of(Parameter parameter) {
    return within(new ParameterGroup.Range(parameter.offset(), parameter.shape().count()))
        .getFirst();
  }

  long eightBitCount() {
    return eightBitCount;
  }

  long fullCount() {
    return fullCount;
  }

  /// Bytes of `moments` moments, their tables among them.
  long byteSize(int moments) {
    return tableBytes(moments) + momentBytes(moments);
  }

  /// Bytes of what codes stand for, for `moments` moments.
  static long tableBytes(int moments) {
    return moments * TensorArena.sizeOf(DType.F32, 256);
  }

  /// Bytes of `moments` moments without tables.
  long momentBytes(int moments) {
    long codes = TensorArena.sizeOf(DType.U8, eightBitCount);
    long scales = TensorArena.sizeOf(DType.F32, eightBitCount / Blockwise.BLOCK);
    return moments * (codes + scales + TensorArena.sizeOf(DType.F32, fullCount));
  }
}
