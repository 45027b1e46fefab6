package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/// Holds the parameter record of every [KernelSpec] in the code against the built PTX, and every
/// entry of a module that is used against the specs.
class KernelContractTest {
  private static final List<KernelSpec<?>> SPECS = specs();

  @Test
  void everySpecFitsItsEntry() {
    BuiltKernels.report(); // skips without kernels
    List<String> mismatches = new ArrayList<>();
    for (KernelSpec<?> spec : SPECS) {
      String ptx =
          Module.source(spec.module(), spec.target())
              .orElseThrow(() -> new AssertionError(spec + ": no such module in the build"));
      mismatches.addAll(spec.mismatches(PtxEntries.parse(ptx)));
    }
    assertThat(mismatches).isEmpty();
  }

  @Test
  void everyEntryOfAModuleInUseHasASpec() {
    BuiltKernels.report();
    Set<String> known = new HashSet<>();
    Set<String> modules = new HashSet<>();
    for (KernelSpec<?> spec : SPECS) {
      known.add(spec.target().resource(spec.module()) + " " + spec.entry());
      modules.add(spec.module());
    }
    List<String> unused = new ArrayList<>();
    for (String module : modules) {
      for (Target target : Target.values()) {
        Module.source(module, target).map(PtxEntries::parse).stream()
            .flatMap(ptx -> ptx.entries().keySet().stream())
            .map(entry -> target.resource(module) + " " + entry)
            .filter(entry -> !known.contains(entry))
            .forEach(unused::add);
      }
    }
    assertThat(unused).isEmpty();
  }

  /// The static fields of type [KernelSpec], and the lists named `…_SPECS`, in the library's
  /// classes.
  private static List<KernelSpec<?>> specs() {
    List<KernelSpec<?>> specs = new ArrayList<>();
    for (JavaClass type :
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("dev.gatun.cuda", "dev.gatun.kernels")) {
      for (JavaField field : type.getFields()) {
        if (field.getRawType().isEquivalentTo(KernelSpec.class)) {
          specs.add((KernelSpec<?>) value(field.reflect()));
        } else if (field.getName().endsWith("_SPECS")) {
          ((List<?>) value(field.reflect())).forEach(spec -> specs.add((KernelSpec<?>) spec));
        }
      }
    }
    return specs;
  }

  private static Object value(Field field) {
    try {
      field.setAccessible(true);
      return field.get(null);
    } catch (IllegalAccessException e) {
      throw new AssertionError(e);
    }
  }
}
