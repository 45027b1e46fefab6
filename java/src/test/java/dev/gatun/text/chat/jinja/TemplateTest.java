package dev.gatun.text.chat.jinja;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Small templates against what transformers printed for them, and the bounds of a rendering.
class TemplateTest {
  private static final LocalDateTime NOW = LocalDateTime.of(2025, 3, 4, 5, 6, 7);

  @TestFactory
  Stream<DynamicTest> snippetsAsTransformersRendersThem() throws IOException {
    return snippets("/jinja/snippets.json");
  }

  /// Made by [TemplateGrammar].
  @TestFactory
  Stream<DynamicTest> grownTemplatesAsTransformersRendersThem() throws IOException {
    return snippets("/jinja/grown.json");
  }

  private static Stream<DynamicTest> snippets(String resource) throws IOException {
    JsonNode golden;
    try (InputStream in = requireNonNull(TemplateTest.class.getResourceAsStream(resource))) {
      golden = JsonMapper.shared().readTree(in);
    }
    Map<String, Object> variables = map(golden.path("variables"));
    return golden
        .path("cases")
        .valueStream()
        .map(single ->
            DynamicTest.dynamicTest(
                single.path("template").stringValue(), () -> compare(single, variables)));
  }

  private static void compare(JsonNode single, Map<String, Object> variables) {
    String source = single.path("template").stringValue();
    if (single.has("error")) {
      JsonNode error = single.path("error");
      var thrown =
          assertThatThrownBy(() -> render(source, variables)).isInstanceOf(InputException.class);
      if (error.path("type").stringValue().equals("TemplateError")) {
        thrown.hasMessageContaining(error.path("message").stringValue());
      }
      return;
    }
    Rendered rendered = render(source, variables);
    assertThat(rendered.text()).isEqualTo(single.path("rendered").stringValue());
    List<Rendered.Span> spans = new ArrayList<>();
    single
        .path("spans")
        .forEach(pair -> spans.add(new Rendered.Span(pair.path(0).asInt(), pair.path(1).asInt())));
    assertThat(rendered.spans()).isEqualTo(spans);
  }

  private static Rendered render(String source, Map<String, Object> variables) {
    return Template.parse("t", source).render(variables, NOW, Limits.defaults());
  }

  private static Map<String, Object> map(JsonNode object) {
    Map<String, Object> map = new LinkedHashMap<>();
    object.properties().forEach(entry -> map.put(entry.getKey(), value(entry.getValue())));
    return map;
  }

  private static Object value(JsonNode node) {
    return switch (node.getNodeType()) {
      case OBJECT -> map(node);
      case ARRAY -> {
        List<Object> list = new ArrayList<>();
        node.forEach(item -> list.add(value(item)));
        yield list;
      }
      case STRING -> node.stringValue();
      case BOOLEAN -> node.booleanValue();
      case NUMBER -> node.isIntegralNumber() ? (Object) node.longValue() : node.doubleValue();
      default -> null;
    };
  }

  @Test
  void errorsNameTemplateAndLine() {
    assertThatThrownBy(() -> render("a\n{% if true %}\n{{ x.y }}\n{% endif %}", Map.of()))
        .isInstanceOf(InputException.class)
        .hasMessage("t line 3: 'x' is undefined");
    assertThatThrownBy(() -> render("a\n\n{% for x in y %}", Map.of()))
        .isInstanceOf(InputException.class)
        .hasMessageStartingWith("t line 3: `endfor` is missing");
  }

  @Test
  void renderingEndsWhateverTheTemplateDoes() {
    for (String endless :
        List.of(
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
                + "{% endfor %}{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
            "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = n.s ~ n.s %}"
                + "{% endfor %}",
            "{% set n = namespace(l=[1]) %}{% for a in range(99) %}{% set n.l = [n.l, n.l] %}"
                + "{% endfor %}{{ n.l }}",
            "{% set n = namespace(l=[1]) %}{% for a in range(9999) %}{% set n.l = [n.l] %}"
                + "{% endfor %}{{ n.l }}",
            "{{ 'x' * 99999999999 }}",
            "{{ [0] * 999999999 }}",
            "{{ 'x'.center(99999999999) }}",
            "{{ '%9999999d' % 1 }}",
            "{{ '{:9999999}'.format(1) }}",
            "{{ ('x' * 9999999).replace('x', 'y' * 9999) }}",
            "{% for a in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
            "{{ (('a' * 999999) ~ 'b') in ('a' * 9999999) }}",
            "{{ range(999999999) }}",
            "{% set n = namespace(t=(1,)) %}{% for a in range(99) %}{% set n.t = (n.t, n.t) %}"
                + "{% endfor %}{{ {n.t: 1} }}",
            "{% set n = namespace(t=[1]) %}{% for a in range(99) %}"
                + "{% set n.t = [n.t, n.t]|select %}{% endfor %}{{ [n.t] }}"
                + "{% for a in range(999) %}{{ n.t|list|length }}{% endfor %}{{ 1 / 0 }}",
            "{% set n = namespace() %}{% set n.n = n %}{{ [n, n.n.n] }}{{ n|tojson }}",
            "{% set a = 'x' * 999999 %}{% set b = 'x' * 999998 ~ 'x' %}{% set d = {a: 1} %}"
                + "{% for i in range(99999) %}{{ d[b] }}{% endfor %}",
            "{% set a = '.a' * 99999 %}{{ ('{0' ~ a ~ '}').format(namespace()) }}",
            "{% set p = 'a.' * 999999 %}{{ range(99999)|map(attribute=p)|list }}",
            "{{ strftime_now('%c' * 99999) }}",
            "{{ 9999999 ** 9999999 }}",
            "{{ ('a\\n' * 9999)|indent(65536) }}",
            "{{ " + "(".repeat(5000) + "1" + ")".repeat(5000) + " }}",
            "{{ " + "-".repeat(5000) + "1 }}",
            "{{ " + "not ".repeat(5000) + "1 }}",
            "{{ 1" + " + 1".repeat(5000) + " }}",
            "{{ a" + ".a".repeat(5000) + " }}",
            "{% if 1 %}".repeat(5000) + "{% endif %}".repeat(5000))) {
      assertThatThrownBy(() -> render(endless, Map.of()))
          .as(endless.substring(0, Math.min(80, endless.length())))
          .isInstanceOf(InputException.class);
    }
  }

  @Test
  void whatItIsGivenStaysAsItIs() {
    List<Object> messages = new ArrayList<>(List.of(new LinkedHashMap<>(Map.of("role", "user"))));
    String before = messages.toString();
    assertThatThrownBy(() -> render("{{ messages.append(1) }}", Map.of("messages", messages)))
        .hasMessageContaining("unsafe");
    assertThatThrownBy(
            () -> render("{{ messages[0].update({'role': 'x'}) }}", Map.of("messages", messages)))
        .hasMessageContaining("unsafe");
    assertThat(messages).hasToString(before);
  }
}
