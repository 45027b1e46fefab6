package dev.gatun.text.chat.jinja;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.gatun.InputException;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/// Templates that nobody would write: grown from a grammar, and real ones damaged. Whatever happens
/// is an [InputException] within the limits. A failure prints the seed and the template.
class FuzzTest {
  private static final LocalDateTime NOW = LocalDateTime.of(2025, 3, 4, 5, 6, 7);
  private static final Limits LIMITS = new Limits(1 << 20, 200_000, 8 << 20, 600);

  /// Longest that one rendering within these limits may take; they allow well under a second.
  private static final Duration LONGEST = Duration.ofSeconds(10);

  private static final Map<String, Object> VARIABLES =
      Map.of(
          "messages",
          List.of(
              Map.of("role", "user", "content", "Hi 😀 <b>"),
              Map.of("role", "assistant", "content", "<think>\nx\n</think>\n\ny")),
          "tools",
          List.of(Map.of("name", "f", "parameters", Map.of("a", List.of(1, 2.5, true)))),
          "s",
          "some text",
          "n",
          7,
          "l",
          List.of(3, 1, 2));

  @Test
  void someThousandTemplates() throws Exception {
    run(20_250_304L, Duration.ofSeconds(3));
  }

  @Test
  @Tag("slow")
  void templatesForMinutes() throws Exception {
    run(System.nanoTime(), Duration.ofMinutes(3));
  }

  private static void run(long firstSeed, Duration time) throws Exception {
    List<String> seeds = templates();
    long end = System.nanoTime() + time.toNanos();
    int rendered = 0;
    int refused = 0;
    for (long seed = firstSeed; System.nanoTime() < end; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      String template =
          random.nextInt(3) == 0
              ? damaged(seeds.get(random.nextInt(seeds.size())), random)
              : new TemplateGrammar(random).template();
      if (render(seed, template)) {
        rendered++;
      } else {
        refused++;
      }
    }
    assertThat(rendered).as("templates that rendered").isGreaterThan(100);
    assertThat(refused).as("templates that were refused").isGreaterThan(100);
  }

  /// Whether a template was rendered, not refused.
  private static boolean render(long seed, String template) {
    long start = System.nanoTime();
    boolean rendered = false;
    try {
      Template.parse("fuzz", template).render(VARIABLES, NOW, LIMITS);
      rendered = true;
    } catch (InputException _) {
      // What a malformed template is to be answered with.
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
      fail("seed " + seed + ": " + e + " from\n" + template, e);
    }
    if (System.nanoTime() - start > LONGEST.toNanos()) {
      fail(
          "seed "
              + seed
              + " took "
              + (System.nanoTime() - start) / 1_000_000
              + " ms:\n"
              + template);
    }
    return rendered;
  }

  private static List<String> templates() throws IOException, URISyntaxException {
    List<String> sources = new ArrayList<>();
    Path own =
        Path.of(
            requireNonNull(FuzzTest.class.getResource("/conformance/chat_templates/templates"))
                .toURI());
    Path kit = Path.of(System.getProperty("gatun.conformance", ""), "chat_templates", "templates");
    for (Path folder : List.of(own, kit)) {
      if (Files.isDirectory(folder)) {
        try (Stream<Path> files = Files.list(folder)) {
          for (Path file : files.sorted().toList()) {
            sources.add(Files.readString(file));
          }
        }
      }
    }
    return sources;
  }

  /// Pieces removed, doubled, swapped with pieces of the grammar.
  private static String damaged(String source, SplittableRandom random) {
    StringBuilder text = new StringBuilder(source);
    int changes = 1 + random.nextInt(4);
    for (int i = 0; i < changes && !text.isEmpty(); i++) {
      int from = random.nextInt(text.length());
      int to = Math.min(text.length(), from + 1 + random.nextInt(12));
      switch (random.nextInt(4)) {
        case 0 -> text.delete(from, to);
        case 1 -> text.insert(from, text.substring(from, to));
        case 2 -> text.replace(from, to, new TemplateGrammar(random).piece());
        default -> text.setCharAt(from, (char) random.nextInt(0x100));
      }
    }
    return text.toString();
  }
}
