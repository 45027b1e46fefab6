package dev.gatun.model;

import dev.gatun.InputException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/// PEFT's `LoraConfig`: the fields this engine acts on, with PEFT's names, meaning and defaults.
///
/// @param rank `r`
/// @param alpha `lora_alpha`
/// @param dropout `lora_dropout`
/// @param targets which modules are adapted
/// @param excludeModules wins over `targets`; null for none
/// @param layersToTransform indices of decoder layers, empty for all
/// @param layersPattern names that precede the layer index, empty for the common ones
/// @param rankPattern rank by module pattern, matched as `(.*\.)?(key)$`; the first match in the
///   map's order wins
/// @param alphaPattern alpha by module pattern, likewise
/// @param modulesToSave ends of the paths of modules that are trained whole
/// @param ensureWeightTying whether a tied embedding and head stay one when they are trained whole
/// @param weightDecomposed `use_dora`
/// @param trainableTokens `trainable_token_indices`
public record LoraConfig(
    int rank,
    double alpha,
    double dropout,
    boolean rankStabilized,
    Modules targets,
    @Nullable Modules excludeModules,
    List<Integer> layersToTransform,
    List<String> layersPattern,
    Map<String, Integer> rankPattern,
    Map<String, Double> alphaPattern,
    Initialization initialization,
    List<String> modulesToSave,
    boolean ensureWeightTying,
    boolean weightDecomposed,
    Tokens trainableTokens) {

  public LoraConfig {
    layersToTransform = List.copyOf(layersToTransform);
    layersPattern = List.copyOf(layersPattern);
    // The first key that matches a module wins, so the order of the entries is part of the value.
    rankPattern = Collections.unmodifiableMap(new LinkedHashMap<>(rankPattern));
    alphaPattern = Collections.unmodifiableMap(new LinkedHashMap<>(alphaPattern));
    modulesToSave = List.copyOf(modulesToSave);
  }

  /// Of updates with PEFT's defaults.
  public static LoraConfigBuilder builder(Modules targets) {
    return new LoraConfigBuilder(targets);
  }

  /// To the same with something else.
  public LoraConfigBuilder toBuilder() {
    return new LoraConfigBuilder(this);
  }

  /// The ids of single tokens that are trained, by name of their module.
  ///
  /// @throws IllegalStateException if they are those of tokens that are still to be added
  public Map<String, List<Integer>> tokenIndices() {
    return switch (trainableTokens) {
      case Tokens.Indices(Map<String, List<Integer>> modules) -> modules;
      case Tokens.Added() -> throw new IllegalStateException("the added tokens have no ids yet");
    };
  }

  /// Single tokens whose rows are trained.
  public sealed interface Tokens {
    /// No tokens.
    Tokens NONE = new Indices(Map.of());

    /// @param modules ids by `embed_tokens` or `lm_head`
    record Indices(Map<String, List<Integer>> modules) implements Tokens {
      public Indices {
        Map<String, List<Integer>> copy = new TreeMap<>();
        modules.forEach((name, ids) -> copy.put(name, List.copyOf(ids)));
        modules = Collections.unmodifiableMap(copy);
      }
    }

    /// Those that `added_tokens` adds, wherever they have rows.
    record Added() implements Tokens {}
  }

  /// Whether a module is trained whole, and so no target.
  public boolean saves(String module) {
    return modulesToSave.stream().anyMatch(module::endsWith);
  }

  /// A way to name modules.
  public sealed interface Modules {
    /// Exact paths, or their last components.
    record Names(List<String> names) implements Modules {
      public Names {
        names = List.copyOf(names);
      }
    }

    /// A regular expression that the whole module path must match.
    record Pattern(String regex) implements Modules {}

    /// `all-linear`: every linear layer but the output head.
    record AllLinear() implements Modules {}
  }

  /// Starting values; B starts at zero unless the method says otherwise.
  public enum Initialization {
    /// `init_lora_weights: true`: A uniform in ±1/√in.
    KAIMING_UNIFORM,
    /// `gaussian`: A normal with deviation 1/r.
    GAUSSIAN,
    /// `orthogonal`: A and B random, their product zero; needs an even rank.
    ORTHOGONAL,
    /// `pissa`: A and B the weight's largest singular values, which the base then lacks.
    PISSA,
    /// `loftq`: A and B the largest singular values of what the 4-bit base makes wrong.
    LOFTQ,
    /// `false`: A uniform in ±1/√in and B in ±1/√r, so that the model starts changed; for tests.
    UNIFORM
  }

  /// What one adapted module gets.
  ///
  /// @param scale alpha / r, or alpha / √r
  /// @param weightDecomposed whether a magnitude vector is trained beside the update (DoRA)
  public record Adapted(int rank, double scale, double dropout, boolean weightDecomposed) {
    /// A plain update.
    public Adapted(int rank, double scale, double dropout) {
      this(rank, scale, dropout, false);
    }
  }

  /// The settings of one module, `rank_pattern` and `alpha_pattern` applied; whether the module is
  /// a target at all is not asked.
  ///
  /// @throws InputException if a pattern is no regular expression or a rank is not positive
  public Adapted adapted(String module) {
    int moduleRank = patternValue(rankPattern, "rank_pattern", module, rank);
    double moduleAlpha = patternValue(alphaPattern, "alpha_pattern", module, alpha);
    if (moduleRank < 1) {
      throw new InputException(
          "the LoRA rank of %s is %d; r and rank_pattern must be at least 1"
              .formatted(module, moduleRank));
    }
    double divisor = rankStabilized ? Math.sqrt(moduleRank) : moduleRank;
    return new Adapted(moduleRank, moduleAlpha / divisor, dropout, weightDecomposed);
  }

  private static <V> V patternValue(
      Map<String, V> patterns, String key, String module, V otherwise) {
    for (Map.Entry<String, V> entry : patterns.entrySet()) {
      try {
        if (Pattern.matches("(.*\\.)?(" + entry.getKey() + ")", module)) {
          return entry.getValue();
        }
      } catch (PatternSyntaxException e) {
        throw new InputException(
            "%s: '%s' is no regular expression (%s)"
                .formatted(key, entry.getKey(), e.getDescription()),
            e);
      }
    }
    return otherwise;
  }
}
