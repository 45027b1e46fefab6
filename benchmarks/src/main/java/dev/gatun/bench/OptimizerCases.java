package dev.gatun.bench;

import dev.gatun.op.OptimizerOps;
import dev.gatun.op.OptimizerOps.Blockwise;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.DynamicMap;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/// Updates of all parameters of an adapter. An 8-bit moment is a byte and its share of a scale, in
/// and out.
final class OptimizerCases {
  private static final double CODE_BYTES = 2 * (1 + 4.0 / Blockwise.BLOCK);

  private final int count;
  private final long elementBytes;
  private final List<KernelCase> cases = new ArrayList<>();

  private OptimizerCases(int count, long elementBytes) {
    this.count = count;
    this.elementBytes = elementBytes;
  }

  static List<KernelCase> of(ModelShape model, DType activationType) {
    OptimizerCases all = new OptimizerCases(model.parameters(), activationType.bytes());
    all.adamW();
    all.adamW8bit();
    all.lion8bit();
    all.gradientNorm();
    return all.cases;
  }

  private void add(
      String op, String shape, double flops, double bytes, Function<Workplace, Runnable> prepare) {
    cases.add(new KernelCase(op, shape, flops, bytes, prepare));
  }

  private void adamW() {
    // Parameter, gradient, two moments in; parameter, two moments, copy out.
    add(
        "adamw",
        count + " parameters",
        0,
        (double) count * (7 * 4 + elementBytes),
        place -> {
          Tensor parameter = place.random(DType.F32, count);
          Tensor gradient = place.random(DType.F32, count);
          Tensor m = place.zeros(DType.F32, count);
          Tensor v = place.zeros(DType.F32, count);
          Tensor copy = place.activation(count);
          OptimizerOps.AdamW step = new OptimizerOps.AdamW(1e-4, 0.9, 0.999, 1e-8, 0.01, 1);
          return () ->
              place.backend().optimizer().adamW(parameter, gradient, m, v, copy, null, step);
        });
  }

  private void adamW8bit() {
    add(
        "adamw_8bit",
        count + " parameters",
        0,
        count * (3 * 4 + 2 * CODE_BYTES + elementBytes),
        place -> {
          Tensor parameter = place.random(DType.F32, count);
          Tensor gradient = place.random(DType.F32, count);
          Blockwise m = moment(place, DynamicMap.signed());
          Blockwise v = moment(place, DynamicMap.unsigned());
          Tensor copy = place.activation(count);
          OptimizerOps.AdamW step = new OptimizerOps.AdamW(1e-4, 0.9, 0.999, 1e-8, 0.01, 1);
          return () ->
              place.backend().optimizer().adamW8bit(parameter, gradient, m, v, copy, null, step);
        });
  }

  private void lion8bit() {
    add(
        "lion_8bit",
        count + " parameters",
        0,
        count * (3 * 4 + CODE_BYTES + elementBytes),
        place -> {
          Tensor parameter = place.random(DType.F32, count);
          Tensor gradient = place.random(DType.F32, count);
          Blockwise m = moment(place, DynamicMap.signed());
          Tensor copy = place.activation(count);
          OptimizerOps.Lion step = new OptimizerOps.Lion(1e-4, 0.9, 0.99, 0.01);
          return () ->
              place.backend().optimizer().lion8bit(parameter, gradient, m, copy, null, step);
        });
  }

  private Blockwise moment(Workplace place, float[] map) {
    Tensor device = place.zeros(DType.F32, map.length);
    place.backend().upload(device, Tensor.ofFloats(Shape.of(map.length), map));
    return new Blockwise(
        place.zeros(DType.U8, count),
        place.zeros(DType.F32, Math.ceilDiv(count, Blockwise.BLOCK)),
        device);
  }

  private void gradientNorm() {
    add(
        "gradient_norm",
        count + " parameters",
        0,
        (double) count * 4,
        place -> {
          Tensor gradient = place.random(DType.F32, count);
          Tensor norm = place.zeros(DType.F32, 1);
          OptimizerOps ops = place.backend().optimizer();
          TensorArena scratch = place.arena(ops.scratchBytes(count, 1));
          return () -> ops.globalNorm(norm, List.of(gradient), scratch);
        });
  }
}
