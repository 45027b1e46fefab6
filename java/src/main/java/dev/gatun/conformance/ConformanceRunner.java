package dev.gatun.conformance;

import dev.gatun.InputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/// Runs the cases of a conformance kit against an engine. The command line and the tests share it.
public final class ConformanceRunner {
  private ConformanceRunner() {}

  /// What became of one case.
  public record Outcome(
      String part, String name, List<Checks.Figure> figures, Checks.Verdict verdict) {
    public Outcome {
      figures = List.copyOf(figures);
    }
  }

  /// Cases by verdict.
  public record Summary(int passed, int failed, int notSupported) {
    @Override
    public String toString() {
      return passed + " passed, " + failed + " failed, " + notSupported + " not supported";
    }

    private Summary plus(Checks.Verdict verdict) {
      return switch (verdict) {
        case PASSED -> new Summary(passed + 1, failed, notSupported);
        case FAILED -> new Summary(passed, failed + 1, notSupported);
        case NOT_SUPPORTED -> new Summary(passed, failed, notSupported + 1);
      };
    }
  }

  /// Every part this engine knows, in the order in which they build on each other.
  public static List<Part> parts() {
    return List.of(
        new MalformedPart(),
        new TokenizersPart(),
        new ChatTemplatesPart(),
        new DataPart(),
        new SftTokenisePart(),
        new SftPackingPart(),
        new SftCollatorPart(),
        new Nf4Part(),
        new CePart(),
        new OptimPart(),
        new ModelsPart(),
        new LoraPart(),
        new CurvesPart(),
        new UnsupportedPart("gguf", "GGUF files", Set.of()));
  }

  /// The parts that `names` choose; all of them for no name. `sft` chooses `sft/tokenise` too.
  ///
  /// @throws InputException for a name that chooses nothing
  public static List<Part> parts(List<String> names) {
    if (names.isEmpty()) {
      return parts();
    }
    List<Part> chosen = new ArrayList<>();
    for (String name : names) {
      List<Part> matches =
          parts().stream()
              .filter(part -> part.name().equals(name) || part.name().startsWith(name + "/"))
              .toList();
      if (matches.isEmpty()) {
        throw new InputException(
            "There is no conformance part '"
                + name
                + "'; known parts: "
                + String.join(", ", parts().stream().map(Part::name).toList())
                + ".");
      }
      chosen.addAll(matches);
    }
    return chosen.stream().distinct().toList();
  }

  /// Runs `parts` on `kit` and tells `listener` of every case as soon as it is done.
  ///
  /// @throws InputException if `kit` is no folder or holds no case of these parts
  public static Summary run(Path kit, List<Part> parts, Engine engine, Consumer<Outcome> listener) {
    if (!Files.isDirectory(kit)) {
      throw new InputException("There is no conformance kit at " + kit + ": give its folder.");
    }
    Summary summary = new Summary(0, 0, 0);
    for (Part part : parts) {
      for (Part.Case single : part.cases(kit)) {
        Outcome outcome = run(part, single, engine);
        listener.accept(outcome);
        summary = summary.plus(outcome.verdict());
      }
    }
    if (summary.equals(new Summary(0, 0, 0))) {
      throw new InputException(
          kit
              + " holds no conformance cases of "
              + String.join(", ", parts.stream().map(Part::name).toList())
              + ": give a folder laid out like the kit.");
    }
    return summary;
  }

  /// Runs one case. An exception is a failed figure, so that one bad case does not end the run.
  public static Outcome run(Part part, Part.Case single, Engine engine) {
    Checks checks = new Checks();
    try {
      single.run(checks, engine);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      checks.that("ran to its end", false, "interrupted");
    } catch (Exception e) {
      checks.that("ran to its end", false, e.toString());
    }
    return new Outcome(part.name(), single.name(), checks.figures(), checks.verdict());
  }
}
