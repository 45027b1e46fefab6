package dev.gatun.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.gatun.InputException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import org.xml.sax.SAXException;

class RunReportTest {
  private static final String HOSTILE =
      "</td><script src='http://x'>1</script>&\"\u0000\ud83d\ude00";
  private static final String ESCAPED_JSON =
      "</td><script src='http://x'>1</script>&\\\"\\u0000\\ud83d\\ude00";

  @TempDir private Path folder;
  private Path run = Path.of("");

  @BeforeEach
  void createRun() throws IOException {
    run = Files.createDirectories(folder.resolve("a <run> & more"));
    metrics(run, 7, 1);
  }

  /// Losses `scale / step`, and an evaluation after every second update.
  private static void metrics(Path run, int steps, double scale) throws IOException {
    StringBuilder lines = new StringBuilder();
    for (int step = 1; step <= steps; step++) {
      lines.append(
          String.format(
              Locale.ROOT,
              "{\"step\":%d,\"loss\":%s,\"grad_norm\":%s,\"learning_rate\":%s,\"tokens\":100,\"tokens_per_second\":50.0}%n",
              step,
              scale / step,
              2.0 * step,
              1e-4 * step));
      if (step % 2 == 0) {
        lines.append(
            String.format(
                Locale.ROOT,
                "{\"step\":%d,\"eval_loss\":9.0,\"eval_token_loss\":%s}%n",
                step,
                3.0 / step));
      }
    }
    Files.writeString(run.resolve("metrics.jsonl"), lines);
  }

  private static void everythingElse(Path run) throws IOException {
    Files.writeString(
        run.resolve("config.yaml"), "model_name_or_path: \"<b>&x\"\nmax_steps: 7\nseed: null\n");
    Files.writeString(
        run.resolve("samples.jsonl"),
        """
        {"step": 0, "prompt": "P1 %1$s", "expected": "E1 %1$s", "generated": "G0 %1$s", "match": false}
        {"step": 5, "prompt": "P1 %1$s", "expected": "E1 %1$s", "generated": "G5", "match": true}
        {"step": 5, "prompt": "P2", "expected": null, "generated": "H5", "match": null}
        """
            .formatted(ESCAPED_JSON));
    new RunSummary(
            "GPU <1>",
            1234,
            7,
            List.of(
                new RunSummary.Arena("weights", "base", 3L << 30),
                new RunSummary.Arena("activations", "a & b", 1L << 29)),
            RunSummary.Lengths.of(new int[] {1, 2, 2, 200}))
        .write(run);
  }

  private Document page() throws IOException {
    RunReport.write(run);
    return parse(run.resolve("report.html"));
  }

  private static Document parse(Path file) throws IOException {
    try {
      DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
      factory.setFeature("http://apache.org/xml/features/nonvalidating/load-external-dtd", false);
      return factory
          .newDocumentBuilder()
          .parse(new InputSource(new StringReader(Files.readString(file))));
    } catch (ParserConfigurationException | SAXException e) {
      throw new AssertionError(file + " is not well-formed", e);
    }
  }

  private static List<Element> elements(Node below, String name) {
    NodeList nodes =
        below instanceof Document document
            ? document.getElementsByTagName(name)
            : ((Element) below).getElementsByTagName(name);
    return IntStream.range(0, nodes.getLength()).mapToObj(i -> (Element) nodes.item(i)).toList();
  }

  /// The chart of this title.
  private static Element chart(Document page, String title) {
    return elements(page, "figure").stream()
        .filter(figure -> elements(figure, "figcaption").getFirst().getTextContent().equals(title))
        .findFirst()
        .orElseThrow(() -> new AssertionError("no chart " + title));
  }

  /// What its points say.
  private static List<String> points(Document page, String chart) {
    return elements(chart(page, chart), "circle").stream()
        .map(circle -> elements(circle, "title").getFirst().getTextContent())
        .map(text -> text.substring(text.indexOf(", step ") + 2))
        .toList();
  }

  @Test
  void chartsShowWhatTheRunMeasured() throws IOException {
    Document page = page();

    assertThat(points(page, "Training loss"))
        .containsExactly(
            "step 1: 1",
            "step 2: 0.5",
            "step 3: 0.3333",
            "step 4: 0.25",
            "step 5: 0.2",
            "step 6: 0.1667",
            "step 7: 0.1429");
    assertThat(points(page, "Evaluation loss, mean over tokens"))
        .containsExactly("step 2: 1.5", "step 4: 0.75", "step 6: 0.5");
    assertThat(points(page, "Learning rate")).startsWith("step 1: 1e-04", "step 2: 2e-04");
    assertThat(points(page, "Gradient norm, before clipping"))
        .startsWith("step 1: 2", "step 2: 4")
        .hasSize(7);
    assertThat(points(page, "Tokens a second")).hasSize(7).allMatch(text -> text.endsWith(": 50"));
  }

  @Test
  void aLineGoesThroughItsPointsInProportion() throws IOException {
    Element chart = chart(page(), "Gradient norm, before clipping");
    String[] line = elements(chart, "polyline").getFirst().getAttribute("points").split(" ");

    List<double[]> drawn = new ArrayList<>();
    for (String point : line) {
      String[] xy = point.split(",");
      drawn.add(new double[] {Double.parseDouble(xy[0]), Double.parseDouble(xy[1])});
    }
    assertThat(drawn).hasSize(7);
    for (int i = 1; i < 7; i++) {
      // Values grow by the same amount at every step, and up is less in SVG.
      assertThat(drawn.get(i)[0] - drawn.get(i - 1)[0])
          .isCloseTo((drawn.get(6)[0] - drawn.get(0)[0]) / 6, within(0.2))
          .isPositive();
      assertThat(drawn.get(i)[1] - drawn.get(i - 1)[1])
          .isCloseTo((drawn.get(6)[1] - drawn.get(0)[1]) / 6, within(0.2))
          .isNegative();
    }
  }

  @Test
  void memoryLengthsSamplesAndConfigurationAreShownWithAllTextEscaped() throws IOException {
    everythingElse(run);
    Document page = page();
    List<String> cells = elements(page, "td").stream().map(Node::getTextContent).toList();

    assertThat(elements(page, "title").getFirst().getTextContent()).endsWith("a <run> & more");
    assertThat(elements(page, "b").stream().map(Node::getTextContent))
        .contains("7 of 7", "3.50 GiB", "1,234", "GPU <1>", "0:00:14");
    assertThat(cells)
        .containsSubsequence(
            "weights", "3.00 GiB", "", "base", "activations", "512.0 MiB", "", "a & b")
        .containsSubsequence("model_name_or_path", "<b>&x", "max_steps", "7", "seed", "null");
    String shown = HOSTILE.replace('\u0000', '\ufffd');
    assertThat(elements(page, "th").stream().map(Node::getTextContent))
        .contains("P1 " + shown, "P2");
    assertThat(cells)
        .containsSubsequence(
            "expected", "E1 " + shown, "step 0", "G0 " + shown, "step 5", "G5", "step 5", "H5");
    assertThat(elements(page, "tr").stream().map(row -> row.getAttribute("class")))
        .containsSubsequence("wrong", "right");
    assertThat(elements(page, "p").getFirst().getTextContent())
        .contains("step 0: 0 of 1 match", "step 5: 1 of 1 match");
    assertThat(
            elements(chart(page, "Sequences of the training data by tokens"), "title").stream()
                .map(Node::getTextContent))
        .hasSize(40)
        .startsWith("1 to 5 tokens: 3 sequences", "6 to 10 tokens: 0 sequences")
        .endsWith("196 to 200 tokens: 1 sequences");
  }

  @Test
  void nothingIsLoadedAndNoScriptRuns() throws IOException {
    everythingElse(run);
    Document page = page();

    assertThat(elements(page, "script")).isEmpty();
    assertThat(elements(page, "link")).isEmpty();
    for (Element element : elements(page, "*")) {
      for (String name : List.of("src", "href", "xlink:href", "onload", "onclick", "style")) {
        assertThat(element.hasAttribute(name)).as("%s %s", element.getTagName(), name).isFalse();
      }
    }
    assertThat(elements(page, "style").getFirst().getTextContent())
        .doesNotContain("url(", "@import");
    assertThat(elements(page, "meta").stream().map(meta -> meta.getAttribute("content")))
        .contains("default-src 'none'; style-src 'unsafe-inline'");
  }

  @Test
  void whatARunLacksIsLeftOut() throws IOException {
    Document page = page();

    assertThat(elements(page, "h2")).isEmpty();
    assertThat(elements(page, "table")).isEmpty();
    assertThat(elements(page, "figure")).hasSize(5);
  }

  @Test
  void severalRunsShareChartsAndOnlyDifferencesOfTheirKeysAreListed() throws IOException {
    Path other = Files.createDirectories(folder.resolve("other"));
    everythingElse(run);
    metrics(other, 3, 4);
    Files.writeString(
        other.resolve("config.yaml"), "model_name_or_path: \"<b>&x\"\nmax_steps: 3\n");
    Path target = folder.resolve("both.html");

    RunReport.write(List.of(run, other), target);

    Document page = parse(target);
    assertThat(points(page, "Training loss")).hasSize(10).contains("step 1: 1", "step 1: 4");
    assertThat(
            elements(chart(page, "Training loss"), "g").stream()
                .map(group -> group.getAttribute("class")))
        .containsExactly("c0", "c1");
    Element differences = elements(page, "table").getLast();
    assertThat(elements(differences, "td").stream().map(Node::getTextContent))
        .containsExactly("max_steps", "7", "3", "seed", "null", "");
  }

  @Test
  void longRunsAreThinnedButKeepTheirExtremes() {
    List<Series.Point> points = new ArrayList<>();
    for (int step = 1; step <= 10_000; step++) {
      points.add(new Series.Point(step, step == 5000 ? 99 : step == 7001 ? -99 : step % 10));
    }

    List<Series.Point> thinned = new Series("x", points).thinned().points();

    assertThat(thinned).hasSizeBetween(100, 300).isSubsetOf(points).doesNotHaveDuplicates();
    assertThat(thinned).isSortedAccordingTo((a, b) -> Double.compare(a.x(), b.x()));
    assertThat(thinned)
        .contains(
            points.getFirst(),
            points.getLast(),
            new Series.Point(5000, 99),
            new Series.Point(7001, -99));
  }

  @Test
  void theLossOfALongRunIsAMeanOfNeighbours() throws IOException {
    metrics(run, 150, 1);

    assertThat(elements(chart(page(), "Training loss"), "title").get(10).getTextContent())
        .startsWith("mean of 7, ")
        .endsWith(
            "step 11: "
                + Numbers.brief(
                    IntStream.rangeClosed(8, 14)
                        .mapToDouble(i -> 1.0 / i)
                        .average()
                        .orElseThrow()));
  }

  @Test
  void aFolderThatIsNoRunAndDamagedFilesAreSaidToBeSo() throws IOException {
    assertThatThrownBy(() -> RunReport.write(folder))
        .isInstanceOf(InputException.class)
        .hasMessageEndingWith("holds no metrics.jsonl; name the output_dir of a run");
    Files.writeString(run.resolve("samples.jsonl"), "{\"step\": 1}\n");
    assertThatThrownBy(() -> RunReport.write(run))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("samples.jsonl: line 1: key 'prompt' is missing");
    assertThat(run.resolve("report.html")).doesNotExist();
  }
}
