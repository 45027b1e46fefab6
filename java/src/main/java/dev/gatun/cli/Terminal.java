package dev.gatun.cli;

import java.io.Console;
import java.util.Map;

/// What the user looks at: a terminal that understands colours and redrawn lines, or a file.
///
/// @param interactive whether lines may be redrawn
/// @param colors whether colours are wanted too
record Terminal(boolean interactive, boolean colors) {
  /// Neither: a file, a pipe, a test.
  static final Terminal PLAIN = new Terminal(false, false);

  /// Looks at this process's streams and at `TERM`, `CI` and `NO_COLOR`.
  static Terminal detect() {
    Map<String, String> environment = System.getenv();
    Console console = System.console();
    boolean interactive =
        console != null
            && console.isTerminal()
            && !environment.containsKey("CI")
            && !environment.getOrDefault("TERM", "dumb").equals("dumb");
    boolean colors = interactive && environment.getOrDefault("NO_COLOR", "").isEmpty();
    return new Terminal(interactive, colors);
  }

  /// Removes the line in which the JVM announced the incubating vector module, if the launcher says
  /// that standard error is a terminal and that line its last one.
  void wipeWarning() {
    if (interactive && Boolean.getBoolean("gatun.wipe.warning")) {
      System.err.print("\u001b[1A\r\u001b[K");
      System.err.flush();
    }
  }

  /// `text` set off from what surrounds it: green, or in double brackets.
  String highlight(String text) {
    return colors ? "\u001b[32m" + text + "\u001b[0m" : "[[" + text + "]]";
  }
}
