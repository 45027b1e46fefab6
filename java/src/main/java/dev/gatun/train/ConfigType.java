package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.PackingStrategy;
import dev.gatun.io.PathText;
import dev.gatun.model.LoraConfig;
import dev.gatun.model.LoraConfig.Initialization;
import dev.gatun.model.LoraConfig.Modules;
import dev.gatun.model.LoraConfig.Modules.AllLinear;
import dev.gatun.model.LoraConfig.Modules.Names;
import dev.gatun.model.LoraConfig.Modules.Pattern;
import dev.gatun.nn.LoraTargets;
import dev.gatun.train.ConfigValue.Entry;
import dev.gatun.train.ConfigValue.Mapping;
import dev.gatun.train.ConfigValue.Scalar;
import dev.gatun.train.ConfigValue.Sequence;
import dev.gatun.train.SftConfig.GradientCheckpointing;
import dev.gatun.train.SftConfig.Reporter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/// What a configuration key accepts.
///
/// @param expects for messages: `an integer of at least 1`
/// @param convert the value, or null if it is not of this type
/// @param toYaml the value as plain scalars, lists and maps
/// @param choices the accepted words where there is a fixed set, for suggestions
record ConfigType<T>(
    String expects,
    List<String> choices,
    Function<ConfigValue, @Nullable T> convert,
    Function<T, @Nullable Object> toYaml) {

  ConfigType(
      String expects,
      Function<ConfigValue, @Nullable T> convert,
      Function<T, @Nullable Object> toYaml) {
    this(expects, List.of(), convert, toYaml);
  }

  /// @throws InputException naming the location and the key
  T read(String key, ConfigValue value) {
    T converted = convert.apply(value);
    if (converted == null) {
      String text = scalar(value, String.class);
      String nearest =
          text == null || choices.isEmpty()
              ? ""
              : "; the nearest is '" + NearestName.closest(text, choices) + "'";
      throw new InputException(
          "%s: %s must be %s, not %s%s"
              .formatted(value.location(), key, expects, value.describe(), nearest));
    }
    return converted;
  }

  static ConfigType<String> text() {
    return new ConfigType<>("text", value -> scalar(value, String.class), text -> text);
  }

  static ConfigType<Path> path() {
    return new ConfigType<>(
        "a path in characters that the locale of this system has",
        value -> {
          String text = scalar(value, String.class);
          return text == null || text.isBlank() ? null : PathText.parse(text);
        },
        Path::toString);
  }

  /// `true` is the newest checkpoint and reads as `last`; `false` is none and reads as nothing.
  static ConfigType<String> resumption() {
    return new ConfigType<>(
        "true, false, last or the path of a checkpoint",
        value -> {
          Boolean flag = scalar(value, Boolean.class);
          if (flag != null) {
            return flag ? Resumption.LAST : "";
          }
          String text = scalar(value, String.class);
          return text == null || text.isBlank() || text.indexOf('\0') >= 0 ? null : text;
        },
        text -> text);
  }

  static ConfigType<Boolean> bool() {
    return new ConfigType<>("true or false", value -> scalar(value, Boolean.class), flag -> flag);
  }

  /// TRL's flag, or `auto`.
  static ConfigType<GradientCheckpointing> checkpointing() {
    return new ConfigType<>(
        "true, false or auto",
        value ->
            value instanceof Scalar scalar
                ? switch (scalar.value()) {
                  case Boolean flag -> flag ? GradientCheckpointing.ON : GradientCheckpointing.OFF;
                  case String text -> text.equals("auto") ? GradientCheckpointing.AUTO : null;
                  case null, default -> null;
                }
                : null,
        checkpointing ->
            switch (checkpointing) {
              case ON -> true;
              case OFF -> false;
              case AUTO -> "auto";
            });
  }

  /// An amount of memory; a bare number is bytes.
  static ConfigType<Long> memory() {
    return new ConfigType<>(
        "an amount of memory such as 11GB or 9.5GiB",
        value -> {
          Long bytes = scalar(value, Long.class);
          String text = scalar(value, String.class);
          return text != null
              ? MemorySize.parse(text).orElse(null)
              : bytes != null && bytes > 0 ? bytes : null;
        },
        bytes -> bytes);
  }

  static ConfigType<Integer> integer(int least) {
    return new ConfigType<>(
        "an integer of at least " + least,
        value -> {
          Long number = scalar(value, Long.class);
          return number == null || number < least || number > Integer.MAX_VALUE
              ? null
              : Integer.valueOf(number.intValue());
        },
        number -> number);
  }

  static ConfigType<Long> seed() {
    return new ConfigType<>(
        "an integer from 0 to 2^32-1",
        value -> {
          Long number = scalar(value, Long.class);
          return number == null || number < 0 || number > 0xFFFF_FFFFL ? null : number;
        },
        number -> number);
  }

  /// A finite number in `[least, below)`.
  static ConfigType<Double> number(double least, double below) {
    String bounds =
        below == Double.POSITIVE_INFINITY
            ? "a number of at least %s".formatted(plain(least))
            : "a number from %s to below %s".formatted(plain(least), plain(below));
    return new ConfigType<>(
        bounds,
        value -> {
          Double number = number(value);
          return number == null || !(number >= least && number < below) ? null : number;
        },
        ConfigType::plainNumber);
  }

  /// A finite number above 0.
  static ConfigType<Double> positive() {
    return new ConfigType<>(
        "a number above 0",
        value -> {
          Double number = number(value);
          return number == null || !(number > 0) || number.isInfinite() ? null : number;
        },
        number -> number);
  }

  /// The lower-case names of an enum.
  static <E extends Enum<E>> ConfigType<E> oneOf(Class<E> type) {
    Map<String, E> names = new LinkedHashMap<>();
    for (E constant : type.getEnumConstants()) {
      names.put(constant.name().toLowerCase(Locale.ROOT), constant);
    }
    return choice(List.copyOf(names.keySet()))
        .map(names::get, constant -> constant.name().toLowerCase(Locale.ROOT));
  }

  /// TRL's strategies; `bfd-requeue` is the older name of `bfd_split`.
  static ConfigType<PackingStrategy> packingStrategy() {
    ConfigType<PackingStrategy> names = oneOf(PackingStrategy.class);
    return new ConfigType<>(
        names.expects,
        names.choices,
        value ->
            "bfd-requeue".equals(scalar(value, String.class))
                ? PackingStrategy.BFD_SPLIT
                : names.convert.apply(value),
        names.toYaml);
  }

  /// One of a fixed set of words.
  static ConfigType<String> choice(List<String> names) {
    return new ConfigType<>(
        "one of " + String.join(", ", names),
        names,
        value -> {
          // YAML 1.1 tools read and write `no` as false.
          String text =
              value instanceof Scalar s && s.value() instanceof Boolean flag && !flag
                  ? "no"
                  : scalar(value, String.class);
          return text != null && names.contains(text) ? text : null;
        },
        name -> name);
  }

  /// `none`, `all`, or who is reported to, one or a list.
  static ConfigType<List<Reporter>> reporters() {
    ConfigType<List<String>> names = list(text());
    return new ConfigType<>(
        "none, tensorboard or all",
        value -> {
          List<String> list = names.convert().apply(value);
          if (list == null || list.isEmpty() || list.equals(List.of("none"))) {
            return list == null ? null : List.of();
          }
          return List.of("tensorboard", "all").containsAll(list)
              ? List.of(Reporter.TENSORBOARD)
              : null;
        },
        reporters -> reporters.isEmpty() ? "none" : "tensorboard");
  }

  /// A count of steps, or below 1 a ratio of all steps.
  static ConfigType<Double> steps(double least) {
    return new ConfigType<>(
        (least > 0 ? "above 0: " : "") + "a whole number of steps, or a ratio below 1",
        value -> {
          Double number = number(value);
          return number == null
                  || !(number >= least && number <= Integer.MAX_VALUE)
                  || (number > 1 && number != Math.rint(number))
              ? null
              : number;
        },
        ConfigType::plainNumber);
  }

  /// `auto`, `cpu`, `cuda` or `cuda:N`.
  static ConfigType<String> device() {
    return new ConfigType<>(
        "auto, cpu, cuda or cuda:N",
        value -> {
          String text = scalar(value, String.class);
          return text != null && text.matches("auto|cpu|cuda(:[0-9]{1,3})?") ? text : null;
        },
        text -> text);
  }

  /// PEFT's `target_modules`: a list of names, `all-linear`, or a regular expression.
  static ConfigType<Modules> modules() {
    ConfigType<List<String>> names = list(text());
    return new ConfigType<>(
        "a list of module names, 'all-linear', or a regular expression of at most 1000 characters",
        value -> {
          String text = scalar(value, String.class);
          List<String> list = names.convert().apply(value);
          if (list == null || list.isEmpty()) {
            return null;
          }
          if (list.equals(List.of("all-linear"))) {
            return new AllLinear();
          }
          return text == null ? new Names(list) : isPattern(text) ? new Pattern(text) : null;
        },
        modules ->
            switch (modules) {
              case Names(List<String> list) -> list;
              case Pattern(String regex) -> regex;
              case AllLinear() -> "all-linear";
            });
  }

  /// PEFT's `init_lora_weights`.
  static ConfigType<Initialization> initialization() {
    return new ConfigType<>(
        "true (Kaiming uniform), false, gaussian, orthogonal, pissa, pissa_niter_N or loftq",
        value ->
            switch (value instanceof Scalar s ? withoutIterations(s) : "") {
              case "true" -> Initialization.KAIMING_UNIFORM;
              case "false" -> Initialization.UNIFORM;
              case "gaussian" -> Initialization.GAUSSIAN;
              case "orthogonal" -> Initialization.ORTHOGONAL;
              case "pissa" -> Initialization.PISSA;
              case "loftq" -> Initialization.LOFTQ;
              default -> null;
            },
        initialization ->
            switch (initialization) {
              case KAIMING_UNIFORM -> true;
              case GAUSSIAN -> "gaussian";
              case ORTHOGONAL -> "orthogonal";
              case PISSA -> "pissa";
              case LOFTQ -> "loftq";
              case UNIFORM -> false;
            });
  }

  // How far PEFT approximates the decomposition; here it is computed to single precision.
  private static String withoutIterations(Scalar scalar) {
    return String.valueOf(scalar.value()).replaceFirst("^pissa_niter_[0-9]+$", "pissa");
  }

  /// A regular expression with a group.
  static ConfigType<String> answer() {
    return new ConfigType<>(
        "a regular expression of at most 1000 characters whose first group is the answer, such as"
            + " '#### (\\S+)'",
        value -> {
          String text = scalar(value, String.class);
          return text != null
                  && isPattern(text)
                  && java.util.regex.Pattern.compile(text).matcher("").groupCount() > 0
              ? text
              : null;
        },
        text -> text);
  }

  private static boolean isPattern(String text) {
    if (text.length() > LoraTargets.LONGEST_PATTERN) {
      return false;
    }
    try {
      return !java.util.regex.Pattern.compile(text).pattern().isEmpty();
    } catch (PatternSyntaxException _) {
      return false;
    }
  }

  /// One path or a list of them.
  static ConfigType<List<Path>> paths() {
    ConfigType<Path> one = path();
    return new ConfigType<>(
        "a path or a list of paths",
        value -> {
          Path single = one.convert().apply(value);
          return single != null ? List.of(single) : items(value, one);
        },
        paths -> paths.size() == 1 ? paths.getFirst().toString() : strings(paths));
  }

  /// A list, or a single item standing for a list of one.
  static <T> ConfigType<List<T>> list(ConfigType<T> item) {
    return new ConfigType<>(
        "a list, each item " + item.expects(),
        value -> {
          T single = value instanceof Scalar ? item.convert().apply(value) : null;
          return single != null ? List.of(single) : items(value, item);
        },
        list -> list.stream().map(item.toYaml).toList());
  }

  /// Ids of tokens of the embedding, or by module, or those that are added.
  static ConfigType<LoraConfig.Tokens> tokens() {
    ConfigType<List<Integer>> ids = list(integer(0));
    ConfigType<Map<String, List<Integer>>> modules = map(ids);
    return new ConfigType<>(
        "a list of token ids, a section of such lists by module, or 'added_tokens'",
        value -> {
          if ("added_tokens".equals(scalar(value, String.class))) {
            return new LoraConfig.Tokens.Added();
          }
          List<Integer> list = ids.convert().apply(value);
          if (list != null) {
            return new LoraConfig.Tokens.Indices(Map.of("embed_tokens", list));
          }
          Map<String, List<Integer>> section = modules.convert().apply(value);
          return section == null ? null : new LoraConfig.Tokens.Indices(section);
        },
        tokens ->
            switch (tokens) {
              case LoraConfig.Tokens.Added() -> "added_tokens";
              case LoraConfig.Tokens.Indices(Map<String, List<Integer>> byModule) -> byModule;
            });
  }

  /// A section of values of one type.
  static <T> ConfigType<Map<String, T>> map(ConfigType<T> item) {
    return new ConfigType<>(
        "a section, each value " + item.expects(),
        value -> {
          if (!(value instanceof Mapping mapping)) {
            return null;
          }
          Map<String, T> result = new LinkedHashMap<>();
          for (Map.Entry<String, Entry> entry : mapping.entries().entrySet()) {
            T converted = item.convert().apply(entry.getValue().value());
            if (converted == null) {
              return null;
            }
            result.put(entry.getKey(), converted);
          }
          return result;
        },
        LinkedHashMap::new);
  }

  /// A number, a flag or a word.
  static ConfigType<Object> argument() {
    return new ConfigType<>(
        "a number, true, false or text",
        value -> value instanceof Scalar scalar ? scalar.value() : null,
        value -> value);
  }

  private <U> ConfigType<U> map(Function<T, @Nullable U> to, Function<U, @Nullable Object> plain) {
    return new ConfigType<>(
        expects,
        choices,
        value -> {
          T inner = convert.apply(value);
          return inner == null ? null : to.apply(inner);
        },
        plain);
  }

  private static <T> @Nullable List<T> items(ConfigValue value, ConfigType<T> item) {
    if (!(value instanceof Sequence sequence)) {
      return null;
    }
    List<T> result = new ArrayList<>();
    for (ConfigValue element : sequence.items()) {
      T converted = item.convert().apply(element);
      if (converted == null) {
        return null;
      }
      result.add(converted);
    }
    return result;
  }

  private static <T> @Nullable T scalar(ConfigValue value, Class<T> type) {
    return value instanceof Scalar scalar && type.isInstance(scalar.value())
        ? type.cast(scalar.value())
        : null;
  }

  private static @Nullable Double number(ConfigValue value) {
    return value instanceof Scalar scalar && scalar.value() instanceof Number number
        ? Double.valueOf(number.doubleValue())
        : null;
  }

  private static List<String> strings(List<Path> paths) {
    return paths.stream().map(Path::toString).toList();
  }

  /// Whole numbers without a fraction, so that they read as integers.
  private static Object plainNumber(double value) {
    return value == Math.rint(value) ? (Object) (long) value : (Object) value;
  }

  private static String plain(double value) {
    return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
  }
}
