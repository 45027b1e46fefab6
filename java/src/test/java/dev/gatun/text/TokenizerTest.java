package dev.gatun.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A word-level tokenizer small enough to know its ids by heart.
class TokenizerTest {
  static final String WORDS =
      """
      {"version": "1.0", "truncation": {"direction": "Right", "max_length": 2, "strategy":
       "LongestFirst", "stride": 0}, "padding": null,
       "added_tokens": [
        {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true},
        {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true}],
       "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
       "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
       "decoder": null,
       "model": {"type": "WordLevel", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "😀": 4, "?": 5},
        "unk_token": "?"}}
      """;

  @TempDir Path directory;

  @BeforeEach
  void write() throws IOException {
    Files.writeString(directory.resolve("tokenizer.json"), WORDS);
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        "{\"eos_token\": {\"content\": \"</s>\"}, \"pad_token\": null}");
    Files.writeString(
        directory.resolve("special_tokens_map.json"),
        "{\"bos_token\": \"<s>\", \"eos_token\": \"a\"}");
  }

  @Test
  void neverTruncatesAndAddsSpecialTokensOnRequest() {
    try (Tokenizer tokenizer = Tokenizer.open(directory)) {
      assertThat(tokenizer.encode("a b a b", false)).containsExactly(2, 3, 2, 3);
      assertThat(tokenizer.encode("a b a b", true)).containsExactly(0, 2, 3, 2, 3);
      assertThat(tokenizer.encode("a </s>", false)).containsExactly(2, 1);
      assertThat(tokenizer.encode("", false)).isEmpty();
    }
  }

  @Test
  void offsetsCountCodePoints() {
    try (Tokenizer tokenizer = Tokenizer.open(directory.resolve("tokenizer.json"))) {
      Encoded encoded = tokenizer.encodeWithOffsets("😀 a", true);
      assertThat(encoded.ids()).containsExactly(0, 4, 2);
      assertThat(encoded.starts()).containsExactly(0, 0, 2);
      assertThat(encoded.ends()).containsExactly(0, 1, 3);
    }
  }

  @Test
  void decodes() {
    try (Tokenizer tokenizer = Tokenizer.open(directory)) {
      assertThat(tokenizer.decode(new int[] {0, 2, 3, 1}, false)).isEqualTo("<s> a b </s>");
      assertThat(tokenizer.decode(new int[] {0, 2, 3, 1}, true)).isEqualTo("a b");
      assertThatThrownBy(() -> tokenizer.decode(new int[] {-100}, true))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("-100");
    }
  }

  @Test
  void knowsItsVocabularyAndSpecialTokens() {
    try (Tokenizer tokenizer = Tokenizer.open(directory)) {
      assertThat(tokenizer.vocabularySize()).isEqualTo(6);
      assertThat(tokenizer.largestTokenId()).isEqualTo(5);
      assertThat(tokenizer.tokenId("b")).hasValue(3);
      assertThat(tokenizer.tokenId("nothing")).isEmpty();
      assertThat(tokenizer.eosToken()).contains("</s>");
      assertThat(tokenizer.eosTokenId()).hasValue(1);
      assertThat(tokenizer.bosTokenId()).hasValue(0);
      assertThat(tokenizer.padToken()).isEmpty();
      assertThat(tokenizer.files()).hasSize(3);
    }
  }

  @Test
  void tokenisesManyTextsInOrder() {
    List<String> texts = IntStream.range(0, 500).mapToObj("a "::repeat).toList();
    try (Tokenizer tokenizer = Tokenizer.open(directory)) {
      List<int[]> all = tokenizer.encodeAll(texts, false);
      for (int i = 0; i < 500; i++) {
        assertThat(all.get(i)).isEqualTo(IntStream.generate(() -> 2).limit(i).toArray());
      }
    }
  }

  @Test
  void refusesLoneSurrogates() {
    try (Tokenizer tokenizer = Tokenizer.open(directory)) {
      assertThatThrownBy(() -> tokenizer.encode("a \ud83d b", false))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("unpaired surrogate");
      assertThatThrownBy(() -> tokenizer.encode("\ude00", false))
          .isInstanceOf(InputException.class);
    }
  }

  @Test
  void closesOnceAndThenRefuses() {
    Tokenizer tokenizer = Tokenizer.open(directory);
    tokenizer.close();
    tokenizer.close();
    assertThatThrownBy(() -> tokenizer.encode("a", false))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("closed");
  }

  @Test
  void malformedFilesAreNamed() throws IOException {
    Path file = directory.resolve("tokenizer.json");
    assertRefused(file, WORDS.substring(0, WORDS.length() / 2), "not valid JSON");
    assertRefused(file, "{}", "no `model` object");
    assertRefused(file, WORDS.replace("WordLevel", "Quantum"), "Quantum");
    assertRefused(
        file, WORDS.replace("\"normalizer\": null", "\"normalizer\": {\"type\": \"F\"}"), "`F`");
    assertRefused(file, WORDS.replace("\"b\": 3", "\"b\": -3"), "`b`");
    Files.delete(file);
    assertThatThrownBy(() -> Tokenizer.open(directory))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("does not exist");
  }

  private void assertRefused(Path file, String content, String reason) throws IOException {
    Files.writeString(file, content);
    assertThatThrownBy(() -> Tokenizer.open(directory))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("tokenizer.json")
        .hasMessageContaining(reason);
  }

  @Test
  void addsTokensBehindAllOthers(@TempDir Path written) throws IOException {
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        "{\"eos_token\": \"</s>\", \"added_tokens_decoder\": {\"0\": {\"content\": \"<s>\"}}}");
    AddedTokens added = new AddedTokens(List.of("<x>", "a", "<x>"), List.of("<end of x>"));
    try (Tokenizer tokenizer = Tokenizer.open(directory, added)) {
      assertThat(tokenizer.changes().tokens()).containsExactly("<x>", "<end of x>");
      assertThat(tokenizer.changes().firstId()).isEqualTo(6);
      assertThat(tokenizer.changes().known()).containsExactly("a");
      assertThat(tokenizer.largestTokenId()).isEqualTo(7);
      assertThat(tokenizer.changes().files())
          .containsOnlyKeys("tokenizer.json", "tokenizer_config.json");
      for (Map.Entry<String, String> file : tokenizer.changes().files().entrySet()) {
        Files.writeString(written.resolve(file.getKey()), file.getValue());
      }
      try (Tokenizer reopened = Tokenizer.open(written)) {
        for (Tokenizer each : List.of(tokenizer, reopened)) {
          assertThat(each.encode("a<x>b<end of x> a", false)).containsExactly(2, 6, 3, 7, 2);
          assertThat(each.decode(new int[] {2, 6, 7}, true)).isEqualTo("a <x>");
          assertThat(each.tokenId("<x>")).hasValue(6);
        }
        assertThat(reopened.eosTokenId()).hasValue(1);
      }
      assertThat(tokenizer.changes().files().get("tokenizer_config.json")).contains("\"7\"");
    }
  }

  @Test
  void addsNothingToAVocabularyWithGaps() throws IOException {
    Files.writeString(directory.resolve("tokenizer.json"), WORDS.replace("\"?\": 5", "\"?\": 9"));

    assertThatThrownBy(() -> Tokenizer.open(directory, new AddedTokens(List.of("<x>"), List.of())))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("leaves out token ids below 9");
  }
}
