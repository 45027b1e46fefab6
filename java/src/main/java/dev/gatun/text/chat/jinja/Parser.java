package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Token.Kind;
import java.util.List;

/// The tokens of a template and where reading stands.
class Parser {
  /// Deepest nesting of brackets and blocks.
  private static final int DEEPEST = 100;

  private final List<Token> tokens;
  private int position;
  private int depth;

  Parser(List<Token> tokens) {
    this.tokens = tokens;
  }

  final Token peek() {
    return tokens.get(position);
  }

  final Token ahead() {
    return tokens.get(Math.min(position + 1, tokens.size() - 1));
  }

  final Token next() {
    Token token = tokens.get(position);
    position = Math.min(position + 1, tokens.size() - 1);
    return token;
  }

  final boolean at(Kind kind) {
    return peek().kind() == kind;
  }

  final boolean atOperator(String text) {
    return peek().is(Kind.OPERATOR, text);
  }

  final boolean atName(String text) {
    return peek().is(Kind.NAME, text);
  }

  final boolean skipOperator(String text) {
    boolean there = atOperator(text);
    if (there) {
      next();
    }
    return there;
  }

  final boolean skipName(String text) {
    boolean there = atName(text);
    if (there) {
      next();
    }
    return there;
  }

  final void expectOperator(String text) {
    if (!skipOperator(text)) {
      throw new Fault("expected `%s`, found %s".formatted(text, peek().shown()), peek().line());
    }
  }

  final void expectName(String text) {
    if (!skipName(text)) {
      throw new Fault("expected `%s`, found %s".formatted(text, peek().shown()), peek().line());
    }
  }

  final String expectName() {
    return expect(Kind.NAME, "a name").text();
  }

  final Token expect(Kind kind, String what) {
    if (!at(kind)) {
      throw new Fault("expected %s, found %s".formatted(what, peek().shown()), peek().line());
    }
    return next();
  }

  final int position() {
    return position;
  }

  /// Whether a name was read since a position.
  final boolean namedSince(int start, String name) {
    return tokens.subList(start, position).stream().anyMatch(token -> token.is(Kind.NAME, name));
  }

  final void enter() {
    if (++depth > DEEPEST) {
      throw new Fault("nested more than %d deep".formatted(DEEPEST), peek().line());
    }
  }

  final void leave() {
    depth--;
  }
}
