package dev.gatun.optim;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.optim.Schedule.WarmupStableDecay.Shape;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// Schedules by the names and keyword arguments of `lr_scheduler_type` and `lr_scheduler_kwargs`.
public final class Schedules {
  private static final long DEFAULT_TIMESCALE = 10_000;
  private static final Set<String> KNOWN_ELSEWHERE = Set.of("reduce_lr_on_plateau", "greedy");

  /// The names that [#named] knows.
  public static final List<String> NAMES =
      List.of(
          "constant",
          "constant_with_warmup",
          "linear",
          "cosine",
          "cosine_with_restarts",
          "cosine_with_min_lr",
          "cosine_warmup_with_min_lr",
          "polynomial",
          "inverse_sqrt",
          "warmup_stable_decay");

  private final String name;
  private final Run run;
  private final Map<String, Object> arguments;
  private final Set<String> read = new TreeSet<>();

  private Schedules(String name, Run run, Map<String, Object> arguments) {
    this.name = name;
    this.run = run;
    this.arguments = arguments;
  }

  /// What a schedule spans.
  ///
  /// @param rate base learning rate
  /// @param warmup updates of the warm-up
  /// @param total all updates
  public record Run(double rate, long warmup, long total) {}

  /// The schedule `name`.
  ///
  /// @param arguments `lr_scheduler_kwargs`; numbers, strings, or null for the default
  /// @throws InputException for an unknown name or argument, or one of the wrong type
  /// @throws UnsupportedException for a schedule that follows the loss
  public static Schedule named(String name, Run run, Map<String, Object> arguments) {
    Map<String, Object> given = new LinkedHashMap<>(arguments);
    given.values().removeIf(value -> value == null);
    Schedules reader = new Schedules(name, run, given);
    Schedule schedule = reader.build();
    Set<String> unknown = new TreeSet<>(given.keySet());
    unknown.removeAll(reader.read);
    if (!unknown.isEmpty()) {
      throw new InputException(
          "lr_scheduler_kwargs: %s takes no '%s'; it knows %s"
              .formatted(name, unknown.iterator().next(), reader.read));
    }
    return schedule;
  }

  private Schedule build() {
    long warmup = run.warmup();
    long total = run.total();
    return switch (name) {
      case "constant" -> new Schedule.Constant();
      case "constant_with_warmup" -> new Schedule.ConstantWithWarmup(warmup);
      case "linear" -> new Schedule.Linear(warmup, total);
      case "cosine" -> new Schedule.Cosine(warmup, total, number("num_cycles", 0.5), 0);
      case "cosine_with_restarts" ->
          new Schedule.CosineWithRestarts(warmup, total, count("num_cycles", 1));
      case "cosine_with_min_lr" ->
          new Schedule.Cosine(warmup, total, number("num_cycles", 0.5), minimum());
      case "cosine_warmup_with_min_lr" ->
          new Schedule.CosineFromStart(
              warmup,
              total,
              number("num_cycles", 0.5),
              minimum(),
              number("warmup_lr_rate", Double.NaN));
      case "polynomial" -> polynomial();
      case "inverse_sqrt" ->
          new Schedule.InverseSqrt(
              warmup, positive("timescale", warmup > 0 ? warmup : DEFAULT_TIMESCALE));
      case "warmup_stable_decay" -> warmupStableDecay();
      default -> throw unknownName();
    };
  }

  private InputException unknownName() {
    if (KNOWN_ELSEWHERE.contains(name)) {
      return new UnsupportedException(
          "lr_scheduler_type %s, which follows the loss, is not supported; use one of %s"
              .formatted(name, String.join(", ", NAMES)));
    }
    return new InputException(
        "lr_scheduler_type '%s' does not exist; use one of %s"
            .formatted(name, String.join(", ", NAMES)));
  }

  private Schedule polynomial() {
    double end = number("lr_end", 1e-7);
    if (!(run.rate() > end)) {
      throw new InputException(
          "lr_scheduler_kwargs: lr_end (%s) must be below the learning rate (%s)"
              .formatted(end, run.rate()));
    }
    return new Schedule.Polynomial(run.warmup(), run.total(), run.rate(), end, number("power", 1));
  }

  private Schedule warmupStableDecay() {
    long decay = count("num_decay_steps", null);
    long stable = count("num_stable_steps", run.total() - run.warmup() - decay);
    return new Schedule.WarmupStableDecay(
        run.warmup(),
        stable,
        decay,
        shape("warmup_type", "linear"),
        shape("decay_type", "cosine"),
        number("min_lr_ratio", 0),
        number("num_cycles", 0.5));
  }

  private double minimum() {
    double rate = number("min_lr", Double.NaN);
    double ratio = number("min_lr_rate", Double.NaN);
    if (Double.isNaN(rate) == Double.isNaN(ratio)) {
      throw new InputException(
          "lr_scheduler_kwargs: %s needs either min_lr or min_lr_rate".formatted(name));
    }
    return Double.isNaN(rate) ? ratio : rate / run.rate();
  }

  private double number(String key, double otherwise) {
    read.add(key);
    return switch (arguments.get(key)) {
      case null -> otherwise;
      case Number number -> number.doubleValue();
      case Object other -> throw wrong(key, other, "a number");
    };
  }

  private long count(String key, @Nullable Long otherwise) {
    read.add(key);
    Object value = arguments.get(key);
    if (value == null && otherwise != null) {
      return otherwise;
    }
    if (value instanceof Number number && number.doubleValue() == number.longValue()) {
      return number.longValue();
    }
    throw wrong(key, value == null ? "missing" : value, "a whole number");
  }

  private long count(String key, long otherwise) {
    return count(key, Long.valueOf(otherwise));
  }

  private long positive(String key, long otherwise) {
    long value = count(key, otherwise);
    if (value < 1) {
      throw wrong(key, value, "a positive number");
    }
    return value;
  }

  private Shape shape(String key, String otherwise) {
    read.add(key);
    Object value = arguments.getOrDefault(key, otherwise);
    return switch (String.valueOf(value)) {
      case "linear" -> Shape.LINEAR;
      case "cosine" -> Shape.COSINE;
      case "1-sqrt" -> Shape.ONE_MINUS_SQRT;
      default -> throw wrong(key, value, "one of " + Arrays.asList("linear", "cosine", "1-sqrt"));
    };
  }

  private InputException wrong(String key, Object value, String expected) {
    return new InputException(
        "lr_scheduler_kwargs: %s of %s is %s, expected %s".formatted(key, name, value, expected));
  }
}
