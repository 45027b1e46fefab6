package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Expression.Inputs;
import dev.gatun.text.chat.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Reads what binds closest: literals, names, brackets, subscripts, calls, filters, tests.
final class PostfixParser {
  private final ExpressionParser parser;

  PostfixParser(ExpressionParser parser) {
    this.parser = parser;
  }

  /// @param filtered whether filters and tests may follow; they apply to the signed value
  Expression signed(boolean filtered) {
    parser.enter();
    int line = parser.peek().line();
    Expression value;
    if (parser.skipOperator("-")) {
      value = new Expression.Sign(true, signed(false), line);
    } else if (parser.skipOperator("+")) {
      value = new Expression.Sign(false, signed(false), line);
    } else {
      value = subscripts(atom());
    }
    Expression result = filtered ? filtersAndTests(value) : value;
    parser.leave();
    return result;
  }

  private Expression atom() {
    Token token = parser.next();
    int line = token.line();
    return switch (token.kind()) {
      case NAME -> name(token);
      case STRING -> {
        StringBuilder text = new StringBuilder(token.text());
        while (parser.at(Kind.STRING)) {
          text.append(parser.next().text());
        }
        yield new Expression.Constant(new Value.Str(text.toString()), line);
      }
      case INTEGER -> new Expression.Constant(new Value.Int(integer(token)), line);
      case FLOAT ->
          new Expression.Constant(new Value.Float(Double.parseDouble(token.text())), line);
      case OPERATOR -> bracket(token);
      case DATA, BLOCK_BEGIN, BLOCK_END, VARIABLE_BEGIN, VARIABLE_END, END ->
          throw new Fault("expected an expression, found " + token.shown(), line);
    };
  }

  private static Expression name(Token token) {
    int line = token.line();
    return switch (token.text()) {
      case "true", "True" -> new Expression.Constant(Value.TRUE, line);
      case "false", "False" -> new Expression.Constant(Value.FALSE, line);
      case "none", "None" -> new Expression.Constant(Value.NONE, line);
      default -> new Expression.Name(token.text(), line);
    };
  }

  private static long integer(Token token) {
    String text = token.text();
    try {
      if (text.length() > 2 && text.charAt(0) == '0' && Character.isLetter(text.charAt(1))) {
        int radix =
            switch (Character.toLowerCase(text.charAt(1))) {
              case 'x' -> 16;
              case 'o' -> 8;
              default -> 2;
            };
        return Long.parseLong(text.substring(2), radix);
      }
      return Long.parseLong(text);
    } catch (NumberFormatException _) {
      throw new Fault("the number " + text + " is too large", token.line());
    }
  }

  private Expression bracket(Token token) {
    int line = token.line();
    return switch (token.text()) {
      case "(" -> parenthesised(line);
      case "[" -> {
        List<Expression> items = new ArrayList<>();
        while (!parser.atOperator("]")) {
          items.add(parser.expression());
          if (!parser.atOperator("]")) {
            parser.expectOperator(",");
          }
        }
        parser.next();
        yield new Expression.Listing(items, false, line);
      }
      case "{" -> {
        List<Expression> keys = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (!parser.atOperator("}")) {
          keys.add(parser.expression());
          parser.expectOperator(":");
          values.add(parser.expression());
          if (!parser.atOperator("}")) {
            parser.expectOperator(",");
          }
        }
        parser.next();
        yield new Expression.Mapping(keys, values, line);
      }
      default -> throw new Fault("unexpected " + token.shown(), line);
    };
  }

  private Expression parenthesised(int line) {
    if (parser.skipOperator(")")) {
      return new Expression.Listing(List.of(), true, line);
    }
    Expression inside = parser.tuple();
    parser.expectOperator(")");
    return inside;
  }

  private Expression subscripts(Expression start) {
    Expression value = start;
    for (int chain = 0; ; chain++) {
      requireShort(chain);
      int line = parser.peek().line();
      if (parser.skipOperator(".")) {
        value =
            parser.at(Kind.INTEGER)
                ? new Expression.Subscript(
                    value,
                    new Expression.Constant(new Value.Int(integer(parser.next())), line),
                    line)
                : new Expression.Attribute(value, parser.expectName(), line);
      } else if (parser.skipOperator("[")) {
        value = subscript(value, line);
      } else if (parser.atOperator("(")) {
        value = new Expression.Call(value, inputs(), line);
      } else {
        return value;
      }
    }
  }

  private void requireShort(int chain) {
    if (chain > 100) {
      throw new Fault("more than 100 subscripts, calls or filters in a row", parser.peek().line());
    }
  }

  private Expression subscript(Expression target, int line) {
    Expression from = parser.atOperator(":") ? null : parser.expression();
    if (!parser.atOperator(":")) {
      if (from == null || !parser.atOperator(",")) {
        parser.expectOperator("]");
        return new Expression.Subscript(target, require(from, line), line);
      }
      throw new Fault("a subscript with commas is not supported", line);
    }
    parser.next();
    Expression to = parser.atOperator(":") || parser.atOperator("]") ? null : parser.expression();
    Expression step = null;
    if (parser.skipOperator(":") && !parser.atOperator("]")) {
      step = parser.expression();
    }
    parser.expectOperator("]");
    return new Expression.Slice(target, from, to, step, line);
  }

  private static Expression require(@Nullable Expression expression, int line) {
    if (expression == null) {
      throw new Fault("a subscript is empty", line);
    }
    return expression;
  }

  private Expression filtersAndTests(Expression start) {
    Expression value = start;
    for (int chain = 0; ; chain++) {
      requireShort(chain);
      int line = parser.peek().line();
      if (parser.skipOperator("|")) {
        String name = dottedName();
        Inputs inputs = parser.atOperator("(") ? inputs() : Inputs.NONE;
        value = new Expression.Filter(value, name, inputs, line);
      } else if (parser.skipName("is")) {
        value = test(value, line);
      } else if (parser.atOperator("(")) {
        value = new Expression.Call(value, inputs(), line);
      } else {
        return value;
      }
    }
  }

  private Expression test(Expression value, int line) {
    boolean negated = parser.skipName("not");
    String name = dottedName();
    Inputs inputs = Inputs.NONE;
    if (parser.atOperator("(")) {
      inputs = inputs();
    } else if (startsTestArgument()) {
      inputs = new Inputs(List.of(subscripts(atom())), List.of(), List.of(), null, null);
    }
    Expression test = new Expression.Test(value, name, inputs, line);
    return negated ? new Expression.Not(test, line) : test;
  }

  private boolean startsTestArgument() {
    if (parser.at(Kind.NAME)) {
      if (parser.atName("is")) {
        throw new Fault("tests cannot be chained with `is`", parser.peek().line());
      }
      return !parser.atName("else") && !parser.atName("or") && !parser.atName("and");
    }
    return parser.at(Kind.STRING)
        || parser.at(Kind.INTEGER)
        || parser.at(Kind.FLOAT)
        || parser.atOperator("[")
        || parser.atOperator("{");
  }

  String dottedName() {
    StringBuilder name = new StringBuilder(parser.expectName());
    while (parser.skipOperator(".")) {
      name.append('.').append(parser.expectName());
    }
    return name.toString();
  }

  /// `(a, *b, c=d, **e)`.
  Inputs inputs() {
    parser.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<Expression> named = new ArrayList<>();
    Expression list = null;
    Expression map = null;
    while (!parser.atOperator(")")) {
      if (parser.skipOperator("*")) {
        list = parser.expression();
      } else if (parser.skipOperator("**")) {
        map = parser.expression();
      } else if (parser.at(Kind.NAME) && parser.ahead().is(Kind.OPERATOR, "=")) {
        names.add(parser.next().text());
        parser.next();
        named.add(parser.expression());
      } else {
        if (!names.isEmpty() || list != null || map != null) {
          throw new Fault("a positional argument follows a named one", parser.peek().line());
        }
        positional.add(parser.expression());
      }
      if (!parser.atOperator(")")) {
        parser.expectOperator(",");
      }
    }
    parser.next();
    return new Inputs(positional, names, named, list, map);
  }
}
