package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import java.io.ByteArrayInputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class CsvReaderTest {
  private static List<Row> read(String text, Charset charset) {
    List<Row> rows = new ArrayList<>();
    ByteArrayInputStream in = new ByteArrayInputStream(text.getBytes(charset));
    try (CsvReader reader = new CsvReader("f.csv", in, ',')) {
      for (Row row = reader.next(); row != null; row = reader.next()) {
        rows.add(row);
      }
    }
    return rows;
  }

  private static List<Row> read(String text) {
    return read(text, StandardCharsets.UTF_8);
  }

  @Test
  void readsQuotesLineFeedsAndNulls() {
    List<Row> rows =
        read("\ufeffprompt,completion\r\n\"a \"\"q\"\"\nb\",\"\"\r\n\r\nx,\n17,\"1,2\"");
    assertThat(rows.get(0).value("prompt")).isEqualTo("a \"q\"\nb");
    assertThat(rows.get(0).value("completion")).isEqualTo("");
    assertThat(rows.get(1).value("completion")).isNull();
    assertThat(rows.get(2).value("prompt")).isEqualTo("17");
    assertThat(rows.get(2).value("completion")).isEqualTo("1,2");
    assertThat(rows.stream().map(Row::number)).containsExactly(2L, 5L, 6L);
  }

  @Test
  void namesTheLine() {
    assertRefused("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields");
    assertRefused("a,b\n\"1,2\n", "line 2: a quoted field is never closed");
    assertRefused("a,b\n\"1\"x,2\n", "line 2: text follows a closing quote");
    assertRefused("a,a\n", "`a` twice");
    assertRefused("a,\n", "without a name");
    assertThatThrownBy(() -> read("a\n\u00e9\n", StandardCharsets.ISO_8859_1))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("not UTF-8");
  }

  private static void assertRefused(String text, String reason) {
    assertThatThrownBy(() -> read(text))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("f.csv")
        .hasMessageContaining(reason);
  }
}
