package dev.gatun.rules;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.belongToAnyOf;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import dev.gatun.cli.Gatun;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/// The package graph of `docs/architecture.md`, leaf to root.
class ArchitectureTest {
  /// What each package may use of the others. `dev.gatun` itself holds two exceptions for everyone.
  private static final Map<String, List<String>> MAY_USE =
      Map.ofEntries(
          Map.entry("tensor", List.of()),
          Map.entry("quant", List.of("tensor")),
          Map.entry("op", List.of("tensor", "quant")),
          Map.entry("model", List.of("tensor", "quant", "op")),
          Map.entry("cpu", List.of("tensor", "quant", "op")),
          Map.entry("cuda", List.of("bindings", "tensor", "quant", "op")),
          Map.entry("kernels", List.of("tensor", "quant", "op", "cuda")),
          Map.entry("nn", List.of("tensor", "quant", "op", "model")),
          Map.entry("io", List.of("tensor", "quant", "op", "model")),
          Map.entry("adapter", List.of("tensor", "quant", "op", "model", "nn", "io")),
          Map.entry("report", List.of("io")),
          Map.entry("text", List.of()),
          Map.entry("data", List.of("tensor", "quant", "op", "model", "io", "text")),
          Map.entry("optim", List.of("tensor", "quant", "op", "model", "nn", "io")),
          Map.entry(
              "train",
              List.of(
                  "tensor",
                  "quant",
                  "op",
                  "model",
                  "nn",
                  "io",
                  "adapter",
                  "text",
                  "data",
                  "optim",
                  "report",
                  "generate")),
          Map.entry(
              "generate",
              List.of(
                  "tensor", "quant", "op", "model", "nn", "io", "adapter", "text", "data",
                  "optim")),
          Map.entry(
              "conformance",
              List.of(
                  "tensor",
                  "quant",
                  "op",
                  "model",
                  "nn",
                  "io",
                  "adapter",
                  "text",
                  "data",
                  "optim",
                  "train",
                  "generate")),
          Map.entry(
              "cli",
              List.of(
                  "tensor",
                  "quant",
                  "op",
                  "model",
                  "cpu",
                  "cuda",
                  "nn",
                  "io",
                  "adapter",
                  "text",
                  "data",
                  "optim",
                  "report",
                  "train",
                  "generate",
                  "conformance")));

  private static JavaClasses product = new ClassFileImporter().importClasses();

  @BeforeAll
  static void importClasses() throws URISyntaxException {
    URI classes = Gatun.class.getProtectionDomain().getCodeSource().getLocation().toURI();
    product = new ClassFileImporter().importPath(Path.of(classes));
  }

  @TestFactory
  Stream<DynamicTest> aPackageUsesOnlyPackagesBelowIt() {
    Set<String> all =
        Stream.concat(MAY_USE.keySet().stream(), Stream.of("bindings"))
            .collect(Collectors.toCollection(TreeSet::new));
    return MAY_USE.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .map(entry ->
            DynamicTest.dynamicTest(
                entry.getKey(),
                () -> {
                  String[] forbidden =
                      all.stream()
                          .filter(name -> !name.equals(entry.getKey()))
                          .filter(name -> !entry.getValue().contains(name))
                          .map(name -> "dev.gatun." + name + "..")
                          .toArray(String[]::new);
                  noClasses()
                      .that()
                      .resideInAPackage("dev.gatun." + entry.getKey() + "..")
                      .should()
                      .dependOnClassesThat()
                      .resideInAnyPackage(forbidden)
                      .allowEmptyShould(true)
                      .check(product);
                }));
  }

  @Test
  void theCudaRuntimeKnowsNoTensors() {
    noClasses()
        .that()
        .resideInAPackage("dev.gatun.cuda")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "dev.gatun.tensor..", "dev.gatun.quant..", "dev.gatun.op..", "dev.gatun.cuda.op..")
        .check(product);
  }

  @Test
  void everyPackageHasItsPlaceInTheGraph() {
    Set<String> found =
        product.stream()
            .map(JavaClass::getPackageName)
            .filter(name -> name.startsWith("dev.gatun."))
            .map(name -> name.split("\\.")[2])
            .filter(name -> !name.equals("bindings"))
            .collect(Collectors.toCollection(TreeSet::new));

    assertThat(MAY_USE.keySet()).containsAll(found);
  }

  @Test
  void packagesFormNoCycle() {
    slices().matching("dev.gatun.(*)..").should().beFreeOfCycles().check(product);
  }

  @Test
  void theRootPackageUsesNothingOfOurs() {
    noClasses()
        .that()
        .resideInAPackage("dev.gatun")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("dev.gatun.*..")
        .check(product);
  }

  @Test
  void foreignMemoryStaysWhereTensorsAreMadeOrMoved() {
    noClasses()
        .that(
            not(
                resideInAnyPackage(
                    "dev.gatun.tensor",
                    "dev.gatun.op",
                    "dev.gatun.cpu..",
                    "dev.gatun.cuda..",
                    "dev.gatun.io..",
                    "dev.gatun.data..",
                    "dev.gatun.bindings..")))
        .should()
        .dependOnClassesThat()
        .resideInAPackage("java.lang.foreign..")
        .check(product);
  }

  @Test
  void theIncubatingVectorApiStaysInItsPackage() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.gatun.cpu.simd..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("jdk.incubator..")
        .check(product);
  }

  @Test
  void oneClassKnowsTheTokenizerLibrary() {
    assertThat(topLevelUsersOf("ai.djl.")).hasSizeLessThanOrEqualTo(1).allMatch(inPackage("text"));
  }

  @Test
  void oneClassKnowsArrowsDatasetLibrary() {
    assertThat(topLevelUsersOf("org.apache.arrow.dataset."))
        .hasSizeLessThanOrEqualTo(1)
        .allMatch(inPackage("data"));
  }

  @Test
  void nothingKnowsJCuda() {
    classes().should().onlyDependOnClassesThat(not(resideInAnyPackage("jcuda.."))).check(product);
  }

  @Test
  void onlyTheCommandLineKnowsItsLibraries() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.gatun.cli..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("picocli..", "me.tongfei..")
        .check(product);
  }

  @Test
  void nobodyEndsTheProcessButMain() {
    noClasses()
        .that(not(belongToAnyOf(Gatun.class)))
        .should()
        .callMethod(System.class, "exit", int.class)
        .check(product);
  }

  private static Predicate<String> inPackage(String name) {
    return type -> type.startsWith("dev.gatun." + name + ".");
  }

  private static Set<String> topLevelUsersOf(String packagePrefix) {
    return product.stream()
        .filter(type ->
            type.getDirectDependenciesFromSelf().stream()
                .anyMatch(d -> d.getTargetClass().getName().startsWith(packagePrefix)))
        .map(type -> type.getName().split("\\$")[0])
        .collect(Collectors.toCollection(TreeSet::new));
  }
}
