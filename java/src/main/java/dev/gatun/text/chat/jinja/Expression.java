package dev.gatun.text.chat.jinja;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What stands for a value. Lines count from 1.
sealed interface Expression {
  int line();

  /// A number, a string, true, false or none.
  record Constant(Value value, int line) implements Expression {}

  /// A variable.
  record Name(String name, int line) implements Expression {}

  /// `[a, b]` or `(a, b)`.
  record Listing(List<Expression> items, boolean tuple, int line) implements Expression {}

  /// `{a: b}`.
  record Mapping(List<Expression> keys, List<Expression> values, int line) implements Expression {}

  /// `a.b`.
  record Attribute(Expression target, String name, int line) implements Expression {}

  /// `a[b]`.
  record Subscript(Expression target, Expression index, int line) implements Expression {}

  /// `a[from:to:step]`.
  record Slice(
      Expression target,
      @Nullable Expression from,
      @Nullable Expression to,
      @Nullable Expression step,
      int line)
      implements Expression {}

  /// `f(a, b=c)`.
  record Call(Expression target, Inputs inputs, int line) implements Expression {}

  /// `a|f(b)`; without a target the text of a filter block or a set block.
  record Filter(@Nullable Expression target, String name, Inputs inputs, int line)
      implements Expression {}

  /// `a is f(b)`.
  record Test(Expression target, String name, Inputs inputs, int line) implements Expression {}

  /// `-a` or `+a`.
  record Sign(boolean negative, Expression operand, int line) implements Expression {}

  /// `not a`.
  record Not(Expression operand, int line) implements Expression {}

  /// `a and b`, `a or b`.
  record Logic(boolean and, Expression left, Expression right, int line) implements Expression {}

  /// `a + b` and other arithmetic.
  record Binary(Operator operator, Expression left, Expression right, int line)
      implements Expression {}

  /// `a ~ b ~ c`.
  record Concatenation(List<Expression> parts, int line) implements Expression {}

  /// `a < b <= c`.
  record Comparison(Expression first, List<Relation> relations, List<Expression> operands, int line)
      implements Expression {}

  /// `a if b else c`.
  record Conditional(
      Expression condition, Expression then, @Nullable Expression otherwise, int line)
      implements Expression {}

  /// What is passed to a call, a filter or a test.
  ///
  /// @param unpackedList `*args`
  /// @param unpackedMap `**kwargs`
  record Inputs(
      List<Expression> positional,
      List<String> names,
      List<Expression> named,
      @Nullable Expression unpackedList,
      @Nullable Expression unpackedMap) {
    static final Inputs NONE = new Inputs(List.of(), List.of(), List.of(), null, null);
  }

  /// Arithmetic.
  enum Operator {
    ADD("+"),
    SUBTRACT("-"),
    MULTIPLY("*"),
    DIVIDE("/"),
    FLOOR_DIVIDE("//"),
    REMAINDER("%"),
    POWER("**");

    final String sign;

    Operator(String sign) {
      this.sign = sign;
    }
  }

  /// Comparisons.
  enum Relation {
    EQUAL("=="),
    NOT_EQUAL("!="),
    LESS("<"),
    LESS_OR_EQUAL("<="),
    GREATER(">"),
    GREATER_OR_EQUAL(">="),
    IN("in"),
    NOT_IN("not in");

    final String sign;

    Relation(String sign) {
      this.sign = sign;
    }
  }
}
