package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportCommandTest {
  @TempDir private Path folder;

  @Test
  void aRunLeavesItsReportAndTwoAreCompared() throws IOException {
    Workspace workspace = Workspace.create(folder);
    workspace.train("save_steps=1");
    workspace.train("output_dir=" + folder.resolve("second"));
    String own = Files.readString(workspace.output().resolve("report.html"));
    assertThat(own).contains("step 2: ", "<td>activations</td>", "<td>lora_r</td><td>4</td>");

    Path both = folder.resolve("both.html");
    String first = workspace.output().toString();
    String second = folder.resolve("second").toString();
    for (int i = 0; i < 2; i++) { // the second time over the page of the first
      Run run = Run.gatun("report", first, second, "--output", both.toString());
      assertThat(run.err()).isEmpty();
      assertThat(run.exitCode()).isZero();
    }
    assertThat(Files.readString(both)).contains("<td>output_dir</td>", ">2 runs</h1>");
  }

  @Test
  void anotherFileIsNotWrittenOver() throws IOException {
    Path notes = Files.writeString(folder.resolve("notes.html"), "<!DOCTYPE html>\nmine");

    Run run = Run.gatun("report", folder.toString(), "--output", notes.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("exists and is no report; name another file with --output");
    assertThat(notes).hasContent("<!DOCTYPE html>\nmine");
  }

  @Test
  void aFolderThatIsNoRunIsOneSentence() {
    Run run = Run.gatun("report", folder.toString());

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).contains("holds no metrics.jsonl; name the output_dir of a run");
    assertThat(folder).isEmptyDirectory();
  }
}
