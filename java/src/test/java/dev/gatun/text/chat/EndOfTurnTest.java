package dev.gatun.text.chat;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.jinja.Template;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The tokenizer takes `<end>` (1) and `<user>` (2) as they stand, and words for 0.
class EndOfTurnTest {
  private static final Map<String, @Nullable Object> USER = Map.of("role", "user", "content", "a");
  private static final Map<String, @Nullable Object> ASSISTANT =
      Map.of("role", "assistant", "content", "word <user>");

  @TempDir private Path directory;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    Files.writeString(
        directory.resolve("tokenizer.json"),
        """
        {"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
         "added_tokens": [
          {"id": 1, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true},
          {"id": 2, "content": "<user>", "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": false}],
         "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
         "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}}}
        """);
    tokenizer = Tokenizer.open(directory);
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  private OptionalInt end(String template, List<Map<String, @Nullable Object>> messages) {
    return EndOfTurn.token(
        ChatTemplate.of(
            Template.parse("t", template), Map.of(), () -> LocalDateTime.of(2025, 1, 1, 0, 0)),
        Conversation.of(new ArrayList<>(messages)),
        tokenizer);
  }

  @Test
  void isWhatTheTemplateWritesBehindAnAnswer() {
    String template =
        "{% for m in messages %}{% if m.role == 'user' %}<user> {{ m.content }}{% else %}{{ m.content | trim }}\n<end>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<user>{% endif %}";

    assertThat(end(template, List.of(USER))).hasValue(1);
    assertThat(end(template, List.of(USER, ASSISTANT))).hasValue(1);
    assertThat(end(template, List.of(USER, ASSISTANT, USER))).hasValue(1);
  }

  @Test
  void isNoOrdinaryText() {
    assertThat(end("{% for m in messages %}{{ m.content }}\\n### {% endfor %}", List.of(USER)))
        .isEmpty();
    assertThat(end("{% for m in messages %}{{ m.content }}{% endfor %}", List.of(USER))).isEmpty();
  }

  @Test
  void isUnknownWhereTheTemplateHasNoPlaceForAnAnswer() {
    assertThat(end("{{ messages[0].content }}<end>", List.of(USER))).isEmpty();
    assertThat(end("{{ raise_exception('no') }}", List.of(USER))).isEmpty();
  }
}
