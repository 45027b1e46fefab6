package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PythonJsonTest {
  /// The right column is what Python 3 prints for `json.dumps(x)`.
  @ParameterizedTest
  @CsvSource({
    "0.0, 0.0",
    "-0.0, -0.0",
    "1, 1.0",
    "100, 100.0",
    "12345678.0, 12345678.0",
    "0.05, 0.05",
    "0.0001, 0.0001",
    "0.00001, 1e-05",
    "2.5e-7, 2.5e-07",
    "1e15, 1000000000000000.0",
    "1e16, 1e+16",
    "1.5e300, 1.5e+300",
    "1e-300, 1e-300",
    "0.1, 0.1",
    "3.141592653589793, 3.141592653589793"
  })
  void numbersLookAsInPython(double value, String expected) {
    assertThat(PythonJson.format(value)).isEqualTo(expected);
  }

  @Test
  void layoutIsThatOfJsonDumpsWithIndentTwo() {
    Map<String, Object> value = new LinkedHashMap<>();
    value.put("b", List.of(1, 2L));
    value.put("a", List.of());
    value.put("c", Map.of());
    value.put("d", Map.of("x\"\n", "\u00e9\u0001\uD83D\uDE00"));
    value.put("e", null);
    value.put("f", true);
    assertThat(PythonJson.format(value))
        .isEqualTo(
            """
            {
              "b": [
                1,
                2
              ],
              "a": [],
              "c": {},
              "d": {
                "x\\"\\n": "\\u00e9\\u0001\\ud83d\\ude00"
              },
              "e": null,
              "f": true
            }\
            """);
  }

  @Test
  void specialNumbersAreSpelledAsPythonDoes() {
    assertThat(PythonJson.format(Double.NaN)).isEqualTo("NaN");
    assertThat(PythonJson.format(Double.NEGATIVE_INFINITY)).isEqualTo("-Infinity");
  }

  @Test
  void refusesOtherTypes() {
    assertThatThrownBy(() -> PythonJson.format(new Object()))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
