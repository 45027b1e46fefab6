package dev.gatun.conformance;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/// A folder of the kit about something that this engine lacks altogether. Its cases are counted, so
/// that the summary does not pass over them.
///
/// @param what what is lacking, for people
/// @param notCases entries of the folder that only serve others
record UnsupportedPart(String name, String what, Set<String> notCases) implements Part {
  UnsupportedPart {
    notCases = Set.copyOf(notCases);
  }

  /// One case for every JSON file and every folder.
  @Override
  public List<Case> cases(Path kit) {
    Path folder = kit.resolve(name);
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(folder)) {
      return entries
          .filter(entry -> Files.isDirectory(entry) || entry.toString().endsWith(".json"))
          .map(entry -> entry.getFileName().toString())
          .filter(entry -> !notCases.contains(entry))
          .sorted()
          .map(entry ->
              Part.named(entry.replace(".json", ""), (checks, _) -> checks.notSupported(what)))
          .toList();
    } catch (IOException e) {
      throw new InputException(folder + " cannot be read: " + e.getMessage(), e);
    }
  }
}
