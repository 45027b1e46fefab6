package dev.gatun.nn;

import dev.gatun.op.Backend;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;

/// Backends and ops with something put in between.
final class BackendProxy {
  private BackendProxy() {}

  /// A backend of which some methods are replaced.
  ///
  /// @param replaced by name, from the arguments to the result
  static Backend replacing(Backend real, Map<String, Function<Object[], Object>> replaced) {
    return replacing(Backend.class, real, replaced);
  }

  /// The same for its ops.
  static <T> T replacing(Class<T> type, T real, Map<String, Function<Object[], Object>> replaced) {
    return proxy(
        type,
        (method, arguments) ->
            replaced
                .getOrDefault(method.getName(), all -> invoke(real, method, all))
                .apply(arguments));
  }

  /// Ops of which `forward` is announced with its arguments.
  static <T> T observingForward(Class<T> type, T real, Consumer<Object[]> observer) {
    return proxy(
        type,
        (method, arguments) -> {
          if (method.getName().equals("forward")) {
            observer.accept(arguments);
          }
          return invoke(real, method, arguments);
        });
  }

  private interface Call {
    Object apply(Method method, Object[] arguments);
  }

  private static <T> T proxy(Class<T> type, Call call) {
    return type.cast(
        Proxy.newProxyInstance(
            BackendProxy.class.getClassLoader(),
            new Class<?>[] {type},
            (_, method, arguments) ->
                call.apply(method, arguments == null ? new Object[0] : arguments)));
  }

  private static Object invoke(Object real, Method method, Object[] arguments) {
    try {
      method.setAccessible(true);
      return method.invoke(real, arguments);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException(e.getCause());
    } catch (IllegalAccessException e) {
      throw new IllegalStateException(e);
    }
  }
}
