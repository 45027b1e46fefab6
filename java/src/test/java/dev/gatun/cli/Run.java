package dev.gatun.cli;

import java.io.PrintWriter;
import java.io.StringWriter;

/// One run of the command line inside the test's process.
record Run(int exitCode, String out, String err) {
  static Run gatun(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exitCode =
        new Gatun().execute(new PrintWriter(out, true), new PrintWriter(err, true), arguments);
    return new Run(exitCode, out.toString(), err.toString());
  }
}
