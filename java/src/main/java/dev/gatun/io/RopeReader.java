package dev.gatun.io;

import dev.gatun.UnsupportedException;
import dev.gatun.model.Rope;
import org.jspecify.annotations.Nullable;

/// Reads the rotary embedding in both spellings: `rope_parameters` (transformers 5), or
/// `rope_theta` beside `rope_scaling` (4). Which keys are required and what is assumed for the
/// others follows transformers' `modeling_rope_utils`.
final class RopeReader {
  private static final double DEFAULT_THETA = 10_000;

  private final JsonObject config;
  private final int maxPositions;

  /// The object with the scaling's fields, or null if the configuration has none.
  private final @Nullable JsonObject fields;

  private RopeReader(JsonObject config, int maxPositions) {
    this.config = config;
    this.maxPositions = maxPositions;
    JsonObject legacy = config.object("rope_scaling");
    boolean hasLegacy = legacy != null && !legacy.keys().isEmpty();
    this.fields = hasLegacy ? legacy : config.object("rope_parameters");
  }

  static Rope read(JsonObject config, int headSize, int maxPositions) {
    return new RopeReader(config, maxPositions).rope(headSize);
  }

  private Rope rope(int headSize) {
    refusePartialRotation(config);
    if (fields == null) {
      return new Rope(theta(config, DEFAULT_THETA), headSize, new Rope.Scaling.Default());
    }
    refusePartialRotation(fields);
    for (String key : fields.keys()) {
      if (key.endsWith("_attention")) {
        throw new UnsupportedException(
            fields.where(key) + " gives a layer type its own rope, which is not supported");
      }
    }
    return new Rope(theta(fields, theta(config, DEFAULT_THETA)), headSize, scaling(fields));
  }

  private Rope.Scaling scaling(JsonObject rope) {
    String key = rope.has("rope_type") || !rope.has("type") ? "rope_type" : "type";
    String type = rope.has(key) ? rope.string(key) : "default";
    return switch (type) {
      case "default" -> new Rope.Scaling.Default();
      case "linear" -> new Rope.Scaling.Linear(positive(rope, "factor"));
      // transformers stretches from max_position_embeddings, whatever the original length was.
      case "dynamic" -> new Rope.Scaling.Dynamic(positive(rope, "factor"), maxPositions);
      case "yarn" -> yarn(rope);
      case "llama3" -> llama3(rope);
      default ->
          throw new UnsupportedException(
              "%s is %s, a rope type that is not supported; supported are default, linear, dynamic, yarn, llama3"
                  .formatted(rope.where(key), Quoted.of(type)));
    };
  }

  private Rope.Scaling yarn(JsonObject rope) {
    return new Rope.Scaling.Yarn(
        positive(rope, "factor"),
        originalMaxPositions(rope),
        orIfZero(rope, "beta_fast", 32),
        orIfZero(rope, "beta_slow", 1),
        orNaN(rope, "attention_factor"),
        orNaN(rope, "mscale"),
        orNaN(rope, "mscale_all_dim"),
        rope.flag("truncate", true));
  }

  private Rope.Scaling llama3(JsonObject rope) {
    double low = positive(rope, "low_freq_factor");
    double high = positive(rope, "high_freq_factor");
    if (high <= low) {
      throw rope.bad("high_freq_factor", "must be greater than low_freq_factor");
    }
    return new Rope.Scaling.Llama3(positive(rope, "factor"), low, high, originalMaxPositions(rope));
  }

  private int originalMaxPositions(JsonObject rope) {
    String key = "original_max_position_embeddings";
    Integer outside = config.optionalInteger(key, 1, Integer.MAX_VALUE);
    Integer inside = rope.optionalInteger(key, 1, Integer.MAX_VALUE);
    return outside != null ? outside : inside != null ? inside : maxPositions;
  }

  private static void refusePartialRotation(JsonObject object) {
    Double factor = object.optionalNumber("partial_rotary_factor");
    if (factor != null && factor != 1.0) {
      throw new UnsupportedException(
          "%s is %s: rotating a part of each head is not supported"
              .formatted(object.where("partial_rotary_factor"), factor));
    }
  }

  private static double theta(JsonObject object, double absent) {
    return object.has("rope_theta") ? positive(object, "rope_theta") : absent;
  }

  private static double positive(JsonObject object, String key) {
    double value = object.number(key);
    if (value <= 0) {
      throw object.bad(key, "is %s, not positive".formatted(value));
    }
    return value;
  }

  private static double orIfZero(JsonObject object, String key, double absent) {
    Double value = object.optionalNumber(key);
    return value == null || value == 0 ? absent : value;
  }

  private static double orNaN(JsonObject object, String key) {
    Double value = object.optionalNumber(key);
    return value == null ? Double.NaN : value;
  }
}
