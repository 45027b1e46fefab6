package dev.gatun.conformance;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.InputException;
import dev.gatun.Tolerances;
import dev.gatun.UnsupportedException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.io.Checkpoint;
import dev.gatun.io.WeightFormat;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.nn.BatchInput;
import dev.gatun.nn.Limits;
import dev.gatun.nn.LoraModule;
import dev.gatun.nn.LoraTargets;
import dev.gatun.nn.ModulesToSave;
import dev.gatun.nn.Training;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/// Embedding and head trained beside an adapter on a model that ties them, against PEFT.
class ModulesToSaveTest {
  private static final JsonNode GOLDEN =
      KitFiles.json(resource("/dev/gatun/conformance/modules-to-save/golden.json"));

  @ParameterizedTest
  @ValueSource(strings = {"both", "embedding", "head", "tied"})
  void gradientsAreThoseOfPeft(String name) {
    JsonNode golden = GOLDEN.path("cases").path(name);
    try (Checkpoint checkpoint =
            Checkpoint.open(resource("/conformance/models/llama_tied_mha/model"));
        CpuBackend backend = CpuBackend.create(1);
        ModelRun run =
            ModelRun.load(
                new Engine(backend),
                checkpoint,
                new WeightFormat.AsStored(),
                training(checkpoint, golden),
                Limits.training(12, 1, 12))) {
      int[] ids = KitFiles.ints(GOLDEN.path("ids"));
      BatchInput input =
          BatchInput.ofLabels(ids, new int[] {ids.length}, KitFiles.ints(GOLDEN.path("labels")));
      ModelRun.Gradients gradients = run.gradients(input);

      assertThat(gradients.loss())
          .isCloseTo(golden.path("loss").asDouble(), within(Tolerances.SINGLE));
      assertThat(gradients.values().keySet())
          .containsExactlyInAnyOrderElementsOf(golden.path("gradients").propertyNames());
      gradients
          .values()
          .forEach((parameter, gradient) ->
              compare(parameter, gradient, golden.path("gradients").path(parameter)));
    }
  }

  private static void compare(String parameter, Tensor gradient, JsonNode golden) {
    float[] values = gradient.toFloats();
    double squares = 0;
    for (float value : values) {
      squares += (double) value * value;
    }
    double norm = golden.path("norm").asDouble();
    assertThat(Math.sqrt(squares)).as(parameter).isCloseTo(norm, within(norm * Tolerances.SINGLE));
    int columns = Math.toIntExact(gradient.cols());
    golden
        .path("rows")
        .properties()
        .forEach(row -> {
          for (int i = 0; i < row.getValue().size(); i++) {
            assertThat((double) values[Integer.parseInt(row.getKey()) * columns + i])
                .as("%s row %s element %d", parameter, row.getKey(), i)
                .isCloseTo(row.getValue().path(i).asDouble(), within(norm * Tolerances.SINGLE));
          }
        });
  }

  private static Training training(Checkpoint checkpoint, JsonNode golden) {
    LoraConfig lora =
        config(
            golden.path("modules_to_save").valueStream().map(JsonNode::asString).toList(),
            golden.path("ensure_weight_tying").asBoolean());
    SortedMap<String, LoraModule> modules = new TreeMap<>();
    LoraTargets.resolve(lora, checkpoint.config())
        .forEach((path, adapted) -> {
          Shape weight = checkpoint.tensor(path + ".weight").shape();
          Shape a = Shape.of(2, weight.dim(1));
          Shape b = Shape.of(weight.dim(0), 2);
          modules.put(path, new LoraModule(adapted, wave(null, a, 0.1, 1), wave(null, b, 0.2, 2)));
        });
    Tensor base = checkpoint.tensor("model.embed_tokens.weight");
    Map<String, Tensor> starts = new HashMap<>();
    starts.put("model.embed_tokens", wave(base, base.shape(), 0.05, 3));
    starts.put("lm_head", wave(base, base.shape(), 0.05, 4));
    return new Training.Lora(
        modules, ModulesToSave.resolve(lora, checkpoint.config()).startingFrom(starts));
  }

  /// The generator's formula.
  private static Tensor wave(@Nullable Tensor base, Shape shape, double scale, double phase) {
    float[] values =
        base == null ? new float[Math.toIntExact(shape.count())] : base.toFloats().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (values[i] + scale * Math.sin(0.7 * i + phase));
    }
    return Tensor.ofFloats(shape, values);
  }

  @Test
  void refusesOtherModulesByName() {
    try (Checkpoint checkpoint =
        Checkpoint.open(resource("/conformance/models/llama_tied_mha/model"))) {
      assertThatThrownBy(
              () -> ModulesToSave.resolve(config(List.of("norm"), false), checkpoint.config()))
          .isInstanceOf(UnsupportedException.class)
          .hasMessageContaining("layernorm");
      assertThatThrownBy(
              () -> ModulesToSave.resolve(config(List.of("score"), false), checkpoint.config()))
          .isInstanceOf(InputException.class)
          .isNotInstanceOf(UnsupportedException.class)
          .hasMessageContaining("score");
    }
  }

  private static LoraConfig config(List<String> modulesToSave, boolean tied) {
    return LoraConfig.builder(new Modules.Names(List.of("q_proj")))
        .rank(2)
        .alpha(3)
        .modulesToSave(modulesToSave)
        .ensureWeightTying(tied)
        .build();
  }

  private static Path resource(String name) {
    try {
      return Path.of(requireNonNull(ModulesToSaveTest.class.getResource(name), name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
