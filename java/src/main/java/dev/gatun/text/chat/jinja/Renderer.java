package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Statement.Target;
import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Namespace;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.ArrayList;
import java.util.List;

/// Carries out statements.
final class Renderer {
  private final Run run;
  private final Evaluator evaluator;

  /// How a list of statements ended.
  private enum End {
    NORMAL,
    BREAK,
    CONTINUE
  }

  Renderer(Run run) {
    this.run = run;
    this.evaluator = new Evaluator(run);
  }

  void render(List<Statement> statements, Scope scope) {
    render(statements, scope, run.output());
  }

  /// The text that statements write.
  String text(List<Statement> statements, Scope scope) {
    Output out = new Output(run.budget());
    render(statements, scope, out);
    return out.toString();
  }

  private End render(List<Statement> statements, Scope scope, Output out) {
    run.budget().enter();
    End end = End.NORMAL;
    for (int i = 0; i < statements.size() && end == End.NORMAL; i++) {
      end = render(statements.get(i), scope, out);
    }
    run.budget().leave();
    return end;
  }

  private End render(Statement statement, Scope scope, Output out) {
    run.budget().step();
    run.at(statement.line());
    switch (statement) {
      case Statement.Data data -> out.append(data.text());
      case Statement.Print print ->
          out.append(Texts.str(run, evaluator.value(print.value(), scope)));
      case Statement.If branches -> {
        return branch(branches, scope, out);
      }
      case Statement.For loop -> loop(loop, evaluator.value(loop.items(), scope), 0, scope, out);
      case Statement.Set set -> assign(set.target(), evaluator.value(set.value(), scope), scope);
      case Statement.SetBlock set -> {
        Value text = new Str(text(set.body(), new Scope(scope)));
        assign(set.target(), filtered(text, set.filters(), scope), scope);
      }
      case Statement.Macro macro ->
          scope.set(
              macro.name(),
              new Macro(this, macro.name(), macro.parameters(), macro.body(), scope).callable());
      case Statement.CallBlock call -> out.append(Texts.str(run, called(call, scope)));
      case Statement.FilterBlock block -> {
        Value text = new Str(text(block.body(), new Scope(scope)));
        out.append(filteredText(filtered(text, block.filters(), scope)));
      }
      case Statement.With with -> {
        Scope inner = new Scope(scope);
        for (int i = 0; i < with.targets().size(); i++) {
          assign(with.targets().get(i), evaluator.value(with.values().get(i), scope), inner);
        }
        return render(with.body(), inner, out);
      }
      case Statement.Generation generation -> generation(generation, scope, out);
      case Statement.Break _ -> {
        return End.BREAK;
      }
      case Statement.Continue _ -> {
        return End.CONTINUE;
      }
    }
    return End.NORMAL;
  }

  /// What a filter makes of a block must be text again.
  private static String filteredText(Value value) {
    if (value instanceof Str(String text)) {
      return text;
    }
    throw new Fault(
        "sequence item 0: expected str instance, %s found".formatted(Types.name(value)));
  }

  private Value filtered(Value text, List<Expression.Filter> filters, Scope scope) {
    Value value = text;
    for (Expression.Filter filter : filters) {
      value = evaluator.filtered(value, filter, scope);
    }
    return value;
  }

  private End branch(Statement.If branches, Scope scope, Output out) {
    for (Statement.Branch branch : branches.branches()) {
      if (Types.truth(evaluator.value(branch.condition(), scope))) {
        return render(branch.body(), scope, out);
      }
    }
    return render(branches.otherwise(), scope, out);
  }

  private void loop(Statement.For loop, Value over, int level, Scope scope, Output out) {
    List<Value> items = chosen(loop, Types.items(run, over), scope);
    Callable recursion =
        loop.recursive()
            ? new Callable("loop", (_, given) -> recursion(loop, given, level, scope))
            : null;
    Loop state = new Loop(items, level, recursion);
    End end = End.NORMAL;
    for (int i = 0; i < items.size() && end != End.BREAK; i++) {
      run.budget().step();
      state.moveTo(i);
      Scope inner = new Scope(scope);
      inner.set("loop", state);
      assign(loop.target(), items.get(i), inner);
      end = render(loop.body(), inner, out);
    }
    if (items.isEmpty()) {
      render(loop.otherwise(), new Scope(scope), out);
    }
  }

  private Value recursion(Statement.For loop, Arguments given, int level, Scope scope) {
    Value items = given.bind("loop", 1, "iterable")[0];
    Output out = new Output(run.budget());
    run.budget().enter();
    loop(loop, items == null ? Value.NONE : items, level + 1, scope, out);
    run.budget().leave();
    return new Str(out.toString());
  }

  private List<Value> chosen(Statement.For loop, List<Value> items, Scope scope) {
    Expression condition = loop.condition();
    if (condition == null) {
      return items;
    }
    List<Value> chosen = new ArrayList<>();
    for (Value item : items) {
      Scope inner = new Scope(scope);
      assign(loop.target(), item, inner);
      if (Types.truth(evaluator.value(condition, inner))) {
        chosen.add(item);
      }
    }
    return chosen;
  }

  private void assign(Target target, Value value, Scope scope) {
    switch (target) {
      case Target.Variable variable -> scope.set(variable.name(), value);
      case Target.Member member -> {
        if (!(scope.value(member.namespace()) instanceof Namespace namespace)) {
          throw new Fault("cannot assign attribute on non-namespace object");
        }
        run.budget().characters(8);
        namespace.attributes().put(member.name(), value);
      }
      case Target.Several several -> {
        Types.requireDefined(value);
        List<Value> items = Types.items(run, value);
        if (items.size() != several.targets().size()) {
          throw new Fault(
              "cannot unpack %d values into %d names"
                  .formatted(items.size(), several.targets().size()));
        }
        for (int i = 0; i < items.size(); i++) {
          assign(several.targets().get(i), items.get(i), scope);
        }
      }
    }
  }

  private Value called(Statement.CallBlock block, Scope scope) {
    Callable caller = new Macro(this, "caller", block.parameters(), block.body(), scope).callable();
    Value target = evaluator.value(block.call().target(), scope);
    Arguments given = evaluator.arguments(block.call().inputs(), scope);
    return evaluator.call(target, given.with("caller", caller));
  }

  /// As transformers counts: from what the template itself has written, not from what a macro
  /// around the block has.
  private void generation(Statement.Generation generation, Scope scope, Output out) {
    String text = text(generation.body(), new Scope(scope));
    int start = run.output().codePoints();
    out.append(text);
    run.generated(new Rendered.Span(start, start + text.codePointCount(0, text.length())), text);
  }

  /// A parameter's default.
  Value evaluate(Expression expression, Scope scope) {
    return evaluator.value(expression, scope);
  }

  Run run() {
    return run;
  }
}
