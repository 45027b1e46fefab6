package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.json.JsonMapper;

class JsonLinesReaderTest {
  private static List<Row> read(byte[] bytes) {
    List<Row> rows = new ArrayList<>();
    try (JsonLinesReader reader = new JsonLinesReader("f.jsonl", new ByteArrayInputStream(bytes))) {
      for (Row row = reader.next(); row != null; row = reader.next()) {
        rows.add(row);
      }
    }
    return rows;
  }

  private static List<Row> read(String text) {
    return read(text.getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void readsTypedValues() {
    Map<String, Object> columns =
        read("{\"s\":\"é\\u00e9😀\",\"i\":-7,\"d\":1.5,\"b\":true,\"n\":null,\"l\":[1,[2]],\"o\":{\"x\":1}}")
            .getFirst()
            .columns();
    assertThat(columns)
        .containsEntry("s", "éé😀")
        .containsEntry("i", -7L)
        .containsEntry("d", 1.5)
        .containsEntry("b", true)
        .containsEntry("n", null)
        .containsEntry("l", List.of(1L, List.of(2L)))
        .containsEntry("o", Map.of("x", 1L));
  }

  @Test
  void keepsLineNumbersAcrossBlankLines() {
    List<Row> rows = read("\ufeff\r\n{\"a\":1}\r\n  \n{\"a\":2}");
    assertThat(rows.stream().map(Row::number)).containsExactly(2L, 4L);
    assertThat(rows.getLast().where()).isEqualTo("f.jsonl line 4");
  }

  @Test
  void acceptsHugeNumbersAndNotANumber() {
    Map<String, Object> columns =
        read("{\"big\":123456789012345678901234567890,\"nan\":NaN}").getFirst().columns();
    assertThat(columns).containsEntry("big", 123456789012345678901234567890d);
    assertThat(columns).containsEntry("nan", Double.NaN);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"a\":1                | line 2 is not valid JSON",
        "[1]                     | must be a JSON object",
        "{\"a\":1} {\"a\":2}     | text follows",
        "{\"a\":1,\"a\":2}       | uplicate",
        "\"x\"                   | must be a JSON object",
        "{\"a\": 1e}             | line 2 is not valid JSON",
      })
  void namesTheLineOfMalformedJson(String line, String reason) {
    assertThatThrownBy(() -> read("{\"a\":0}\n" + line + "\n"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("f.jsonl line 2")
        .hasMessageContaining(reason);
  }

  @Test
  void deepNestingIsAnErrorNotAStackOverflow() {
    String line = "{\"a\":" + "[".repeat(200_000) + "]".repeat(200_000) + "}";
    assertThatThrownBy(() -> read(line))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("line 1")
        .hasMessageContaining("nest");
  }

  @Test
  void namesTheByteThatIsNotUtf8() {
    byte[] bytes = "{\"a\":0}\n{\"a\":\"caf\u00e9\"}\n".getBytes(StandardCharsets.ISO_8859_1);
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("line 2")
        .hasMessageContaining("0xE9 at offset 17");
  }

  @Test
  void readsLinesLongerThanTheBuffer() {
    String text = "x".repeat(300_000);
    List<Row> rows = read("{\"a\":\"" + text + "\"}\n{\"a\":\"y\"}");
    assertThat(rows.getFirst().value("a")).isEqualTo(text);
    assertThat(rows.getLast().value("a")).isEqualTo("y");
  }

  /// Random documents, whole and with a random byte changed: what is read is what was written, or
  /// an error of ours.
  @Test
  void randomDocumentsAndRandomDamage() {
    int refused = 0;
    for (int seed = 0; seed < 400; seed++) {
      Random random = new Random(seed);
      List<Map<String, String>> written = new ArrayList<>();
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(8); i >= 0; i--) {
        Map<String, String> row = Map.of("text", randomText(random), "id", "" + i);
        written.add(row);
        text.append(JsonMapper.shared().writeValueAsString(row));
        text.append(random.nextBoolean() ? "\n" : "\r\n");
      }
      byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
      assertThat(read(bytes)).as("seed %d", seed).extracting(Row::columns).isEqualTo(written);
      byte[] damaged = bytes.clone();
      damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      byte[] cut = random.nextBoolean() ? damaged : Arrays.copyOf(damaged, damaged.length / 2);
      try {
        assertThat(read(cut).size()).isLessThanOrEqualTo(written.size() + 1);
      } catch (InputException e) {
        refused++;
        assertThat(e.getMessage()).as("seed %d", seed).contains("f.jsonl line ");
      }
    }
    assertThat(refused).isGreaterThan(100);
  }

  private static String randomText(Random random) {
    StringBuilder text = new StringBuilder();
    for (int i = random.nextInt(40); i > 0; i--) {
      int point = random.nextInt(4) == 0 ? random.nextInt(0x11000) : random.nextInt(128);
      text.appendCodePoint(point >= 0xd800 && point < 0xe000 ? 0x1f600 : point);
    }
    return text.toString();
  }
}
