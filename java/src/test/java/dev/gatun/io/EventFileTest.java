package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.FailureException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EventFileTest {
  /// What `RecordWriter` and the messages of the Python package tensorboard 2.21 make of the events
  /// below.
  private static final String GOLDEN =
      "GAAAAAAAAACjf0siCQAAEED8VNlBGg1icmFpbi5FdmVudDoyM40v6Q8AAAAAAAAAbVMrCQkAAGBA/FTZQRALOgIIAaBu"
          + "4VAeAAAAAAAAANncEjIJAACAQPxU2UEqEwoRCgp0cmFpbi9sb3NzFQAAoD+ie24hMwAAAAAAAAAMpyBWCQAAgED8VNlB"
          + "EKwCKiUKEQoKdHJhaW4vbG9zcxXNzMw9ChAKCWV2YWwvbG9zcxWCqPu3DwhwkS4AAAAAAAAAxctX+gkAAIBA/FTZQRCA"
          + "gICAgCAqHAoaChN0cmFpbi9sZWFybmluZ19yYXRlFQAAAAAXJo+O";

  @TempDir private Path folder;

  @Test
  void writesTheBytesThatTensorBoardsOwnWriterWrites() throws IOException {
    Path path = folder.resolve("new/events.out.tfevents.1.x");
    try (EventFile file = EventFile.create(path, 1700000000.25)) {
      file.start(1700000001.5, 11);
      file.scalars(1700000002, 0, Map.of("train/loss", 1.25));
      Map<String, Double> two = new LinkedHashMap<>();
      two.put("train/loss", 0.1);
      two.put("eval/loss", -3e-5);
      file.scalars(1700000002, 300, two);
      file.scalars(1700000002, 1L << 40, Map.of("train/learning_rate", 0.0));
    }

    assertThat(Base64.getEncoder().encodeToString(Files.readAllBytes(path))).isEqualTo(GOLDEN);
  }

  @Test
  void leavesAFileThatIsThereAlone() throws IOException {
    Path path = Files.writeString(folder.resolve("events.out.tfevents.1.x"), "mine");

    assertThatThrownBy(() -> EventFile.create(path, 0))
        .isInstanceOf(FailureException.class)
        .hasMessageContaining("cannot be written")
        .hasMessageContaining("check logging_dir");
    assertThat(path).hasContent("mine");
  }
}
