package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Expression.Inputs;
import dev.gatun.text.chat.jinja.Expression.Operator;
import dev.gatun.text.chat.jinja.Expression.Relation;
import dev.gatun.text.chat.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Reads expressions with Jinja2's precedences: conditional, or, and, not, comparison, `+ -`, `~`,
/// `* / // %`, `**`, sign, subscripts and calls, filters and tests.
class ExpressionParser extends Parser {
  /// Longest chain of operators of one precedence.
  private static final int LONGEST = 200;

  private static final Map<String, Operator> TERMS =
      Map.of("+", Operator.ADD, "-", Operator.SUBTRACT);
  private static final Map<String, Operator> FACTORS =
      Map.of(
          "*", Operator.MULTIPLY,
          "/", Operator.DIVIDE,
          "//", Operator.FLOOR_DIVIDE,
          "%", Operator.REMAINDER);
  private static final Map<String, Operator> POWERS = Map.of("**", Operator.POWER);
  private static final Map<String, Relation> RELATIONS =
      Map.of(
          "==", Relation.EQUAL,
          "!=", Relation.NOT_EQUAL,
          "<", Relation.LESS,
          "<=", Relation.LESS_OR_EQUAL,
          ">", Relation.GREATER,
          ">=", Relation.GREATER_OR_EQUAL);

  private final PostfixParser postfix = new PostfixParser(this);

  ExpressionParser(List<Token> tokens) {
    super(tokens);
  }

  /// One expression.
  final Expression expression() {
    enter();
    Expression result = either();
    int line = peek().line();
    int chain = 0;
    while (skipName("if")) {
      requireShort(++chain);
      Expression condition = either();
      Expression otherwise = skipName("else") ? expression() : null;
      result = new Expression.Conditional(condition, result, otherwise, line);
    }
    leave();
    return result;
  }

  /// An expression without `if … else`, as after `in` of a loop.
  final Expression expressionWithoutCondition() {
    enter();
    Expression result = either();
    leave();
    return result;
  }

  /// One expression, or several with commas, which are a tuple.
  final Expression tuple() {
    int line = peek().line();
    Expression first = expression();
    return atOperator(",") ? rest(first, false, line) : first;
  }

  /// As [#tuple], but an `if` at the end belongs to the caller.
  final Expression tupleWithoutCondition() {
    int line = peek().line();
    Expression first = expressionWithoutCondition();
    return atOperator(",") ? rest(first, true, line) : first;
  }

  private Expression rest(Expression first, boolean bare, int line) {
    List<Expression> items = new ArrayList<>(List.of(first));
    while (skipOperator(",") && !atTupleEnd()) {
      items.add(bare ? expressionWithoutCondition() : expression());
    }
    return new Expression.Listing(items, true, line);
  }

  private boolean atTupleEnd() {
    return at(Kind.VARIABLE_END)
        || at(Kind.BLOCK_END)
        || atOperator(")")
        || atName("if")
        || atName("recursive");
  }

  private void requireShort(int chain) {
    if (chain > LONGEST) {
      throw new Fault("more than %d operators in a row".formatted(LONGEST), peek().line());
    }
  }

  private Expression either() {
    Expression left = both();
    for (int chain = 0; atName("or"); chain++) {
      requireShort(chain);
      int line = next().line();
      left = new Expression.Logic(false, left, both(), line);
    }
    return left;
  }

  private Expression both() {
    Expression left = negation();
    for (int chain = 0; atName("and"); chain++) {
      requireShort(chain);
      int line = next().line();
      left = new Expression.Logic(true, left, negation(), line);
    }
    return left;
  }

  private Expression negation() {
    if (!atName("not")) {
      return comparison();
    }
    int line = next().line();
    enter();
    Expression operand = negation();
    leave();
    return new Expression.Not(operand, line);
  }

  private Expression comparison() {
    int line = peek().line();
    Expression first = sum();
    List<Relation> relations = new ArrayList<>();
    List<Expression> operands = new ArrayList<>();
    for (Relation relation = relation(); relation != null; relation = relation()) {
      relations.add(relation);
      operands.add(sum());
    }
    return relations.isEmpty()
        ? first
        : new Expression.Comparison(first, relations, operands, line);
  }

  private @Nullable Relation relation() {
    if (at(Kind.OPERATOR)) {
      Relation relation = RELATIONS.get(peek().text());
      if (relation != null) {
        next();
      }
      return relation;
    }
    if (skipName("in")) {
      return Relation.IN;
    }
    if (atName("not") && ahead().is(Kind.NAME, "in")) {
      next();
      next();
      return Relation.NOT_IN;
    }
    return null;
  }

  private Expression sum() {
    Expression left = concatenation();
    for (int chain = 0; atOneOf(TERMS); chain++) {
      requireShort(chain);
      Token sign = next();
      left = binary(TERMS, sign, left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    int line = peek().line();
    List<Expression> parts = new ArrayList<>(List.of(product()));
    while (skipOperator("~")) {
      parts.add(product());
    }
    return parts.size() == 1 ? parts.getFirst() : new Expression.Concatenation(parts, line);
  }

  private Expression product() {
    Expression left = power();
    for (int chain = 0; atOneOf(FACTORS); chain++) {
      requireShort(chain);
      Token sign = next();
      left = binary(FACTORS, sign, left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = postfix.signed(true);
    for (int chain = 0; atOneOf(POWERS); chain++) {
      requireShort(chain);
      Token sign = next();
      left = binary(POWERS, sign, left, postfix.signed(true));
    }
    return left;
  }

  private boolean atOneOf(Map<String, Operator> operators) {
    return at(Kind.OPERATOR) && operators.containsKey(peek().text());
  }

  private static Expression binary(
      Map<String, Operator> operators, Token sign, Expression left, Expression right) {
    Operator operator = operators.get(sign.text());
    if (operator == null) {
      throw new IllegalStateException("No operator " + sign.text());
    }
    return new Expression.Binary(operator, left, right, sign.line());
  }

  /// The filters after a block's name: `name(arguments)|name…`.
  final List<Expression.Filter> filters() {
    List<Expression.Filter> filters = new ArrayList<>();
    do {
      int line = peek().line();
      String name = postfix.dottedName();
      Inputs inputs = atOperator("(") ? postfix.inputs() : Inputs.NONE;
      filters.add(new Expression.Filter(null, name, inputs, line));
    } while (skipOperator("|"));
    return filters;
  }

  /// An expression with its subscripts, calls and filters, no operators.
  final Expression primary() {
    return postfix.signed(true);
  }
}
