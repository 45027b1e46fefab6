package dev.gatun.optim;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.cpu.CpuBackend;
import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameter.Kind;
import dev.gatun.nn.Parameters;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OptimizerTest {
  private static final List<Parameter.Spec> SPECS =
      List.of(
          new Parameter.Spec("w", Kind.WEIGHT, Shape.of(3, 7)),
          new Parameter.Spec("w.bias", Kind.BIAS, Shape.of(70)));

  private final CpuBackend backend = CpuBackend.create(1);

  @AfterEach
  void close() {
    backend.close();
  }

  @ParameterizedTest
  @CsvSource({
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight,true",
    "model.embed_tokens.weight,true",
    "lm_head.weight,true",
    "model.layers.0.self_attn.q_proj.bias,false",
    "model.layers.0.input_layernorm.weight,false",
    "model.layers.0.self_attn.q_norm.weight,false",
    "model.norm.weight,false",
    "model.normal.weight,true"
  })
  void whatIsDecayed(String name, boolean decayed) {
    assertThat(ParameterGroup.isDecayed(name)).isEqualTo(decayed);
  }

  @Test
  void groupsAreOneRangeEach() {
    List<ParameterGroup> groups = ParameterGroup.decayed(parameters(), 0.1, 0.3);

    assertThat(groups)
        .containsExactly(
            new ParameterGroup("decay", 0.1, 0.3, List.of(new ParameterGroup.Range(0, 256))),
            new ParameterGroup("no_decay", 0.1, 0, List.of(new ParameterGroup.Range(256, 256))));
  }

  @Test
  void embeddingsAndSecondFactorsMayHaveRatesOfTheirOwn() {
    List<Parameter.Spec> specs =
        List.of(
            new Parameter.Spec("a", Kind.LORA_A, Shape.of(2, 7)),
            new Parameter.Spec("b", Kind.LORA_B, Shape.of(7, 2)),
            new Parameter.Spec("embed_tokens", Kind.EMBEDDING, Shape.of(10, 7)),
            new Parameter.Spec("lm_head", Kind.HEAD, Shape.of(10, 7)));
    TensorArena arena = backend.arena("parameters", Parameters.byteSize(backend, specs, true));
    Parameters parameters = Parameters.allocate(backend, specs, true, arena);

    // In the flat buffers: embedding, head, A, B, each from a multiple of 256.
    assertThat(ParameterGroup.of(parameters, new ParameterGroup.Rates(0.1, 0.01, 1.6), 0.3))
        .containsExactly(
            new ParameterGroup("decay", 0.1, 0.3, List.of(new ParameterGroup.Range(512, 256))),
            new ParameterGroup("lora_b", 1.6, 0.3, List.of(new ParameterGroup.Range(768, 256))),
            new ParameterGroup("embeddings", 0.01, 0.3, List.of(new ParameterGroup.Range(0, 512))));
    assertThat(ParameterGroup.of(parameters, ParameterGroup.Rates.same(0.1), 0.3))
        .containsExactly(
            new ParameterGroup("decay", 0.1, 0.3, List.of(new ParameterGroup.Range(0, 1024))));
  }

  @Test
  void decayTouchesItsGroupOnlyAndGapsStayZero() {
    Parameters parameters = parameters();
    fill(parameters, 1);
    float[] before = parameters.masters().toFloats();
    try (Optimizer optimizer = adamW(parameters)) {
      optimizer.step(1, null);
    }

    float[] after = parameters.masters().toFloats();
    assertThat(after[0]).isEqualTo(before[0] * (1 - 0.01f * 0.5f));
    assertThat(after[256]).isEqualTo(before[256]);
    for (int gap = 21; gap < 256; gap++) {
      assertThat(after[gap]).isZero();
    }
  }

  @Test
  void adamWContinuesFromItsState() {
    continues(this::adamW, "exp_avg.w", "exp_avg_sq.w.bias");
  }

  @Test
  void sgdContinuesFromItsState() {
    continues(
        p -> new Sgd(backend, p, ParameterGroup.decayed(p, 0.01, 0.5), 0.9), "momentum_buffer.w");
  }

  @Test
  void adamW8bitContinuesFromItsState() {
    // 8-bit from 50 elements on: `w` keeps F32, the last block of the bias has a gap.
    continues(
        p ->
            new AdamW8bit(
                backend,
                p,
                ParameterGroup.decayed(p, 0.01, 0.5),
                AdamW.Settings.defaults(),
                50,
                StatePlace.DEVICE),
        "state1.w",
        "state2.w",
        "state1.w.bias",
        "absmax1.w.bias",
        "absmax2.w.bias");
  }

  @Test
  void lionContinuesFromItsState() {
    continues(p -> lion(p, new Lion.Settings(0.9, 0.99, 50)), "state1.w", "absmax1.w.bias");
    continues(p -> lion(p, Lion.Settings.in32bit(0.9, 0.99)), "state1.w", "state1.w.bias");
  }

  private Optimizer lion(Parameters parameters, Lion.Settings settings) {
    return new Lion(
        backend,
        parameters,
        ParameterGroup.decayed(parameters, 0.01, 0.5),
        settings,
        StatePlace.DEVICE);
  }

  @Test
  void adafactorContinuesFromItsState() {
    continues(
        p -> new Adafactor(backend, p, ParameterGroup.decayed(p, 0.01, 0.5)),
        "exp_avg_sq_row.w",
        "exp_avg_sq_col.w",
        "exp_avg_sq.w.bias");
  }

  @Test
  void smallParametersAndEmbeddingsKeep32bitState() {
    List<Parameter.Spec> specs =
        List.of(
            new Parameter.Spec("embedding", Kind.EMBEDDING, Shape.of(100, 50)),
            new Parameter.Spec("head", Kind.HEAD, Shape.of(100, 50)),
            new Parameter.Spec("large", Kind.WEIGHT, Shape.of(64, 64)),
            new Parameter.Spec("small", Kind.WEIGHT, Shape.of(4095)));
    try (TensorArena arena =
        backend.arena("parameters", Parameters.byteSize(backend, specs, true))) {
      Parameters parameters = Parameters.allocate(backend, specs, true, arena);
      try (Optimizer optimizer =
          new AdamW8bit(
              backend,
              parameters,
              ParameterGroup.decayed(parameters, 0.01, 0),
              AdamW.Settings.defaults(),
              AdamW8bit.SMALLEST,
              StatePlace.DEVICE)) {
        Map<String, Tensor> state = optimizer.downloadState();
        assertThat(requireNonNull(state.get("state1.embedding")).dtype()).isEqualTo(DType.F32);
        assertThat(requireNonNull(state.get("state1.head")).dtype()).isEqualTo(DType.U8);
        assertThat(requireNonNull(state.get("state1.large")).dtype()).isEqualTo(DType.U8);
        assertThat(requireNonNull(state.get("state1.small")).dtype()).isEqualTo(DType.F32);
        assertThat(requireNonNull(state.get("absmax2.head")).count()).isEqualTo(20);
      }
      long codes = 5120 + 4096;
      long scales = 256; // 36 of 4 bytes, aligned
      long map = 4 * 256;
      long full = 4 * (5120 + 4096);
      assertThat(AdamW8bit.byteSize(parameters.all(), AdamW8bit.SMALLEST))
          .isEqualTo(2 * (codes + scales + map + full));
    }
  }

  private void continues(Function<Parameters, Optimizer> create, String... names) {
    Parameters whole = parameters();
    fill(whole, 1);
    Parameters halves = parameters();
    fill(halves, 1);
    Map<String, Tensor> state;
    try (Optimizer optimizer = create.apply(whole)) {
      run(whole, optimizer, 0, 6);
    }
    try (Optimizer optimizer = create.apply(halves)) {
      run(halves, optimizer, 0, 3);
      state = optimizer.downloadState();
    }
    assertThat(state).containsKeys(names);
    try (Optimizer optimizer = create.apply(halves)) {
      optimizer.restore(state, 3);
      run(halves, optimizer, 3, 6);
      assertThat(optimizer.stepCount()).isEqualTo(6);
      assertThatThrownBy(() -> optimizer.restore(Map.of(), 3))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("missing");
    }

    assertThat(halves.masters().toFloats()).containsExactly(whole.masters().toFloats());
  }

  @Test
  void clippingScalesTheUpdate() {
    Parameters parameters = parameters();
    gradients(parameters, 5);
    try (GradientNorm norm = new GradientNorm(backend, parameters);
        Optimizer sgd = new Sgd(backend, parameters, ParameterGroup.decayed(parameters, 1, 0), 0)) {
      norm.measure();
      assertThat(norm.clip(0)).isNull();
      double squares = 0;
      for (float g : parameters.gradients().toFloats()) {
        squares += g * (double) g;
      }
      assertThat((double) norm.download())
          .isBetween(Math.sqrt(squares) * (1 - 1e-6), Math.sqrt(squares) * (1 + 1e-6));

      sgd.step(1, norm.clip(0.5));

      float coefficient = 0.5f / (norm.download() + 1e-6f);
      float[] moved = parameters.masters().toFloats();
      float[] gradients = parameters.gradients().toFloats();
      for (int i = 0; i < moved.length; i++) {
        assertThat(Math.abs(moved[i] + coefficient * gradients[i]))
            .as("[%d]: %s", i, moved[i])
            .isLessThanOrEqualTo(2 * Math.ulp(moved[i]));
      }
    }
  }

  private Optimizer adamW(Parameters parameters) {
    return new AdamW(
        backend,
        parameters,
        ParameterGroup.decayed(parameters, 0.01, 0.5),
        AdamW.Settings.defaults());
  }

  private Parameters parameters() {
    TensorArena arena = backend.arena("parameters", Parameters.byteSize(backend, SPECS, true));
    return Parameters.allocate(backend, SPECS, true, arena);
  }

  private void run(Parameters parameters, Optimizer optimizer, int from, int to) {
    for (int step = from; step < to; step++) {
      gradients(parameters, step);
      optimizer.step(1.0 / (1 + step), null);
    }
  }

  private void gradients(Parameters parameters, long seed) {
    Random random = new Random(seed);
    for (Parameter parameter : parameters.all()) {
      backend.upload(requireNonNull(parameter.gradient()), random(parameter.shape(), random));
    }
  }

  private static void fill(Parameters parameters, long seed) {
    Random random = new Random(seed);
    for (Parameter parameter : parameters.all()) {
      parameters.upload(parameter.name(), random(parameter.shape(), random));
    }
  }

  private static Tensor random(Shape shape, Random random) {
    float[] values = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(shape, values);
  }
}
