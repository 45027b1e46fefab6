package dev.gatun.conformance;

import dev.gatun.io.SafeTensors;
import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.optim.Adafactor;
import dev.gatun.optim.AdamW;
import dev.gatun.optim.AdamW8bit;
import dev.gatun.optim.GradientNorm;
import dev.gatun.optim.Lion;
import dev.gatun.optim.Optimizer;
import dev.gatun.optim.ParameterGroup;
import dev.gatun.optim.Sgd;
import dev.gatun.optim.StatePlace;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;

/// Parameters of a case of `optim/`, moved by given gradients.
final class Trajectory {
  /// Times `1 + |value|`.
  private static final double VALUE_TOLERANCE = 1e-6;

  private static final double NORM_TOLERANCE = 1e-6;

  private static final Set<String> OPTIMIZERS =
      Set.of("adamw", "sgd", "AdamW8bit", "AdamW32bit", "Lion8bit", "Lion32bit", "adafactor");

  private final JsonNode json;
  private final SafeTensors golden;
  private final Backend backend;
  private final Parameters parameters;

  private Trajectory(JsonNode json, SafeTensors golden, Backend backend, Parameters parameters) {
    this.json = json;
    this.golden = golden;
    this.backend = backend;
    this.parameters = parameters;
  }

  /// Compares every recorded value of a trajectory.
  static void run(JsonNode json, Path tensors, Checks checks, Engine engine) {
    String name = json.path("class").asString(json.path("kind").asString(""));
    if (!OPTIMIZERS.contains(name)) {
      checks.notSupported("optimiser " + name);
      return;
    }
    Backend backend = engine.backend();
    List<Parameter.Spec> specs = specs(json);
    try (SafeTensors golden = SafeTensors.open(tensors);
        TensorArena arena =
            backend.arena("parameters", Parameters.byteSize(backend, specs, true))) {
      Parameters parameters = Parameters.allocate(backend, specs, true, arena);
      Trajectory trajectory = new Trajectory(json, golden, backend, parameters);
      for (int i = 0; i < specs.size(); i++) {
        parameters.upload(specs.get(i).name(), golden.tensor("param." + i + ".init"));
      }
      try (Optimizer optimizer = trajectory.optimizer(name)) {
        trajectory.follow(optimizer, checks);
      }
    }
  }

  /// Names that weight decay applies to.
  private static List<Parameter.Spec> specs(JsonNode json) {
    List<Parameter.Spec> specs = new ArrayList<>();
    for (JsonNode shape : json.path("shapes")) {
      long[] dims = shape.valueStream().mapToLong(JsonNode::longValue).toArray();
      specs.add(new Parameter.Spec("param." + specs.size(), Parameter.Kind.WEIGHT, Shape.of(dims)));
    }
    return specs;
  }

  /// With a base rate of 1, the factor is the rate itself.
  private List<ParameterGroup> groups() {
    return ParameterGroup.decayed(parameters, 1, json.path("weight_decay").doubleValue());
  }

  private Optimizer optimizer(String name) {
    long smallest = json.path("min_8bit_size").asLong(AdamW8bit.SMALLEST);
    return switch (name) {
      case "AdamW8bit" ->
          new AdamW8bit(backend, parameters, groups(), adamW(), smallest, StatePlace.DEVICE);
      case "AdamW32bit" ->
          new AdamW8bit(backend, parameters, groups(), adamW(), Long.MAX_VALUE, StatePlace.DEVICE);
      case "Lion8bit" -> lion(smallest);
      case "Lion32bit" -> lion(Long.MAX_VALUE);
      case "adafactor" -> new Adafactor(backend, parameters, groups());
      case "sgd" -> new Sgd(backend, parameters, groups(), json.path("momentum").asDouble(0));
      default -> new AdamW(backend, parameters, groups(), adamW());
    };
  }

  private AdamW.Settings adamW() {
    return new AdamW.Settings(beta(0), beta(1), json.path("eps").doubleValue());
  }

  private Optimizer lion(long smallest) {
    return new Lion(
        backend,
        parameters,
        groups(),
        new Lion.Settings(beta(0), beta(1), smallest),
        StatePlace.DEVICE);
  }

  private double beta(int index) {
    return json.path("betas").path(index).doubleValue();
  }

  private void follow(Optimizer optimizer, Checks checks) {
    List<Integer> recorded =
        json.path("value_steps").valueStream().map(JsonNode::intValue).toList();
    int steps = json.path("steps").asInt();
    boolean rounded = json.path("dtype").asString("").equals("bfloat16");
    BlockwiseErrors errors = new BlockwiseErrors(golden, parameters);
    double worst = 0;
    for (int t = 0; t < steps; t++) {
      uploadGradients(t);
      double rate =
          json.has("lrs") ? json.path("lrs").path(t).doubleValue() : json.path("lr").doubleValue();
      optimizer.step(rate, null);
      if (rounded) {
        roundParameters();
      }
      int at = recorded.indexOf(t + 1);
      if (at >= 0) {
        Map<String, Tensor> values = parameters.download();
        errors.compareValues(values, at, rate);
        worst = Math.max(worst, valueError(values, at));
      }
    }
    Map<String, Tensor> state = optimizer.downloadState();
    if (errors.isEightBit()) {
      errors.record(state, steps, checks);
    } else {
      checks.atMost("values, error over 1 + |value|", worst, VALUE_TOLERANCE);
      errors.recordFull(state, steps, checks, VALUE_TOLERANCE);
    }
    for (String kind : List.of("exp_avg", "exp_avg_sq")) {
      if (golden.contains("param.0." + kind + "_final")) {
        checks.atMost(kind + " after the last step", stateError(kind, state), VALUE_TOLERANCE);
      }
    }
  }

  private void uploadGradients(int step) {
    for (Parameter parameter : parameters.all()) {
      Tensor gradients = golden.tensor(parameter.name() + ".grads");
      upload(parameter, gradients.rows(step, 1));
    }
  }

  private void upload(Parameter parameter, Tensor value) {
    Tensor target = parameter.gradient();
    if (target == null) {
      throw new IllegalStateException(parameter.name() + " is frozen");
    }
    backend.upload(target, Tensor.ofFloats(target.shape(), value.toFloats()));
  }

  /// The peer keeps these parameters in bfloat16: computed in F32, rounded after every update.
  private void roundParameters() {
    parameters
        .download()
        .forEach((name, value) ->
            parameters.upload(name, Tensor.ofRounded(DType.BF16, value.shape(), value.toFloats())));
  }

  private double valueError(Map<String, Tensor> values, int recorded) {
    return parameters.all().stream()
        .mapToDouble(p ->
            error(named(values, p.name()), golden.tensor(p.name() + ".values").rows(recorded, 1)))
        .max()
        .orElse(Double.NaN);
  }

  private double stateError(String kind, Map<String, Tensor> state) {
    return parameters.all().stream()
        .mapToDouble(p ->
            error(
                named(state, kind + "." + p.name()),
                golden.tensor(p.name() + "." + kind + "_final")))
        .max()
        .orElse(Double.NaN);
  }

  static Tensor named(Map<String, Tensor> tensors, String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalStateException("no tensor " + name);
    }
    return tensor;
  }

  /// Largest `|actual − golden| / (1 + |golden|)`; equal NaNs and infinities are no error.
  static double error(Tensor actual, Tensor golden) {
    float[] values = actual.toFloats();
    float[] expected = golden.toFloats();
    double worst = 0;
    for (int i = 0; i < expected.length; i++) {
      if (Float.compare(values[i], expected[i]) != 0) {
        double error = Math.abs((double) values[i] - expected[i]) / (1 + Math.abs(expected[i]));
        worst = error <= worst ? worst : Double.isNaN(error) ? Double.POSITIVE_INFINITY : error;
      }
    }
    return worst;
  }

  /// Measures a norm and lets SGD with rate 1 subtract the clipped gradients from zero.
  static void clip(JsonNode json, Path tensors, Checks checks, Engine engine) {
    Backend backend = engine.backend();
    String name = json.path("name").stringValue();
    List<Parameter.Spec> specs = specs(json);
    try (SafeTensors golden = SafeTensors.open(tensors);
        TensorArena arena =
            backend.arena("parameters", Parameters.byteSize(backend, specs, true))) {
      Parameters parameters = Parameters.allocate(backend, specs, true, arena);
      Trajectory trajectory = new Trajectory(json, golden, backend, parameters);
      List<Parameter> all = parameters.all();
      for (int i = 0; i < all.size(); i++) {
        trajectory.upload(all.get(i), golden.tensor(name + ".grad." + i));
      }
      try (GradientNorm norm = new GradientNorm(backend, parameters);
          Optimizer sgd =
              new Sgd(backend, parameters, ParameterGroup.decayed(parameters, 1, 0), 0)) {
        norm.measure();
        double expected = number(json.path("total_norm_float64").stringValue());
        double error = Math.abs(norm.download() - expected) / expected;
        boolean same = Double.compare(norm.download(), expected) == 0;
        checks.atMost("norm rel", same ? 0 : error, NORM_TOLERANCE);
        sgd.step(1, norm.clip(json.path("max_norm").doubleValue()));
      }
      Map<String, Tensor> moved = parameters.download();
      double worst =
          IntStream.range(0, all.size())
              .mapToDouble(i ->
                  error(
                      negated(named(moved, all.get(i).name())),
                      golden.tensor(name + ".clipped." + i)))
              .max()
              .orElse(Double.NaN);
      checks.atMost("clipped gradients", worst, VALUE_TOLERANCE);
    }
  }

  private static Tensor negated(Tensor tensor) {
    float[] values = tensor.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = 0 - values[i];
    }
    return Tensor.ofFloats(tensor.shape(), values);
  }

  /// Python's spelling of a float.
  private static double number(String text) {
    return switch (text) {
      case "inf" -> Double.POSITIVE_INFINITY;
      case "nan" -> Double.NaN;
      default -> Double.parseDouble(text);
    };
  }
}
