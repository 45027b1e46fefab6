package dev.gatun.optim;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameter.Kind;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// State in host memory moves parameters exactly as state in the backend's memory does, and is the
/// same when it is saved, on any backend.
public abstract class PagedStateContract {
  /// Embeddings and small parameters keep F32 state; the 8-bit ones end inside of a block.
  private static final List<Parameter.Spec> SPECS =
      List.of(
          new Parameter.Spec("model.embed_tokens.weight", Kind.EMBEDDING, Shape.of(100, 50)),
          new Parameter.Spec("a", Kind.LORA_A, Shape.of(16, 1000)),
          new Parameter.Spec("b", Kind.LORA_B, Shape.of(777, 123)),
          new Parameter.Spec("model.norm.weight", Kind.NORM, Shape.of(50)));

  private static final int STEPS = 6;

  protected abstract Backend backend();

  /// The optimisers that can be paged.
  enum Paged {
    ADAMW,
    ADAMW_8BIT,
    LION,
    LION_8BIT;

    Optimizer create(Backend backend, Parameters parameters, StatePlace place) {
      List<ParameterGroup> groups = ParameterGroup.decayed(parameters, 0.01, 0.1);
      AdamW.Settings adamW = AdamW.Settings.defaults();
      return switch (this) {
        case ADAMW -> new AdamW(backend, parameters, groups, adamW, place);
        case ADAMW_8BIT ->
            new AdamW8bit(backend, parameters, groups, adamW, AdamW8bit.SMALLEST, place);
        case LION -> new Lion(backend, parameters, groups, Lion.Settings.in32bit(0.9, 0.99), place);
        case LION_8BIT ->
            new Lion(backend, parameters, groups, Lion.Settings.in8bit(0.9, 0.99), place);
      };
    }
  }

  @ParameterizedTest
  @EnumSource
  void updatesAreTheSameToTheBit(Paged optimizer) {
    assertThat(moved(optimizer, StatePlace.HOST, StatePlace.HOST))
        .usingRecursiveComparison()
        .isEqualTo(moved(optimizer, StatePlace.DEVICE, StatePlace.DEVICE));
    assertThat(moved(optimizer, StatePlace.HOST, StatePlace.DEVICE))
        .usingRecursiveComparison()
        .isEqualTo(moved(optimizer, StatePlace.DEVICE, StatePlace.HOST));
  }

  /// Parameters and state after half of the steps in one place and the others in another.
  private Map<String, Map<String, Object>> moved(Paged kind, StatePlace first, StatePlace second) {
    try (TensorArena arena =
        backend().arena("parameters", Parameters.byteSize(backend(), SPECS, true))) {
      Parameters parameters = Parameters.allocate(backend(), SPECS, true, arena);
      Random random = new Random(11);
      for (Parameter parameter : parameters.all()) {
        parameters.upload(parameter.name(), random(parameter.shape(), random));
      }
      Map<String, Tensor> saved;
      try (Optimizer optimizer = kind.create(backend(), parameters, first)) {
        run(parameters, optimizer, random);
        saved = optimizer.downloadState();
      }
      try (Optimizer optimizer = kind.create(backend(), parameters, second)) {
        optimizer.restore(saved, STEPS / 2);
        run(parameters, optimizer, random);
        return Map.of(
            "parameters",
            content(parameters.download()),
            "state",
            content(optimizer.downloadState()));
      }
    }
  }

  private void run(Parameters parameters, Optimizer optimizer, Random random) {
    for (int step = 0; step < STEPS / 2; step++) {
      for (Parameter parameter : parameters.all()) {
        backend().upload(requireNonNull(parameter.gradient()), random(parameter.shape(), random));
      }
      optimizer.step(1, null);
    }
  }

  private static Map<String, Object> content(Map<String, Tensor> tensors) {
    Map<String, Object> content = new TreeMap<>();
    tensors.forEach((name, tensor) ->
        content.put(name, tensor.dtype().isFloating() ? tensor.toFloats() : tensor.toInts()));
    return content;
  }

  private static Tensor random(Shape shape, Random random) {
    float[] values = new float[Math.toIntExact(shape.count())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.ofFloats(shape, values);
  }
}
