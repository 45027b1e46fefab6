package dev.gatun.optim;

import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/// Parameters that share a learning rate and a weight decay, as ranges of the flat buffers.
///
/// @param learningRate base rate, multiplied by the schedule's factor
/// @param ranges as few as possible, ascending
public record ParameterGroup(
    String name, double learningRate, double weightDecay, List<Range> ranges) {

  /// transformers' list of what is not decayed; the names are those without the adapter's own.
  private static final Pattern NOT_DECAYED =
      Pattern.compile("bias|layernorm|rmsnorm|(?:^|\\.)norm(?:$|\\.)|_norm(?:$|\\.)");

  public ParameterGroup {
    ranges = List.copyOf(ranges);
  }

  /// Elements `offset … offset+count-1` of the flat buffers.
  public record Range(long offset, long count) {}

  /// Whether a parameter lies in one of the ranges.
  boolean contains(Parameter parameter) {
    return ranges.stream()
        .anyMatch(range ->
            parameter.offset() >= range.offset()
                && parameter.offset() < range.offset() + range.count());
  }

  /// The two groups of transformers' trainer: everything, and what weight decay leaves alone
  /// (biases and norms). Empty groups are left out.
  public static List<ParameterGroup> decayed(
      Parameters parameters, double learningRate, double weightDecay) {
    return of(parameters, Rates.same(learningRate), weightDecay);
  }

  /// Base learning rates by what a parameter is.
  ///
  /// @param embedding of the embedding and the output head (Unsloth)
  /// @param loraB of the second factor of low-rank updates (LoRA+: Hayou et al., 2024), and, as in
  ///   PEFT, of magnitude vectors
  public record Rates(double others, double embedding, double loraB) {
    /// The same for all.
    public static Rates same(double rate) {
      return new Rates(rate, rate, rate);
    }
  }

  /// Groups by learning rate, and within one rate by whether weight decay applies. Empty groups are
  /// left out; parameters of the base rate come first.
  public static List<ParameterGroup> of(Parameters parameters, Rates rates, double weightDecay) {
    List<ParameterGroup> groups = new ArrayList<>();
    add(
        groups,
        "decay",
        rates.others(),
        weightDecay,
        ranges(parameters, p -> isDecayed(p.name()) && role(p, rates) == Role.OTHER));
    add(
        groups,
        "no_decay",
        rates.others(),
        0,
        ranges(parameters, p -> !isDecayed(p.name()) && role(p, rates) == Role.OTHER));
    add(
        groups,
        "lora_b",
        rates.loraB(),
        weightDecay,
        ranges(parameters, p -> role(p, rates) == Role.LORA_B));
    add(
        groups,
        "embeddings",
        rates.embedding(),
        weightDecay,
        ranges(parameters, p -> role(p, rates) == Role.EMBEDDING));
    return groups;
  }

  private enum Role {
    OTHER,
    LORA_B,
    EMBEDDING
  }

  /// What has the base rate anyway needs no group of its own.
  private static Role role(Parameter parameter, Rates rates) {
    return switch (parameter.kind()) {
      case EMBEDDING, HEAD -> rates.embedding() == rates.others() ? Role.OTHER : Role.EMBEDDING;
      case LORA_B, LORA_MAGNITUDE -> rates.loraB() == rates.others() ? Role.OTHER : Role.LORA_B;
      case WEIGHT, LORA_A, TOKENS, BIAS, NORM -> Role.OTHER;
    };
  }

  private static void add(
      List<ParameterGroup> groups,
      String name,
      double learningRate,
      double weightDecay,
      List<Range> ranges) {
    if (!ranges.isEmpty()) {
      groups.add(new ParameterGroup(name, learningRate, weightDecay, ranges));
    }
  }

  /// Whether weight decay applies to a parameter of that name.
  static boolean isDecayed(String name) {
    return !NOT_DECAYED.matcher(name).find();
  }

  private static List<Range> ranges(Parameters parameters, Predicate<Parameter> selected) {
    List<Range> ranges = new ArrayList<>();
    List<Parameter> all = parameters.all();
    long flatCount = parameters.masters().count();
    for (int i = 0; i < all.size(); i++) {
      if (!selected.test(all.get(i))) {
        continue;
      }
      // A range includes the zero gap that follows a parameter.
      long start = all.get(i).offset();
      long end = i + 1 < all.size() ? all.get(i + 1).offset() : flatCount;
      Range last = ranges.isEmpty() ? null : ranges.getLast();
      if (last != null && last.offset() + last.count() == start) {
        ranges.set(ranges.size() - 1, new Range(last.offset(), end - last.offset()));
      } else {
        ranges.add(new Range(start, end - start));
      }
    }
    return ranges;
  }
}
