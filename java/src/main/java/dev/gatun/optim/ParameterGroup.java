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
    List<ParameterGroup> groups = new ArrayList<>();
    List<Range> decayed = ranges(parameters, p -> isDecayed(p.name()));
    List<Range> rest = ranges(parameters, p -> !isDecayed(p.name()));
    if (!decayed.isEmpty()) {
      groups.add(new ParameterGroup("decay", learningRate, weightDecay, decayed));
    }
    if (!rest.isEmpty()) {
      groups.add(new ParameterGroup("no_decay", learningRate, 0, rest));
    }
    return groups;
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
