package dev.gatun.text.chat.jinja;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a template does, piece by piece.
sealed interface Statement {
  int line();

  /// Text as it stands.
  record Data(String text, int line) implements Statement {}

  /// `{{ value }}`.
  record Print(Expression value, int line) implements Statement {}

  /// `{% if %}` with its branches.
  record If(List<Branch> branches, List<Statement> otherwise, int line) implements Statement {}

  /// A condition and what it guards.
  record Branch(Expression condition, List<Statement> body) {}

  /// `{% for target in items if condition %}`.
  record For(
      Target target,
      Expression items,
      @Nullable Expression condition,
      boolean recursive,
      List<Statement> body,
      List<Statement> otherwise,
      int line)
      implements Statement {}

  /// `{% set target = value %}`.
  record Set(Target target, Expression value, int line) implements Statement {}

  /// `{% set name | filter %}…{% endset %}`.
  record SetBlock(Target target, List<Expression.Filter> filters, List<Statement> body, int line)
      implements Statement {}

  /// `{% macro name(parameters) %}`.
  record Macro(String name, Parameters parameters, List<Statement> body, int line)
      implements Statement {}

  /// `{% call(parameters) macro() %}`.
  record CallBlock(Parameters parameters, Expression.Call call, List<Statement> body, int line)
      implements Statement {}

  /// `{% filter name %}`.
  record FilterBlock(List<Expression.Filter> filters, List<Statement> body, int line)
      implements Statement {}

  /// `{% with a = b %}`.
  record With(List<Target> targets, List<Expression> values, List<Statement> body, int line)
      implements Statement {}

  /// `{% generation %}`, what the assistant said.
  record Generation(List<Statement> body, int line) implements Statement {}

  /// `{% break %}`.
  record Break(int line) implements Statement {}

  /// `{% continue %}`.
  record Continue(int line) implements Statement {}

  /// What a macro is given.
  ///
  /// @param names of the parameters
  /// @param defaults of the last of them
  /// @param takesRest whether the body uses `varargs`
  /// @param takesNamed whether the body uses `kwargs`
  record Parameters(
      List<String> names, List<Expression> defaults, boolean takesRest, boolean takesNamed) {
    static final Parameters NONE = new Parameters(List.of(), List.of(), false, false);

    Parameters with(boolean rest, boolean named) {
      return new Parameters(names, defaults, rest, named);
    }
  }

  /// What is assigned to.
  sealed interface Target {
    /// A variable.
    record Variable(String name) implements Target {}

    /// An attribute of a namespace.
    record Member(String namespace, String name) implements Target {}

    /// Several at once.
    record Several(List<Target> targets) implements Target {}
  }
}
