package dev.gatun.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.MalformedURLException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.InvocationInterceptor;
import org.junit.jupiter.api.extension.ReflectiveInvocationContext;

/// Runs each test method against doubles of libcuda and libcublasLt, compiled with gcc from the
/// test resources. The method runs in a copy of its class under a class loader of its own, so that
/// the process may also hold the real libraries, and every test starts with fresh static state.
/// Test methods take no arguments. [#KERNELS] says what the build's kernels look like to them.
public final class FakeDriver implements ExecutionCondition, InvocationInterceptor {
  static final String CUDA = "gatun.lib.cuda";
  static final String CUBLASLT = "gatun.lib.cublaslt";

  /// `stub` replaces all kernels by modules without content, `none` hides them; unset, they are
  /// what the build has.
  public static final String KERNELS = "gatun.fake.kernels";

  private static @Nullable Path folder; // of the compiled doubles; written once
  private static @Nullable String obstacle; // why there are none; written once

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    compileOnce();
    return obstacle == null
        ? ConditionEvaluationResult.enabled("doubles are compiled")
        : ConditionEvaluationResult.disabled("no double of the driver: " + obstacle);
  }

  @Override
  public void interceptTestMethod(
      Invocation<Void> invocation, ReflectiveInvocationContext<Method> call, ExtensionContext test)
      throws Throwable {
    invocation.skip();
    Path doubles = Objects.requireNonNull(folder);
    System.setProperty(CUDA, doubles.resolve("libcuda.so").toString());
    System.setProperty(CUBLASLT, doubles.resolve("libcublaslt.so").toString());
    try {
      Class<?> copy = new Isolated().loadClass(call.getTargetClass().getName());
      Method reset =
          copy.getClassLoader().loadClass(Fake.class.getName()).getDeclaredMethod("reset");
      reset.setAccessible(true);
      reset.invoke(null);
      Constructor<?> constructor = copy.getDeclaredConstructor();
      constructor.setAccessible(true);
      Method method = copy.getDeclaredMethod(call.getExecutable().getName());
      method.setAccessible(true);
      method.invoke(constructor.newInstance());
    } catch (InvocationTargetException e) {
      throw e.getCause();
    } finally {
      System.clearProperty(CUDA);
      System.clearProperty(CUBLASLT);
      System.clearProperty(KERNELS);
    }
  }

  private static synchronized void compileOnce() {
    if (folder != null || obstacle != null) {
      return;
    }
    try {
      Path target = Files.createTempDirectory("gatun-fake");
      target.toFile().deleteOnExit();
      compile("cuda", target);
      compile("cublaslt", target);
      Path stub = target.resolve("stub.ptx");
      Files.writeString(stub, ".version 9.0\n.target sm_80\n.address_size 64\n");
      stub.toFile().deleteOnExit();
      folder = target;
    } catch (IOException e) {
      obstacle = "gcc cannot be run (" + e.getMessage() + ")";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      obstacle = "interrupted";
    }
  }

  private static void compile(String name, Path target) throws IOException, InterruptedException {
    Path source = target.resolve(name + ".c");
    Path library = target.resolve("lib" + name + ".so");
    try (InputStream in = FakeDriver.class.getResourceAsStream("/fake/" + name + ".c")) {
      Files.write(source, in.readAllBytes());
    }
    Process gcc =
        new ProcessBuilder(
                "gcc", "-shared", "-fPIC", "-O1", "-w", "-o", library.toString(), source.toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(gcc.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (gcc.waitFor() != 0) {
      throw new IllegalStateException("the double does not compile: " + output);
    }
    source.toFile().deleteOnExit();
    library.toFile().deleteOnExit();
  }

  /// Loads our own classes anew, everything else from the application.
  private static final class Isolated extends ClassLoader {
    Isolated() {
      super(FakeDriver.class.getClassLoader());
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.startsWith("dev.gatun.")) {
        return super.loadClass(name, resolve);
      }
      synchronized (getClassLoadingLock(name)) {
        Class<?> known = findLoadedClass(name);
        return known != null ? known : define(name);
      }
    }

    @Override
    public @Nullable URL getResource(String name) {
      String kernels = System.getProperty(KERNELS);
      if (kernels == null || !name.startsWith("dev/gatun/kernels/") || !name.endsWith(".ptx")) {
        return super.getResource(name);
      }
      try {
        return kernels.equals("stub")
            ? Objects.requireNonNull(folder).resolve("stub.ptx").toUri().toURL()
            : null;
      } catch (MalformedURLException e) {
        throw new IllegalStateException(e);
      }
    }

    private Class<?> define(String name) throws ClassNotFoundException {
      try (InputStream in = getParent().getResourceAsStream(name.replace('.', '/') + ".class")) {
        if (in == null) {
          throw new ClassNotFoundException(name);
        }
        byte[] bytes = in.readAllBytes();
        return defineClass(name, bytes, 0, bytes.length);
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }
  }
}
