package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Expression.Inputs;
import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Dict;
import dev.gatun.text.chat.jinja.Value.Float;
import dev.gatun.text.chat.jinja.Value.Int;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Computes expressions.
final class Evaluator {
  private final Run run;

  Evaluator(Run run) {
    this.run = run;
  }

  /// @throws Fault for what Jinja2 and Python refuse, and beyond the limits
  Value value(Expression expression, Scope scope) {
    run.budget().step();
    run.budget().enter();
    run.at(expression.line());
    Value value =
        switch (expression) {
          case Expression.Constant constant -> constant.value();
          case Expression.Name name -> scope.value(name.name());
          case Expression.Listing listing ->
              new Items(
                  values(listing.items(), scope),
                  listing.tuple() ? Items.Kind.TUPLE : Items.Kind.LIST);
          case Expression.Mapping mapping -> mapping(mapping, scope);
          case Expression.Attribute attribute ->
              Access.attribute(run, value(attribute.target(), scope), attribute.name());
          case Expression.Subscript subscript ->
              Access.item(run, value(subscript.target(), scope), value(subscript.index(), scope));
          case Expression.Slice slice ->
              Access.slice(
                  run,
                  value(slice.target(), scope),
                  optional(slice.from(), scope),
                  optional(slice.to(), scope),
                  optional(slice.step(), scope));
          case Expression.Call call ->
              call(value(call.target(), scope), arguments(call.inputs(), scope));
          case Expression.Filter filter -> {
            Expression target = filter.target();
            yield filtered(target == null ? Str.EMPTY : value(target, scope), filter, scope);
          }
          case Expression.Test test ->
              Value.of(
                  Tests.holds(
                      run,
                      test.name(),
                      value(test.target(), scope),
                      arguments(test.inputs(), scope)));
          case Expression.Sign sign -> signed(sign.negative(), value(sign.operand(), scope));
          case Expression.Not not -> Value.of(!Types.truth(value(not.operand(), scope)));
          case Expression.Logic logic -> {
            Value left = value(logic.left(), scope);
            yield Types.truth(left) == logic.and() ? value(logic.right(), scope) : left;
          }
          case Expression.Binary binary ->
              Arithmetic.apply(
                  run,
                  binary.operator(),
                  value(binary.left(), scope),
                  value(binary.right(), scope));
          case Expression.Concatenation concatenation -> concatenated(concatenation, scope);
          case Expression.Comparison comparison -> compared(comparison, scope);
          case Expression.Conditional conditional -> conditional(conditional, scope);
        };
    run.budget().leave();
    return value;
  }

  private @Nullable Value optional(@Nullable Expression expression, Scope scope) {
    return expression == null ? null : value(expression, scope);
  }

  private List<Value> values(List<Expression> expressions, Scope scope) {
    run.budget().characters(4L * expressions.size());
    List<Value> values = new ArrayList<>(expressions.size());
    for (Expression expression : expressions) {
      values.add(value(expression, scope));
    }
    return values;
  }

  private Value mapping(Expression.Mapping mapping, Scope scope) {
    run.budget().characters(8L * mapping.keys().size());
    Map<Value, Value> entries = new LinkedHashMap<>();
    for (int i = 0; i < mapping.keys().size(); i++) {
      Value key = Value.key(value(mapping.keys().get(i), scope));
      entries.put(key, value(mapping.values().get(i), scope));
    }
    return new Dict(entries);
  }

  /// Applies a filter to a value.
  Value filtered(Value target, Expression.Filter filter, Scope scope) {
    Arguments given = arguments(filter.inputs(), scope).after(target);
    run.at(filter.line());
    return Filters.apply(run, filter.name(), given);
  }

  private static Value signed(boolean negative, Value value) {
    if (!Types.isNumber(value)) {
      Types.requireDefined(value);
      throw new Fault("bad operand type for unary sign: '%s'".formatted(Types.name(value)));
    }
    Long whole = Types.wholeOrNull(value);
    if (whole == null) {
      return new Float(negative ? -Types.floating(value) : Types.floating(value));
    }
    if (whole == Long.MIN_VALUE) {
      throw new Fault("a whole number does not fit into 64 bits");
    }
    return new Int(negative ? -whole : whole);
  }

  private Value concatenated(Expression.Concatenation concatenation, Scope scope) {
    Output out = new Output(run.budget());
    for (Expression part : concatenation.parts()) {
      out.append(Texts.str(run, value(part, scope)));
    }
    return new Str(out.toString());
  }

  private Value compared(Expression.Comparison comparison, Scope scope) {
    Value left = value(comparison.first(), scope);
    for (int i = 0; i < comparison.relations().size(); i++) {
      Value right = value(comparison.operands().get(i), scope);
      run.at(comparison.line());
      if (!Comparison.holds(run, comparison.relations().get(i), left, right)) {
        return Value.FALSE;
      }
      left = right;
    }
    return Value.TRUE;
  }

  private Value conditional(Expression.Conditional conditional, Scope scope) {
    if (Types.truth(value(conditional.condition(), scope))) {
      return value(conditional.then(), scope);
    }
    Expression otherwise = conditional.otherwise();
    return otherwise != null
        ? value(otherwise, scope)
        : new Value.Undefined(
            "the inline if-expression on line %d evaluated to false and no else section was defined."
                .formatted(conditional.line()));
  }

  /// Calls a value.
  Value call(Value target, Arguments given) {
    Types.requireDefined(target);
    Callable callable =
        switch (target) {
          case Callable function -> function;
          case Loop loop -> loop.recursion();
          default -> null;
        };
    if (callable == null) {
      throw new Fault("'%s' object is not callable".formatted(Types.name(target)));
    }
    return callable.call(run, given);
  }

  Arguments arguments(Inputs inputs, Scope scope) {
    if (inputs == Inputs.NONE) {
      return Arguments.NONE;
    }
    List<Value> positional = values(inputs.positional(), scope);
    Map<String, Value> named = new LinkedHashMap<>();
    for (int i = 0; i < inputs.names().size(); i++) {
      named.put(inputs.names().get(i), value(inputs.named().get(i), scope));
    }
    if (inputs.unpackedList() != null) {
      positional.addAll(Types.items(run, value(inputs.unpackedList(), scope)));
    }
    if (inputs.unpackedMap() != null) {
      if (!(value(inputs.unpackedMap(), scope) instanceof Dict dict)) {
        throw new Fault("argument after ** must be a mapping");
      }
      run.budget().characters(8L * dict.entries().size());
      dict.entries().forEach((key, value) -> named.put(Types.text(key), value));
    }
    return new Arguments(positional, named);
  }
}
