package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandleProxies;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.lang.reflect.Method;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;

/// How the components of a parameter record lie in a kernel's argument block: each at the next
/// multiple of its alignment, in the order of declaration. Derived once a record class.
///
/// @param sizeBytes size of the whole block
/// @param packer writes a record of the class into a block; allocates nothing
record ArgumentLayout(
    Class<? extends Record> type,
    List<Argument> arguments,
    long sizeBytes,
    BiConsumer<MemorySegment, Record> packer) {

  /// The kinds of parameter that a kernel may have.
  @SuppressWarnings("ImmutableEnumChecker") // layouts are immutable
  enum Kind {
    POINTER(DevicePtr.class, JAVA_LONG),
    INT(int.class, JAVA_INT),
    LONG(long.class, JAVA_LONG),
    FLOAT(float.class, JAVA_FLOAT),
    DOUBLE(double.class, JAVA_DOUBLE),
    SHORT(short.class, JAVA_SHORT),
    TENSOR_MAP(TensorMap.class, TensorMap.LAYOUT);

    private final Class<?> javaType;
    private final MemoryLayout layout;

    Kind(Class<?> javaType, MemoryLayout layout) {
      this.javaType = javaType;
      this.layout = layout;
    }

    long bytes() {
      return layout.byteSize();
    }

    long alignment() {
      return layout.byteAlignment();
    }

    private static Kind of(RecordComponent component) {
      for (Kind kind : values()) {
        if (kind.javaType == component.getType()) {
          return kind;
        }
      }
      throw new IllegalArgumentException(
          "component %s of %s is a %s: a kernel parameter is a DevicePtr, int, long, float, double, short or TensorMap"
              .formatted(
                  component.getName(),
                  component.getDeclaringRecord().getName(),
                  component.getType().getSimpleName()));
    }
  }

  /// One parameter: its component's name, its kind and its offset in bytes.
  record Argument(String name, Kind kind, long offset) {}

  private static final MethodHandle ADDRESS;
  private static final MethodHandle WRITE_MAP;

  static {
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      ADDRESS = lookup.findVirtual(DevicePtr.class, "address", MethodType.methodType(long.class));
      WRITE_MAP =
          lookup.findStatic(
              TensorMap.class,
              "write",
              MethodType.methodType(void.class, MemorySegment.class, long.class, TensorMap.class));
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private static final ClassValue<ArgumentLayout> CACHE =
      new ClassValue<>() {
        @Override
        protected ArgumentLayout computeValue(Class<?> type) {
          return derive(type.asSubclass(Record.class));
        }
      };

  /// The layout of a record class.
  ///
  /// @throws IllegalArgumentException if a component is of a type that kernels do not take
  static ArgumentLayout of(Class<? extends Record> type) {
    return CACHE.get(type);
  }

  private static ArgumentLayout derive(Class<? extends Record> type) {
    List<Argument> arguments = new ArrayList<>();
    long end = 0;
    // Writers run from the last component to the first, which nothing can observe.
    MethodHandle pack =
        MethodHandles.empty(MethodType.methodType(void.class, MemorySegment.class, type));
    for (RecordComponent component : type.getRecordComponents()) {
      Kind kind = Kind.of(component);
      long offset = (end + kind.alignment() - 1) / kind.alignment() * kind.alignment();
      arguments.add(new Argument(component.getName(), kind, offset));
      pack = MethodHandles.foldArguments(pack, writer(component, kind, offset));
      end = offset + kind.bytes();
    }
    return new ArgumentLayout(type, List.copyOf(arguments), end, proxy(pack));
  }

  /// `(MemorySegment, P) -> void` that stores one component.
  private static MethodHandle writer(RecordComponent component, Kind kind, long offset) {
    MethodHandle read = accessor(component);
    return switch (kind) {
      case POINTER -> store(JAVA_LONG, offset, MethodHandles.filterReturnValue(read, ADDRESS));
      case TENSOR_MAP ->
          MethodHandles.filterArguments(
              MethodHandles.insertArguments(WRITE_MAP, 1, offset), 1, read);
      case INT, LONG, FLOAT, DOUBLE, SHORT -> store((ValueLayout) kind.layout, offset, read);
    };
  }

  private static MethodHandle store(ValueLayout layout, long offset, MethodHandle read) {
    MethodHandle set =
        MethodHandles.insertCoordinates(layout.varHandle(), 1, offset)
            .toMethodHandle(VarHandle.AccessMode.SET);
    return MethodHandles.filterArguments(set, 1, read);
  }

  @SuppressWarnings("unchecked")
  private static BiConsumer<MemorySegment, Record> proxy(MethodHandle pack) {
    return MethodHandleProxies.asInterfaceInstance(
        BiConsumer.class,
        pack.asType(MethodType.methodType(void.class, Object.class, Object.class)));
  }

  private static MethodHandle accessor(RecordComponent component) {
    Method method = component.getAccessor();
    try {
      method.setAccessible(true); // parameter records are private to their launcher
      return MethodHandles.lookup().unreflect(method);
    } catch (IllegalAccessException e) {
      throw new IllegalArgumentException(
          component.getDeclaringRecord().getName() + " is in a package that is not open", e);
    }
  }
}
