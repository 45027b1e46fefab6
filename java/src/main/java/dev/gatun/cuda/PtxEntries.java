package dev.gatun.cuda;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The kernels of a PTX text and their parameters, as far as launching them needs. With it a test
/// holds every parameter record against the built PTX on a machine without a GPU.
public record PtxEntries(Map<String, Entry> entries) {
  /// One kernel.
  public record Entry(String name, List<Parameter> parameters) {
    public Entry {
      parameters = List.copyOf(parameters);
    }

    /// What keeps `type` from being this kernel's parameter record, one line each; empty if it
    /// fits.
    public List<String> mismatches(Class<? extends Record> type) {
      List<ArgumentLayout.Argument> arguments = ArgumentLayout.of(type).arguments();
      List<String> result = new ArrayList<>();
      if (arguments.size() != parameters.size()) {
        result.add(
            "%s has %d parameters and %s has %d components"
                .formatted(name, parameters.size(), type.getName(), arguments.size()));
      }
      for (int i = 0; i < Math.min(arguments.size(), parameters.size()); i++) {
        ArgumentLayout.Argument argument = arguments.get(i);
        Parameter parameter = parameters.get(i);
        if (!parameter.takes(argument.kind())) {
          result.add(
              "%s: parameter %d is %s and component %s of %s is %s"
                  .formatted(name, i, parameter, argument.name(), type.getName(), argument.kind()));
        } else if (result.isEmpty() && parameter.offset() != argument.offset()) {
          result.add(
              "%s: parameter %d is at offset %d and component %s of %s at %d"
                  .formatted(
                      name,
                      i,
                      parameter.offset(),
                      argument.name(),
                      type.getName(),
                      argument.offset()));
        }
      }
      return result;
    }
  }

  /// One parameter: a scalar type without its dot (`u64`, `f32`), or `b8` with a length for a
  /// structure passed by value.
  ///
  /// @param pointer true if the compiler marked it as a pointer (not every version does)
  public record Parameter(String type, long bytes, long alignment, long offset, boolean pointer) {
    boolean takes(ArgumentLayout.Kind kind) {
      if (pointer && kind != ArgumentLayout.Kind.POINTER) {
        return false;
      }
      boolean integer = !type.startsWith("f");
      return switch (kind) {
        case POINTER, LONG -> integer && bytes == 8 && !type.equals("b8");
        case INT -> integer && bytes == 4 && !type.equals("b8");
        case SHORT -> integer && bytes == 2 && !type.equals("b8");
        case FLOAT -> type.equals("f32");
        case DOUBLE -> type.equals("f64");
        case TENSOR_MAP -> type.equals("b8") && bytes == 128 && alignment >= 64;
      };
    }

    @Override
    public String toString() {
      return type.equals("b8") ? "a structure of " + bytes + " bytes" : "." + type;
    }
  }

  private static final Pattern ENTRY =
      Pattern.compile("\\.entry\\s+([A-Za-z0-9_$%]+)\\s*(?:\\(([^)]*)\\))?");
  private static final Pattern PARAMETER =
      Pattern.compile(
          "\\.param\\s+(?:\\.align\\s+(\\d+)\\s+)?\\.([a-z]+\\d+)((?:\\s+\\.[a-z]+)*)"
              + "(?:\\s+\\.align\\s+\\d+)?\\s+[A-Za-z0-9_$%]+(?:\\[(\\d+)\\])?");
  private static final Pattern COMMENT = Pattern.compile("//[^\\n]*|/\\*.*?\\*/", Pattern.DOTALL);

  public PtxEntries {
    entries = Map.copyOf(entries);
  }

  /// Reads the entries of a PTX text.
  ///
  /// @throws IllegalArgumentException if it is not PTX or a parameter is not understood
  public static PtxEntries parse(String ptx) {
    PtxVersion.of(ptx);
    Map<String, Entry> entries = new LinkedHashMap<>();
    Matcher matcher = ENTRY.matcher(COMMENT.matcher(ptx).replaceAll(" "));
    while (matcher.find()) {
      String list = matcher.group(2) == null ? "" : matcher.group(2);
      entries.put(matcher.group(1), new Entry(matcher.group(1), parameters(list)));
    }
    return new PtxEntries(entries);
  }

  /// The entry of a name.
  ///
  /// @throws IllegalArgumentException if there is none
  public Entry entry(String name) {
    Entry entry = entries.get(name);
    if (entry == null) {
      throw new IllegalArgumentException("no entry " + name + " among " + entries.keySet());
    }
    return entry;
  }

  private static List<Parameter> parameters(String list) {
    List<Parameter> result = new ArrayList<>();
    long end = 0;
    for (String text : list.isBlank() ? new String[0] : list.split(",")) {
      Matcher matcher = PARAMETER.matcher(text.strip());
      if (!matcher.matches()) {
        throw new IllegalArgumentException("not a kernel parameter: " + text.strip());
      }
      String type = matcher.group(2);
      long element = Long.parseLong(type.replaceAll("\\D", "")) / 8;
      long bytes = matcher.group(4) == null ? element : element * Long.parseLong(matcher.group(4));
      long alignment = matcher.group(1) == null ? element : Long.parseLong(matcher.group(1));
      long offset = (end + alignment - 1) / alignment * alignment;
      result.add(new Parameter(type, bytes, alignment, offset, matcher.group(3).contains(".ptr")));
      end = offset + bytes;
    }
    return result;
  }
}
