package dev.gatun.text.chat.jinja;

import dev.gatun.InputException;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A Jinja template as Hugging Face checkpoints carry it, ready to be rendered. The language is
/// Jinja2 in the sandbox of transformers: `trim_blocks`, `lstrip_blocks`, loop controls, `{%
/// generation %}`, and the functions `raise_exception` and `strftime_now`; `tojson` as transformers
/// defines it. It reads no file, imports nothing and changes none of its variables.
///
/// Threads: a template may be rendered by any number of threads at once.
public final class Template {
  private final String name;
  private final String source;
  private final List<Statement> statements;
  private final boolean marksGeneration;

  private Template(String name, String source, List<Statement> statements) {
    this.name = name;
    this.source = source;
    this.statements = statements;
    this.marksGeneration = GenerationBlocks.in(statements);
  }

  /// Reads a template.
  ///
  /// @param name what messages call it: a file, a key
  /// @throws InputException if it is malformed, naming the line
  public static Template parse(String name, String source) {
    try {
      return new Template(name, source, StatementParser.parse(source));
    } catch (Fault fault) {
      throw located(name, fault, fault.line());
    }
  }

  /// What messages call it.
  public String name() {
    return name;
  }

  /// The text it was read from.
  public String source() {
    return source;
  }

  /// Whether it has `{% generation %}` blocks.
  public boolean marksGeneration() {
    return marksGeneration;
  }

  /// Renders it.
  ///
  /// @param variables text, `Long`, `Integer`, `Double`, `Boolean`, null, and lists and maps of
  ///   such
  /// @param now what `strftime_now` sees
  /// @throws InputException with line, if the template raises an exception, uses something that is
  ///   not there, or goes beyond the limits
  public Rendered render(
      Map<String, @Nullable Object> variables, LocalDateTime now, Limits limits) {
    Run run = null;
    try {
      Imported imported = new Imported();
      Scope scope = new Scope(Globals.scope());
      variables.forEach((key, value) -> scope.set(key, imported.value(value)));
      run = new Run(new Budget(limits, imported.characters()), now);
      new Renderer(run).render(statements, new Scope(scope));
      return run.result();
    } catch (Fault fault) {
      throw located(name, fault, fault.line() > 0 || run == null ? fault.line() : run.line());
    }
  }

  private static InputException located(String name, Fault fault, int line) {
    return new InputException(
        "%s%s: %s".formatted(name, line > 0 ? " line " + line : "", fault.getMessage()));
  }
}
