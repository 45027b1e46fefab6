package dev.gatun.conformance;

import java.nio.file.Path;
import java.util.List;

/// One folder of a conformance kit and how its cases are checked. Cases are discovered by listing
/// the folder, so that any directory of the same layout runs.
public interface Part {
  /// The folder's name, which `--part` takes: `models`, `nf4`, …
  String name();

  /// The cases below `kit/name()`, sorted by name; empty if the folder is absent.
  List<Case> cases(Path kit);

  /// One case.
  interface Case {
    String name();

    /// Checks the case and records every figure. An exception counts as a failure.
    void run(Checks checks, Engine engine) throws Exception;
  }

  /// A case from a lambda.
  static Case named(String name, Body body) {
    return new Case() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public void run(Checks checks, Engine engine) throws Exception {
        body.run(checks, engine);
      }
    };
  }

  /// What a case does.
  @FunctionalInterface
  interface Body {
    void run(Checks checks, Engine engine) throws Exception;
  }
}
