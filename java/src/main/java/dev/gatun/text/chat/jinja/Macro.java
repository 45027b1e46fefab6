package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Statement.Parameters;
import dev.gatun.text.chat.jinja.Value.Callable;
import dev.gatun.text.chat.jinja.Value.Items;
import dev.gatun.text.chat.jinja.Value.Str;
import dev.gatun.text.chat.jinja.Value.Undefined;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A macro, or the body of a `call` block. It sees the variables around its definition as they are
/// when it is called.
record Macro(
    Renderer renderer, String name, Parameters parameters, List<Statement> body, Scope outer) {
  Callable callable() {
    List<Value> names = StringMethods.texts(parameters.names());
    return new Callable(
        name,
        (_, given) -> call(given),
        Map.of("name", new Str(name), "arguments", new Items(names, Items.Kind.TUPLE)));
  }

  private Value call(Arguments given) {
    Run run = renderer.run();
    run.budget().enter();
    Scope scope = new Scope(outer);
    Map<String, Value> left = new LinkedHashMap<>(given.named());
    int declared = parameters.names().size();
    for (int i = 0; i < declared; i++) {
      String parameter = parameters.names().get(i);
      Value named = left.remove(parameter);
      if (i < given.positional().size()) {
        scope.set(parameter, given.positional().get(i));
      } else {
        scope.set(parameter, named != null ? named : absent(i, scope));
      }
    }
    Value caller = left.remove("caller");
    if (!parameters.names().contains("caller")) {
      scope.set("caller", caller != null ? caller : new Undefined("No caller defined"));
    }
    List<Value> rest =
        given
            .positional()
            .subList(Math.min(declared, given.positional().size()), given.positional().size());
    special(scope, rest, left);
    Value text = new Str(renderer.text(body, scope));
    run.budget().leave();
    return text;
  }

  private Value absent(int parameter, Scope scope) {
    int firstDefault = parameters.names().size() - parameters.defaults().size();
    if (parameter >= firstDefault) {
      return renderer.evaluate(parameters.defaults().get(parameter - firstDefault), scope);
    }
    return new Undefined("parameter '" + parameters.names().get(parameter) + "' was not provided");
  }

  /// What the parameters do not take, if the body asks for it; else it is a mistake.
  private void special(Scope scope, List<Value> rest, Map<String, Value> left) {
    if (!left.isEmpty() && !parameters.takesNamed()) {
      throw new Fault(
          "macro '%s' takes no keyword argument '%s'"
              .formatted(name, left.keySet().iterator().next()));
    }
    if (!rest.isEmpty() && !parameters.takesRest()) {
      throw new Fault(
          "macro '%s' takes not more than %d argument(s)"
              .formatted(name, parameters.names().size()));
    }
    scope.set("varargs", new Items(List.copyOf(rest), Items.Kind.TUPLE));
    scope.set("kwargs", Value.dict(left));
  }
}
