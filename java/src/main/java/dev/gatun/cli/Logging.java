package dev.gatun.cli;

/// Settles the log back end before the first logger exists. Only the command line does this: a
/// caller who embeds the library keeps their own configuration.
final class Logging {
  private Logging() {}

  static void configure(boolean verbose) {
    System.setProperty("logback.configurationFile", "dev/gatun/cli/logback.xml");
    System.setProperty("gatun.log.level", verbose ? "INFO" : "ERROR");
  }
}
