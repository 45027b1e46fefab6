package dev.gatun.nn;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.nn.Parameter.Kind;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ParametersTest {
  private static final List<Parameter.Spec> SPECS =
      List.of(
          new Parameter.Spec("norm", Kind.NORM, Shape.of(5)),
          new Parameter.Spec("b", Kind.WEIGHT, Shape.of(3, 30)),
          new Parameter.Spec("bias", Kind.BIAS, Shape.of(64)),
          new Parameter.Spec("a", Kind.WEIGHT, Shape.of(2, 2)));

  private final CpuBackend backend = CpuBackend.create(1);
  private TensorArena arena;
  private Parameters parameters;

  @BeforeEach
  void allocate() {
    arena = backend.arena("parameters", Parameters.byteSize(backend, SPECS, true));
    parameters = Parameters.allocate(backend, SPECS, true, arena);
  }

  @AfterEach
  void close() {
    backend.close();
  }

  @Test
  void lieByKindAndThenAsGivenAtAlignedPlaces() {
    assertThat(parameters.all().stream().map(Parameter::name))
        .containsExactly("b", "a", "bias", "norm");
    assertThat(parameters.all().stream().map(Parameter::offset))
        .containsExactly(0L, 256L, 512L, 768L);
    assertThat(parameters.masters().count()).isEqualTo(1024);
    assertThat(parameters.count()).isEqualTo(4 + 90 + 64 + 5);
    assertThat(arena.peakBytes()).isEqualTo(arena.capacityBytes());
  }

  @Test
  void viewTheFlatBuffers() {
    float[] values = new float[90];
    for (int i = 0; i < values.length; i++) {
      values[i] = i + 1;
    }
    parameters.upload("b", Tensor.ofFloats(Shape.of(3, 30), values));

    float[] flat = parameters.masters().toFloats();
    assertThat(flat[0]).isEqualTo(1);
    assertThat(flat[89]).isEqualTo(90);
    assertThat(flat[90]).isZero();
    assertThat(flat[255]).isZero();
    assertThat(flat[256]).isZero();
    assertThat(requireNonNull(parameters.download().get("b")).toFloats()).containsExactly(values);
    assertThat(parameters.named("b").compute().toFloats()).containsExactly(values);
  }

  @Test
  void refuseOtherShapesAndNames() {
    assertThatThrownBy(() -> parameters.upload("b", Tensor.ofFloats(Shape.of(1), 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("[3, 30]");
    assertThatThrownBy(() -> parameters.named("c"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("c");
  }

  @Test
  void frozenOnesHaveNoGradients() {
    try (TensorArena other = backend.arena("frozen", Parameters.byteSize(backend, SPECS, false))) {
      Parameters frozen = Parameters.allocate(backend, SPECS, false, other);

      assertThat(frozen.isTrainable()).isFalse();
      assertThat(frozen.named("a").gradient()).isNull();
      assertThatThrownBy(frozen::zeroGradients).isInstanceOf(IllegalStateException.class);
    }
  }
}
