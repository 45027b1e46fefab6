package dev.gatun.optim;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.DynamicMap;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// An optimiser's moments, 8-bit for some parameters and F32 for others. Downloaded under
/// bitsandbytes' names: `state1.PARAMETER` holds codes (U8) or values (F32), `absmax1.PARAMETER`
/// the scales of codes.
final class MixedState implements AutoCloseable {
  /// What a moment's codes stand for.
  enum Codes {
    SIGNED,
    UNSIGNED
  }

  /// The buffers of one moment.
  private record Moment(Tensor codes, Tensor absmax, Tensor map, Tensor full) {}

  private final Backend backend;
  private final Parameters parameters;
  private final StateLayout layout;
  // Every block of every kernel reads the tables, so they stay on the device.
  private final TensorArena tables;
  private final TensorArena arena;
  private final List<Moment> moments = new ArrayList<>();

  MixedState(
      Backend backend, Parameters parameters, long smallest, List<Codes> kinds, StatePlace place) {
    this.backend = backend;
    this.parameters = parameters;
    layout = new StateLayout(parameters.all(), smallest);
    tables = backend.arena("optimizer tables", StateLayout.tableBytes(kinds.size()));
    try {
      arena = place.arena(backend, "optimizer", layout.momentBytes(kinds.size()));
    } catch (RuntimeException e) {
      tables.close();
      throw e;
    }
    for (Codes kind : kinds) {
      moments.add(moment(kind));
    }
  }

  private Moment moment(Codes kind) {
    Moment moment =
        new Moment(
            zeros(DType.U8, layout.eightBitCount()),
            zeros(DType.F32, layout.eightBitCount() / Blockwise.BLOCK),
            tables.allocate(DType.F32, Shape.of(256)),
            zeros(DType.F32, layout.fullCount()));
    float[] map =
        switch (kind) {
          case SIGNED -> DynamicMap.signed();
          case UNSIGNED -> DynamicMap.unsigned();
        };
    backend.upload(moment.map(), Tensor.ofFloats(Shape.of(256), map));
    return moment;
  }

  private Tensor zeros(DType dtype, long count) {
    Tensor tensor = arena.allocate(dtype, Shape.of(count));
    backend.tensor().zero(tensor);
    return tensor;
  }

  /// The stretches that a range consists of, one update each.
  List<StateLayout.Segment> within(ParameterGroup.Range range) {
    return layout.within(range);
  }

  static ParameterGroup.Range range(StateLayout.Segment segment) {
    return new ParameterGroup.Range(segment.offset(), segment.count());
  }

  /// Moment `index`, counted from 0, of an 8-bit stretch.
  Blockwise blockwise(int index, StateLayout.Segment segment) {
    Moment moment = moments.get(index);
    return new Blockwise(
        moment.codes().rows(segment.stateOffset(), segment.count()),
        moment
            .absmax()
            .rows(segment.stateOffset() / Blockwise.BLOCK, segment.count() / Blockwise.BLOCK),
        moment.map());
  }

  /// Moment `index`, counted from 0, of an F32 stretch.
  Tensor full(int index, StateLayout.Segment segment) {
    return moments.get(index).full().rows(segment.stateOffset(), segment.count());
  }

  Map<String, Tensor> download() {
    Map<String, Tensor> state = new LinkedHashMap<>();
    for (int i = 0; i < moments.size(); i++) {
      Moment device = moments.get(i);
      Moment host =
          new Moment(
              backend.download(device.codes()),
              backend.download(device.absmax()),
              device.map(),
              backend.download(device.full()));
      for (Parameter parameter : parameters.all()) {
        state.putAll(parts(i, host, parameter));
      }
    }
    return state;
  }

  void restore(Map<String, Tensor> state) {
    for (int i = 0; i < moments.size(); i++) {
      for (Parameter parameter : parameters.all()) {
        clearGap(moments.get(i), parameter);
        parts(i, moments.get(i), parameter)
            .forEach(
                (name, target) -> backend.upload(target, StoredState.require(state, name, target)));
      }
    }
  }

  /// Gives what follows a parameter in its last block the code of 0, as an update does.
  private void clearGap(Moment moment, Parameter parameter) {
    StateLayout.Segment at = layout.of(parameter);
    long count = parameter.shape().count();
    int gap = (int) (Math.ceilDiv(count, Blockwise.BLOCK) * (long) Blockwise.BLOCK - count);
    if (at.eightBit() && gap > 0) {
      float[] map = backend.download(moment.map()).toFloats();
      byte[] zeros = new byte[gap];
      Arrays.fill(zeros, (byte) DynamicMap.nearest(map, 0));
      Tensor codes = Tensor.ofBytes(Shape.of(gap), zeros);
      backend.upload(moment.codes().rows(at.stateOffset() + count, gap), codes);
    }
  }

  /// A parameter's share of a moment's buffers by name.
  private Map<String, Tensor> parts(int index, Moment moment, Parameter parameter) {
    StateLayout.Segment at = layout.of(parameter);
    long count = parameter.shape().count();
    String suffix = index + 1 + "." + parameter.name();
    long[] shape = parameter.shape().toArray();
    Map<String, Tensor> parts = new LinkedHashMap<>();
    if (at.eightBit()) {
      long blocks = Math.ceilDiv(count, Blockwise.BLOCK);
      parts.put("state" + suffix, moment.codes().rows(at.stateOffset(), count).reshape(shape));
      parts.put(
          "absmax" + suffix, moment.absmax().rows(at.stateOffset() / Blockwise.BLOCK, blocks));
    } else {
      parts.put("state" + suffix, moment.full().rows(at.stateOffset(), count).reshape(shape));
    }
    return parts;
  }

  @Override
  public void close() {
    arena.close();
    tables.close();
  }
}
