package dev.gatun.text.chat.jinja;

import java.util.SplittableRandom;

/// Grows templates that are mostly well formed and mostly senseless.
final class TemplateGrammar {
  private static final String[] NAMES = {
    "messages",
    "tools",
    "s",
    "n",
    "l",
    "m",
    "ns",
    "x",
    "loop",
    "missing",
    "f",
    "range",
    "dict",
    "namespace",
    "messages[0]",
    "messages[-1].content",
    "tools[0]",
    "caller",
    "varargs"
  };
  private static final String[] LITERALS = {
    "0",
    "1",
    "-1",
    "7",
    "2.5",
    "1e308",
    "99999999999",
    "9223372036854775807",
    "''",
    "'a'",
    "'a b,c'",
    "'%s %d'",
    "'{} {0!r:>9}'",
    "'é😀'",
    "true",
    "false",
    "none",
    "[]",
    "[1, 2]",
    "{}",
    "{'a': 1}",
    "(1,)",
    "'x' * 99",
    "'\\ud83d'",
    "'\\n'"
  };
  private static final String[] OPERATORS = {
    "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "and", "or", "in",
    "not in"
  };
  private static final String[] FILTERS = {
    "tojson",
    "tojson(indent=2)",
    "trim",
    "trim('a')",
    "string",
    "safe",
    "e",
    "upper",
    "lower",
    "capitalize",
    "title",
    "replace('a', 'bb')",
    "replace('', 'x')",
    "indent",
    "indent(99)",
    "center",
    "center(200)",
    "format(1, 2)",
    "truncate",
    "truncate(3, true, '')",
    "wordcount",
    "urlencode",
    "join",
    "join(',')",
    "length",
    "list",
    "first",
    "last",
    "reverse",
    "items",
    "batch(2)",
    "batch(0, 1)",
    "slice(3)",
    "slice(-1)",
    "sort",
    "sort(attribute='role')",
    "dictsort",
    "unique",
    "groupby('role')",
    "min",
    "max",
    "map('upper')",
    "map(attribute='a.b')",
    "map('map', 'list')",
    "select",
    "select('odd')",
    "reject('in', l)",
    "selectattr('role')",
    "selectattr('role', 'eq', s)",
    "rejectattr('x', 'defined')",
    "attr('a')",
    "default(1)",
    "default(x, true)",
    "int",
    "int(base=16)",
    "float",
    "abs",
    "round",
    "round(-3)",
    "round(2, 'ceil')",
    "sum",
    "sum(attribute='a')",
    "nofilter"
  };
  private static final String[] TESTS = {
    "defined",
    "undefined",
    "none",
    "string",
    "mapping",
    "number",
    "integer",
    "float",
    "boolean",
    "true",
    "false",
    "iterable",
    "sequence",
    "callable",
    "odd",
    "even",
    "divisibleby 3",
    "divisibleby(0)",
    "lower",
    "upper",
    "sameas none",
    "eq 1",
    "in l",
    "gt 'a'",
    "filter",
    "notest"
  };
  private static final String[] MEMBERS = {
    ".role",
    ".content",
    "['content']",
    "[0]",
    "[-1]",
    "[1:]",
    "[::-1]",
    "[:2:3]",
    "[n:-n]",
    ".items()",
    ".keys()",
    ".values()",
    ".get('a')",
    ".get('a', 1)",
    ".upper()",
    ".title()",
    ".strip()",
    ".split()",
    ".split('a')",
    ".rsplit('a', 1)",
    ".split(none, 2)",
    ".splitlines()",
    ".partition('a')",
    ".startswith('a')",
    ".endswith(('a', 'b'))",
    ".find('a')",
    ".rfind('')",
    ".index('a')",
    ".count('a')",
    ".count('')",
    ".join(l)",
    ".replace('a', s)",
    ".replace('', s)",
    ".center(99)",
    ".zfill(99)",
    ".format(1, a=2)",
    ".format(*l)",
    ".append(1)",
    ".update(m)",
    ".isdigit()",
    ".x.y",
    ".__class__",
    "()",
    "(1)",
    "(*l)",
    "(**m)",
    ".cycle(1, 2)",
    ".changed(n)",
    ".removeprefix('a')",
    ".ljust(n)",
    ".copy()"
  };

  private final SplittableRandom random;
  private int left = 60;

  TemplateGrammar(SplittableRandom random) {
    this.random = random;
  }

  private String one(String[] choices) {
    return choices[random.nextInt(choices.length)];
  }

  String template() {
    StringBuilder text = new StringBuilder();
    int pieces = 1 + random.nextInt(5);
    for (int i = 0; i < pieces; i++) {
      text.append(piece());
    }
    return text.toString();
  }

  private String open() {
    return random.nextInt(4) == 0 ? "{%- " : "{% ";
  }

  private String close() {
    return random.nextInt(4) == 0 ? " -%}" : " %}";
  }

  private String block(String head, String end) {
    return open() + head + close() + template() + open() + end + close();
  }

  String piece() {
    if (left-- < 0) {
      return "x";
    }
    return switch (random.nextInt(16)) {
      case 0 -> " text \n";
      case 1 -> block("if " + expression(), "endif");
      case 2 ->
          open()
              + "if "
              + expression()
              + close()
              + template()
              + "{% else %}"
              + template()
              + "{% endif %}";
      case 3 -> block("for m in " + expression(), "endfor");
      case 4 -> block("for m, x in " + expression() + " if " + expression(), "endfor");
      case 5 -> block("for x in " + expression() + " recursive", "endfor");
      case 6 -> open() + "set x = " + expression() + close();
      case 7 ->
          "{% set ns = namespace(a="
              + expression()
              + ") %}{% set ns.a = [ns.a, ns.a, "
              + expression()
              + "] %}";
      case 8 -> block("set x" + (random.nextBoolean() ? "" : " | " + one(FILTERS)), "endset");
      case 9 ->
          block("macro f(a, b=" + expression() + ")", "endmacro") + "{{ f(" + expression() + ") }}";
      case 10 -> block("call f(" + expression() + ")", "endcall");
      case 11 -> block("filter " + one(FILTERS), "endfilter");
      case 12 -> block("generation", "endgeneration");
      case 13 ->
          one(
              new String[] {
                "{% break %}",
                "{% continue %}",
                "{# c #}",
                "{% raw %}{{{% endraw %}",
                "{{",
                "%}",
                "{%"
              });
      case 14 -> block("with a=" + expression(), "endwith");
      default -> "{{ " + expression() + " }}";
    };
  }

  private String expression() {
    if (left-- < 0) {
      return one(LITERALS);
    }
    return switch (random.nextInt(11)) {
      case 0, 1 -> one(NAMES);
      case 2 -> one(LITERALS);
      case 3, 4 -> expression() + one(MEMBERS);
      case 5, 6 -> expression() + " | " + one(FILTERS);
      case 7 -> expression() + " is " + (random.nextBoolean() ? "not " : "") + one(TESTS);
      case 8 -> expression() + " " + one(OPERATORS) + " " + expression();
      case 9 -> "(" + expression() + " if " + expression() + " else " + expression() + ")";
      default -> "[" + expression() + ", " + expression() + "]";
    };
  }
}
