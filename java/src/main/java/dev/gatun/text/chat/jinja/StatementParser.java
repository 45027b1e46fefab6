package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Statement.Parameters;
import dev.gatun.text.chat.jinja.Statement.Target;
import dev.gatun.text.chat.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/// Reads a whole template.
final class StatementParser extends ExpressionParser {
  private static final Set<String> ABSENT =
      Set.of("extends", "include", "import", "from", "block", "do", "autoescape", "trans", "debug");

  private int loops;

  private StatementParser(List<Token> tokens) {
    super(tokens);
  }

  /// @throws Fault if the template is malformed
  static List<Statement> parse(String source) {
    StatementParser parser = new StatementParser(Lexer.tokens(source));
    List<Statement> statements = parser.body();
    if (!parser.at(Kind.END)) {
      throw new Fault("unexpected `" + parser.ahead().text() + "`", parser.peek().line());
    }
    return statements;
  }

  /// Everything up to one of the tags, which stays unread behind its `{%`.
  private List<Statement> body(String... ends) {
    enter();
    List<Statement> statements = new ArrayList<>();
    while (!at(Kind.END)) {
      Token token = peek();
      if (token.kind() == Kind.DATA) {
        statements.add(new Statement.Data(next().text(), token.line()));
      } else if (token.kind() == Kind.VARIABLE_BEGIN) {
        next();
        statements.add(new Statement.Print(tuple(), token.line()));
        expect(Kind.VARIABLE_END, "the end of the expression");
      } else {
        if (List.of(ends).contains(ahead().text())) {
          break;
        }
        next();
        statements.add(block(token.line()));
      }
    }
    leave();
    return statements;
  }

  private Statement block(int line) {
    String name = expectName();
    return switch (name) {
      case "if" -> branches(line);
      case "for" -> loop(line);
      case "set" -> set(line);
      case "macro" -> macro(line);
      case "call" -> call(line);
      case "filter" -> {
        List<Expression.Filter> filters = filters();
        yield new Statement.FilterBlock(filters, enclosed("endfilter"), line);
      }
      case "with" -> with(line);
      case "generation" -> new Statement.Generation(closed("endgeneration"), line);
      case "break", "continue" -> {
        if (loops == 0) {
          throw new Fault("`" + name + "` stands outside a loop", line);
        }
        blockEnd();
        yield name.equals("break") ? new Statement.Break(line) : new Statement.Continue(line);
      }
      default ->
          throw new Fault(
              ABSENT.contains(name)
                  ? "the tag `" + name + "` is not supported in chat templates"
                  : "unknown tag `" + name + "`",
              line);
    };
  }

  private void blockEnd() {
    expect(Kind.BLOCK_END, "the end of the block");
  }

  /// The end of the opening tag, the body, and the closing tag.
  private List<Statement> enclosed(String end) {
    blockEnd();
    List<Statement> body = body(end);
    close(end);
    return body;
  }

  /// As [#enclosed], for bodies that are functions: a loop around them cannot be left from inside.
  private List<Statement> closed(String end) {
    int outer = loops;
    loops = 0;
    List<Statement> body = enclosed(end);
    loops = outer;
    return body;
  }

  private void close(String end) {
    if (at(Kind.END)) {
      throw new Fault("`" + end + "` is missing", peek().line());
    }
    next();
    expectName(end);
    blockEnd();
  }

  private Statement branches(int line) {
    List<Statement.Branch> branches = new ArrayList<>();
    List<Statement> otherwise = List.of();
    do {
      Expression condition = tuple();
      blockEnd();
      branches.add(new Statement.Branch(condition, body("elif", "else", "endif")));
      if (at(Kind.END)) {
        throw new Fault("`endif` is missing", line);
      }
      next();
    } while (skipName("elif"));
    if (skipName("else")) {
      blockEnd();
      otherwise = body("endif");
      close("endif");
    } else {
      expectName("endif");
      blockEnd();
    }
    return new Statement.If(branches, otherwise, line);
  }

  private Statement loop(int line) {
    Target target = targets();
    expectName("in");
    Expression items = tupleWithoutCondition();
    Expression condition = skipName("if") ? expression() : null;
    boolean recursive = skipName("recursive");
    blockEnd();
    loops++;
    List<Statement> body = body("else", "endfor");
    loops--;
    List<Statement> otherwise = List.of();
    if (!at(Kind.END) && ahead().is(Kind.NAME, "else")) {
      next();
      next();
      blockEnd();
      otherwise = body("endfor");
    }
    close("endfor");
    return new Statement.For(target, items, condition, recursive, body, otherwise, line);
  }

  private Target targets() {
    Target first = target();
    if (!atOperator(",")) {
      return first;
    }
    List<Target> targets = new ArrayList<>(List.of(first));
    while (skipOperator(",") && (atOperator("(") || (at(Kind.NAME) && !atName("in")))) {
      targets.add(target());
    }
    return new Target.Several(targets);
  }

  private Target target() {
    if (skipOperator("(")) {
      enter();
      Target inside = targets();
      expectOperator(")");
      leave();
      return inside;
    }
    Token name = expect(Kind.NAME, "a name");
    if (Set.of("true", "false", "none", "True", "False", "None").contains(name.text())) {
      throw new Fault("`" + name.text() + "` cannot be assigned to", name.line());
    }
    return skipOperator(".")
        ? new Target.Member(name.text(), expectName())
        : new Target.Variable(name.text());
  }

  private Statement set(int line) {
    Target target = targets();
    if (skipOperator("=")) {
      Expression value = tuple();
      blockEnd();
      return new Statement.Set(target, value, line);
    }
    List<Expression.Filter> filters = skipOperator("|") ? filters() : List.of();
    return new Statement.SetBlock(target, filters, enclosed("endset"), line);
  }

  private Statement macro(int line) {
    String name = expectName();
    Parameters parameters = parameters();
    int start = position();
    List<Statement> body = closed("endmacro");
    return new Statement.Macro(name, withSpecial(parameters, start), body, line);
  }

  private Parameters parameters() {
    expectOperator("(");
    List<String> names = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    while (!atOperator(")")) {
      names.add(expectName());
      if (skipOperator("=")) {
        defaults.add(expression());
      } else if (!defaults.isEmpty()) {
        throw new Fault("a parameter without default follows one with a default", peek().line());
      }
      if (!atOperator(")")) {
        expectOperator(",");
      }
    }
    next();
    return new Parameters(names, defaults, false, false);
  }

  private Statement call(int line) {
    Parameters parameters = atOperator("(") ? parameters() : Parameters.NONE;
    if (!(primary() instanceof Expression.Call call)) {
      throw new Fault("`call` needs a call", line);
    }
    int start = position();
    List<Statement> body = closed("endcall");
    return new Statement.CallBlock(withSpecial(parameters, start), call, body, line);
  }

  private Parameters withSpecial(Parameters parameters, int start) {
    return parameters.with(namedSince(start, "varargs"), namedSince(start, "kwargs"));
  }

  private Statement with(int line) {
    List<Target> targets = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!at(Kind.BLOCK_END)) {
      if (!targets.isEmpty()) {
        expectOperator(",");
      }
      targets.add(target());
      expectOperator("=");
      values.add(expression());
    }
    return new Statement.With(targets, values, enclosed("endwith"), line);
  }
}
