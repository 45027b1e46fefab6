package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Function;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Jinja2's filters by name. What is left out makes HTML or depends on chance.
final class Filters {
  private static final Map<String, Function> FILTERS =
      Map.ofEntries(
          Map.entry("tojson", Json::filter),
          Map.entry("trim", TextFilters::trim),
          Map.entry("string", TextFilters::string),
          Map.entry("safe", TextFilters::string),
          Map.entry("escape", TextFilters::escape),
          Map.entry("e", TextFilters::escape),
          Map.entry("upper", TextFilters::upper),
          Map.entry("lower", TextFilters::lower),
          Map.entry("capitalize", TextFilters::capitalize),
          Map.entry("title", TextFilters::title),
          Map.entry("replace", TextFilters::replace),
          Map.entry("indent", TextFilters::indent),
          Map.entry("center", TextFilters::center),
          Map.entry("format", TextFilters::format),
          Map.entry("truncate", TextFilters::truncate),
          Map.entry("wordcount", TextFilters::wordCount),
          Map.entry("urlencode", TextFilters::urlEncode),
          Map.entry("join", SequenceFilters::join),
          Map.entry("length", SequenceFilters::length),
          Map.entry("count", SequenceFilters::length),
          Map.entry("list", SequenceFilters::list),
          Map.entry("first", SequenceFilters::first),
          Map.entry("last", SequenceFilters::last),
          Map.entry("reverse", SequenceFilters::reverse),
          Map.entry("items", SequenceFilters::items),
          Map.entry("batch", SequenceFilters::batch),
          Map.entry("slice", SequenceFilters::slice),
          Map.entry("sort", SortFilters::sort),
          Map.entry("dictsort", SortFilters::dictSort),
          Map.entry("unique", SortFilters::unique),
          Map.entry("groupby", SortFilters::groupBy),
          Map.entry("min", (r, g) -> SortFilters.extreme(r, g, false)),
          Map.entry("max", (r, g) -> SortFilters.extreme(r, g, true)),
          Map.entry("map", SelectFilters::map),
          Map.entry("select", (r, g) -> SelectFilters.select(r, g, false, true)),
          Map.entry("reject", (r, g) -> SelectFilters.select(r, g, false, false)),
          Map.entry("selectattr", (r, g) -> SelectFilters.select(r, g, true, true)),
          Map.entry("rejectattr", (r, g) -> SelectFilters.select(r, g, true, false)),
          Map.entry("attr", ValueFilters::attribute),
          Map.entry("default", ValueFilters::orElse),
          Map.entry("d", ValueFilters::orElse),
          Map.entry("int", ValueFilters::whole),
          Map.entry("float", ValueFilters::floating),
          Map.entry("abs", ValueFilters::absolute),
          Map.entry("round", ValueFilters::round),
          Map.entry("sum", ValueFilters::sum));

  private Filters() {}

  static boolean isKnown(String name) {
    return FILTERS.containsKey(name);
  }

  /// @param given the value that is filtered, then the arguments
  /// @throws Fault for an unknown filter
  static Value apply(Run run, String name, Arguments given) {
    Function filter = FILTERS.get(name);
    if (filter == null) {
      throw new Fault("No filter named '" + name + "'");
    }
    run.budget().step();
    return filter.call(run, given);
  }

  /// An argument that is there.
  static Value required(@Nullable Value value) {
    return value == null ? Value.NONE : value;
  }
}
