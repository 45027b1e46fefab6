package dev.gatun.bench;

import dev.gatun.op.Backend;
import dev.gatun.op.Nf4Layout;
import dev.gatun.op.Projection;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/// Tensors of one benchmark case, freed together.
final class Workplace implements AutoCloseable {
  private final Backend backend;
  private final RandomPool values;
  private final List<TensorArena> arenas = new ArrayList<>();

  Workplace(Backend backend, RandomPool values) {
    this.backend = backend;
    this.values = values;
  }

  Backend backend() {
    return backend;
  }

  /// Scratch of its own.
  TensorArena arena(long bytes) {
    TensorArena arena = backend.arena("benchmark", Math.max(bytes, TensorArena.ALIGNMENT));
    arenas.add(arena);
    return arena;
  }

  private Tensor allocate(DType type, long... dims) {
    Shape shape = Shape.of(dims);
    return arena(TensorArena.sizeOf(type, shape.count())).allocate(type, shape);
  }

  /// Normally distributed values.
  Tensor random(DType type, long... dims) {
    Tensor tensor = allocate(type, dims);
    values.fill(tensor);
    return tensor;
  }

  /// Normally distributed values of the activation type.
  Tensor activation(long... dims) {
    return random(backend.activationType(), dims);
  }

  /// Zeros, for figures and sums.
  Tensor zeros(DType type, long... dims) {
    Tensor tensor = allocate(type, dims);
    backend.tensor().zero(tensor);
    return tensor;
  }

  Tensor ints(int... values) {
    Tensor tensor = allocate(DType.I32, values.length);
    backend.upload(tensor, Tensor.ofInts(Shape.of(values.length), values));
    return tensor;
  }

  Weight.Dense dense(long out, long in) {
    return new Weight.Dense(random(DType.BF16, out, in));
  }

  /// A random matrix in double NF4.
  Weight.Nf4 nf4(long out, long in) {
    Nf4Layout layout = new Nf4Layout(out, in, Nf4Codec.BLOCK, true, DType.BF16);
    Weight.Nf4 empty = layout.allocate(arena(layout.arenaBytes()));
    long sourceBytes = TensorArena.sizeOf(DType.BF16, out * in);
    long scratchBytes = TensorArena.sizeOf(DType.F32, empty.absmax().count());
    try (TensorArena passing = backend.arena("source", sourceBytes + scratchBytes)) {
      Tensor source = passing.allocate(DType.BF16, Shape.of(out, in));
      values.fill(source);
      Weight.Nf4 filled = backend.quant().quantize(empty, source, passing);
      backend.synchronize();
      return filled;
    }
  }

  /// Compute copies of a low-rank update, both halves random.
  Projection.Lora lora(long out, long in, int rank) {
    return new Projection.Lora(activation(rank, in), activation(out, rank), 2, null);
  }

  @Override
  public void close() {
    backend.synchronize();
    arenas.reversed().forEach(TensorArena::close);
  }
}
