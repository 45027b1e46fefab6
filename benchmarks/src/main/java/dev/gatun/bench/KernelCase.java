package dev.gatun.bench;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// One op at one shape.
///
/// @param op what is measured: `nf4_linear_forward`
/// @param shape its sizes, for people
/// @param flops floating-point operations that the result takes; 0 where they do not matter
/// @param bytes memory traffic that cannot be avoided: every input read once, every output written
///   once
/// @param prepare makes inputs and returns the work
/// @param bare makes the work that no implementation can do without, its matrix products alone;
///   null where the ceilings say all
record KernelCase(
    String op,
    String shape,
    double flops,
    double bytes,
    Function<Workplace, Runnable> prepare,
    @Nullable Function<Workplace, Runnable> bare) {
  KernelCase(
      String op, String shape, double flops, double bytes, Function<Workplace, Runnable> prepare) {
    this(op, shape, flops, bytes, prepare, null);
  }

  String name() {
    return op + " " + shape;
  }
}
