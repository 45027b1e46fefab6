package dev.gatun.nn;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.ModelConfig;
import java.util.Collection;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.BiPredicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/// Which modules a [LoraConfig] adapts, and how, by PEFT's rules (`tuners_utils.py`).
public final class LoraTargets {
  /// Characters of the longest regular expression. Compiling one takes time that is quadratic in
  /// its length, and stack for its nesting.
  public static final int LONGEST_PATTERN = 1000;

  /// PEFT's rule where `layers_pattern` is empty: the first number that is a path component.
  private static final Pattern ANY_LAYER = Pattern.compile(".*?\\.[^.]*\\.(?<index>\\d+)\\.");

  private final LoraConfig lora;
  private final ModelConfig model;
  private final Set<String> linears = new HashSet<>();

  private LoraTargets(LoraConfig lora, ModelConfig model) {
    this.lora = lora;
    this.model = model;
    ModuleTree.linears(model).forEach(linear -> linears.add(linear.path()));
  }

  /// The adapted modules by path.
  ///
  /// @throws InputException if nothing matches, or something that has no weight matrix
  /// @throws UnsupportedException if the embedding or the output head is a target of an update that
  ///   is not plain
  public static SortedMap<String, LoraConfig.Adapted> resolve(LoraConfig lora, ModelConfig model) {
    return new LoraTargets(lora, model).resolve();
  }

  private SortedMap<String, LoraConfig.Adapted> resolve() {
    SortedMap<String, LoraConfig.Adapted> adapted = new TreeMap<>();
    for (String module : ModuleTree.modules(model)) {
      if (!isExcluded(module) && !lora.saves(module) && isTarget(module)) {
        requireLinear(module);
        adapted.put(module, adapted(module));
      }
    }
    if (adapted.isEmpty()) {
      throw new InputException(
          "target_modules (%s) match no module of this model once exclude_modules and layers_to_transform are applied; name linear layers such as q_proj, or use all-linear"
              .formatted(describe(lora.targets())));
    }
    return adapted;
  }

  /// Refuses what PEFT passes over in silence: a name of a target, a layer or a pattern for ranks
  /// or alphas that fits nothing, so that less is adapted than was asked for.
  ///
  /// @throws InputException naming it
  public static void requireUsed(LoraConfig lora, ModelConfig model) {
    new LoraTargets(lora, model).requireUsed();
  }

  private void requireUsed() {
    Set<String> adapted = resolve().keySet();
    if (lora.targets() instanceof Modules.Names(var names)) {
      requireUsed("target_modules", names, ModuleTree.modules(model), LoraTargets::isNamed);
    }
    lora.layersToTransform().stream()
        .filter(layer -> layer < 0 || layer >= model.layerCount())
        .findFirst()
        .ifPresent(layer -> {
          throw new InputException(
              "layers_to_transform names layer %d, and this model has layers 0 to %d; correct or remove it"
                  .formatted(layer, model.layerCount() - 1));
        });
    Map.of("rank_pattern", lora.rankPattern(), "alpha_pattern", lora.alphaPattern())
        .forEach((key, patterns) ->
            requireUsed(
                key,
                patterns.keySet(),
                adapted,
                (module, pattern) -> isPatterned(module, pattern, key)));
  }

  private static void requireUsed(
      String key,
      Collection<String> names,
      Collection<String> modules,
      BiPredicate<String, String> fits) {
    for (String name : names) {
      if (modules.stream().noneMatch(module -> fits.test(module, name))) {
        throw new InputException(
            "%s names %s, which fits no module%s; correct or remove it"
                .formatted(
                    key,
                    name,
                    key.equals("target_modules") ? " of this model" : " that is adapted"));
      }
    }
  }

  private static boolean isNamed(String module, String name) {
    return module.equals(name) || module.endsWith("." + name);
  }

  private static boolean isPatterned(String module, String pattern, String key) {
    return compile("(.*\\.)?(" + pattern + ")", key).matcher(module).matches();
  }

  private boolean isExcluded(String module) {
    Modules excluded = lora.excludeModules();
    return excluded != null && matches(excluded, module, "exclude_modules");
  }

  private boolean isTarget(String module) {
    if (!matches(lora.targets(), module, "target_modules")) {
      return false;
    }
    // A regular expression names its layers itself.
    boolean byLayer =
        !lora.layersToTransform().isEmpty() && !(lora.targets() instanceof Modules.Pattern);
    return !byLayer || isTransformed(module);
  }

  private boolean matches(Modules modules, String module, String key) {
    return switch (modules) {
      case Modules.Names(var names) -> names.stream().anyMatch(name -> isNamed(module, name));
      case Modules.Pattern(String regex) -> compile(regex, key).matcher(module).matches();
      case Modules.AllLinear() -> linears.contains(module);
    };
  }

  private boolean isTransformed(String module) {
    String index = layerIndex(module);
    return index != null && lora.layersToTransform().contains(Integer.valueOf(index));
  }

  private @Nullable String layerIndex(String module) {
    if (lora.layersPattern().isEmpty()) {
      Matcher matcher = ANY_LAYER.matcher(module);
      return matcher.lookingAt() ? matcher.group("index") : null;
    }
    for (String pattern : lora.layersPattern()) {
      Matcher matcher =
          compile("(?:^|.*?\\.)" + pattern + "\\.(?<index>\\d+)\\.", "layers_pattern")
              .matcher(module);
      if (matcher.lookingAt()) {
        return matcher.group("index");
      }
    }
    return null;
  }

  private void requireLinear(String module) {
    if (module.equals(ModuleTree.EMBEDDING) || module.equals(ModuleTree.HEAD)) {
      requirePlain(module);
      return;
    }
    if (!linears.contains(module)) {
      throw new InputException(
          "target_modules (%s) match %s, which is no linear layer; name linear layers such as q_proj, or use all-linear"
              .formatted(describe(lora.targets()), module));
    }
  }

  private void requirePlain(String module) {
    String asked =
        lora.weightDecomposed()
            ? "use_dora"
            : lora.ensureWeightTying() && model.tiedEmbeddings() ? "ensure_weight_tying" : null;
    if (asked != null) {
      throw new UnsupportedException(
          "target_modules (%s) include %s, and %s is not supported for low-rank updates of the embedding or the output head; leave one of them out"
              .formatted(describe(lora.targets()), module, asked));
    }
  }

  private LoraConfig.Adapted adapted(String module) {
    int rank = patternValue(lora.rankPattern(), module, "rank_pattern", lora.rank());
    double alpha = patternValue(lora.alphaPattern(), module, "alpha_pattern", lora.alpha());
    if (rank < 1) {
      throw new InputException(
          "the LoRA rank for %s is %d; r and rank_pattern must be at least 1"
              .formatted(module, rank));
    }
    double scale = alpha / (lora.rankStabilized() ? Math.sqrt(rank) : rank);
    return new LoraConfig.Adapted(rank, scale, lora.dropout(), lora.weightDecomposed());
  }

  private static <V> V patternValue(
      Map<String, V> patterns, String module, String key, V otherwise) {
    return patterns.entrySet().stream()
        .filter(entry -> isPatterned(module, entry.getKey(), key))
        .findFirst()
        .map(Map.Entry::getValue)
        .orElse(otherwise);
  }

  private static Pattern compile(String regex, String key) {
    if (regex.length() > LONGEST_PATTERN) {
      throw new InputException(
          "%s: a regular expression has %d characters, more than %d; shorten it"
              .formatted(key, regex.length(), LONGEST_PATTERN));
    }
    try {
      return Pattern.compile(regex);
    } catch (PatternSyntaxException e) {
      throw new InputException(
          "%s: '%s' is no regular expression (%s); correct it"
              .formatted(key, regex, e.getDescription()),
          e);
    }
  }

  private static String describe(Modules modules) {
    return switch (modules) {
      case Modules.Names(var names) -> String.join(", ", names);
      case Modules.Pattern(String regex) -> regex;
      case Modules.AllLinear() -> "all-linear";
    };
  }
}
