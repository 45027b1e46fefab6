package dev.gatun.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.ModelLoader;
import dev.gatun.io.PeftAdapter;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.ModelWeights;
import dev.gatun.nn.LoraModule;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// PiSSA and LoftQ: updates that start from the weights.
class StartFromWeightsTest {
  private static final Backend backend = CpuBackend.create(2);

  @TempDir private Path directory;

  @AfterAll
  static void closeBackend() {
    backend.close();
  }

  private SftConfigBuilder config() throws IOException {
    return TinyRun.config(directory, 6)
        .evalDatasetPath(TinyRun.rows(directory, 5))
        .loraAlpha(6)
        .rankPattern(Map.of("up_proj", 2));
  }

  private double loss(SftConfigBuilder config) {
    return TinyRun.evaluate(config.build(), backend).rowWeightedLoss();
  }

  @Test
  void pissaBeginsAsTheModelItself() throws IOException {
    double plain = loss(config());
    assertThat(loss(config().initLoraWeights(Initialization.PISSA)))
        .isCloseTo(plain, within(1e-5 * plain));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aPissaAdapterFitsTheStoredCheckpoint(boolean rankStabilized) throws IOException {
    Path output = directory.resolve("pissa");
    SftConfig config =
        config()
            .initLoraWeights(Initialization.PISSA)
            .useRslora(rankStabilized)
            .alphaPattern(Map.of("down_proj", 3.0))
            .outputDir(output)
            .evalStrategy(SftConfig.Interval.STEPS)
            .evalSteps(3.0)
            .build();
    TrainingResult result = new SftTrainer(config, backend).run();

    PeftAdapter saved = AdapterFiles.read(output);
    assertThat(saved.config().rank()).isEqualTo(8);
    assertThat(saved.config().rankPattern()).isEqualTo(Map.of("up_proj", 4));
    assertThat(saved.config().initialization()).isEqualTo(Initialization.KAIMING_UNIFORM);
    double trained = result.evaluation().rowWeightedLoss();
    double before = loss(config());
    double loaded =
        loss(
            SftConfig.builder()
                .modelNameOrPath(TinyRun.model())
                .datasetPath(config.data().datasetPath().getFirst())
                .evalDatasetPath(config.data().evalDatasetPath().getFirst())
                .outputDir(directory.resolve("unused"))
                .adapterNameOrPath(output));
    assertThat(trained).isLessThan(before - 0.1);
    assertThat(loaded).isCloseTo(trained, within(1e-5 * trained));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theyLeaveLessOf4BitErrors(boolean nested) throws IOException {
    SftConfigBuilder config = config().loadIn4bit(true).useBnbNestedQuant(nested);
    double plain = squaredError(config.build(), (_, _, _) -> {});
    double pissa =
        squaredError(config.initLoraWeights(Initialization.PISSA).build(), (_, _, _) -> {});
    double loftq =
        squaredError(
            config.initLoraWeights(Initialization.LOFTQ).build(),
            StartFromWeightsTest::requireBest);
    assertThat(pissa).isLessThan(0.9 * plain);
    assertThat(loftq).isLessThan(0.9 * plain);
  }

  private interface Check {
    /// @param rest what the start leaves of a stored weight
    void of(String path, double[] rest, LoraModule module);
  }

  /// How far the adapted weights are from the stored ones at the start.
  private static double squaredError(SftConfig config, Check check) {
    try (Preparation preparation = Preparation.open(config)) {
      TrainingInputs inputs = preparation.inputs();
      long bytes = ModelLoader.plannedBytes(inputs.checkpoint(), backend, inputs.format());
      try (TensorArena arena = backend.arena("weights", bytes);
          TensorArena dense = backend.arena("dense", 1 << 22)) {
        ModelWeights weights =
            ModelLoader.load(
                inputs.checkpoint(), backend, arena, inputs.format(), inputs.subtracted());
        double sum = 0;
        for (Map.Entry<String, LoraModule> entry : inputs.training().adapters().entrySet()) {
          String path = entry.getKey();
          Tensor stored = inputs.checkpoint().tensor(path + ".weight");
          long mark = dense.mark();
          Tensor base = dense.allocate(DType.F32, stored.shape());
          backend.quant().dequantize(base, weights.linear(path));
          double[] rest = rest(stored.toFloats(), base.toFloats(), entry.getValue());
          check.of(path, rest, entry.getValue());
          sum += Arrays.stream(rest).map(x -> x * x).sum();
          dense.release(mark);
        }
        return sum;
      }
    }
  }

  private static double[] rest(float[] stored, float[] base, LoraModule module) {
    float[] a = module.a().toFloats();
    float[] b = module.b().toFloats();
    int rank = module.adapted().rank();
    int in = a.length / rank;
    double[] rest = new double[stored.length];
    for (int i = 0; i < stored.length; i++) {
      double product = 0;
      for (int r = 0; r < rank; r++) {
        product += b[i / in * rank + r] * a[r * in + i % in];
      }
      rest[i] = stored[i] - base[i] - module.adapted().scale() * product;
    }
    return rest;
  }

  /// Of the best approximation of given rank nothing is left along its factors.
  private static void requireBest(String path, double[] rest, LoraModule module) {
    float[] a = module.a().toFloats();
    float[] b = module.b().toFloats();
    int rank = module.adapted().rank();
    int in = a.length / rank;
    for (int r = 0; r < rank; r++) {
      double worst = 0;
      double size = 0;
      for (int o = 0; o < rest.length / in; o++) {
        double along = 0;
        for (int i = 0; i < in; i++) {
          along += rest[o * in + i] * a[r * in + i];
        }
        worst = Math.max(worst, Math.abs(along));
        size = Math.max(size, Math.abs(b[o * rank + r]));
      }
      double norm = 0;
      for (int i = 0; i < in; i++) {
        norm += a[r * in + i] * a[r * in + i];
      }
      assertThat(worst).as("%s, row %d of A", path, r).isLessThan(1e-4 * size * norm);
    }
  }

  @Test
  void whatTheyNeed() throws IOException {
    assertThatThrownBy(() -> config().initLoraWeights(Initialization.LOFTQ).build())
        .isInstanceOf(InputException.class)
        .hasMessageContaining("load_in_4bit: true");
    assertThatThrownBy(() -> config().initLoraWeights(Initialization.PISSA).useDora(true).build())
        .isInstanceOf(InputException.class)
        .hasMessageContaining("use_dora");
  }
}
