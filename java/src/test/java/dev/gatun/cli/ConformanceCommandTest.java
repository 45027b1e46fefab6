package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.rules.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConformanceCommandTest {
  private static final Path KIT = Repository.root().resolve("java/src/test/resources/conformance");

  @TempDir Path folder;

  @Test
  void aKitThatPassesEndsWithTheSummaryAndExitsWithZero() {
    Run run = Run.gatun("conformance", KIT.toString(), "--part", "sft/packing", "--strict");

    assertThat(run.exitCode()).isZero();
    assertThat(run.out()).contains("sft/packing/doc_example", "exact", "passed");
    assertThat(run.out().lines().toList().getLast())
        .matches("\\d+ passed, 0 failed, 0 not supported");
  }

  @Test
  void aPrefixChoosesAllPartsBelowIt() {
    assertThat(Run.gatun("conformance", KIT.toString(), "--part", "sft").out())
        .contains("sft/packing/", "sft/collator/");
  }

  @Test
  void aWrongGoldenFailsTheRun() throws IOException {
    Path packing = Files.createDirectories(folder.resolve("sft/packing"));
    String golden = Files.readString(KIT.resolve("sft/packing/doc_example.json"));
    String wrong = golden.replaceFirst("\"seq_lengths\": \\[\\[\\s*4", "\"seq_lengths\": [[5");
    assertThat(wrong).isNotEqualTo(golden);
    Files.writeString(packing.resolve("doc_example.json"), wrong);

    Run run = Run.gatun("conformance", folder.toString());

    assertThat(run.exitCode()).isEqualTo(1);
    assertThat(run.out()).contains("failed");
    assertThat(run.out().lines().toList().getLast()).doesNotContain(" 0 failed");
  }

  @Test
  void whatIsNotSupportedFailsOnlyAStrictRun() throws IOException {
    Path unknown = Files.createDirectories(folder.resolve("malformed/unknown_kind"));
    Files.writeString(unknown.resolve("file.bin"), "");
    Files.writeString(
        unknown.resolve("expected.json"), "{\"file.bin\": {\"expected\": \"refuse\"}}");
    Run lenient = Run.gatun("conformance", folder.toString());

    assertThat(lenient.out()).contains("0 failed", "not supported");
    assertThat(lenient.exitCode()).isZero();
    assertThat(Run.gatun("conformance", folder.toString(), "--strict").exitCode()).isEqualTo(1);
  }

  @Test
  void aFolderWithoutCasesOrNoFolderIsWrongInput() {
    Run empty = Run.gatun("conformance", folder.toString());
    Run absent = Run.gatun("conformance", folder.resolve("absent").toString());

    assertThat(empty.exitCode()).isEqualTo(2);
    assertThat(empty.err()).contains("holds no conformance cases").hasLineCount(1);
    assertThat(absent.exitCode()).isEqualTo(2);
    assertThat(absent.err()).hasLineCount(1);
  }
}
