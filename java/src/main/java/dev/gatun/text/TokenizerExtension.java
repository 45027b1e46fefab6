package dev.gatun.text;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Adds tokens to the files of a tokenizer. They get the ids that the reference implementation
/// gives them, behind all others, and are matched in the text as it stands, before any
/// normalisation.
///
/// @param added the new tokens in the order of their ids
record TokenizerExtension(List<Added> added) {
  private static final JsonMapper MAPPER = JsonMapper.shared();

  /// One token.
  record Added(String content, int id, boolean special) {}

  TokenizerExtension {
    added = List.copyOf(added);
  }

  /// The tokens that a vocabulary does not have yet.
  ///
  /// @param root the content of `file`, a `tokenizer.json`
  /// @throws InputException if the vocabulary leaves out ids, so that new ones would collide
  static TokenizerExtension of(AddedTokens wanted, JsonNode root, TokenizerFile known, Path file) {
    List<Added> added = new ArrayList<>();
    int next = nextId(root);
    for (String token : wanted.ordinary()) {
      if (!known.ids().containsKey(token)) {
        added.add(new Added(token, next++, false));
      }
    }
    for (String token : wanted.special()) {
      if (!known.ids().containsKey(token)) {
        added.add(new Added(token, next++, true));
      }
    }
    if (!added.isEmpty() && added.getFirst().id() <= known.largestId()) {
      throw new InputException(
          "%s leaves out token ids below %d, so no tokens can be added behind them; use a tokenizer without gaps"
              .formatted(file, known.largestId()));
    }
    return new TokenizerExtension(added);
  }

  private static int nextId(JsonNode root) {
    int next = root.path("model").path("vocab").size();
    for (JsonNode token : root.path("added_tokens")) {
      next = Math.max(next, token.path("id").asInt(-1) + 1);
    }
    return next;
  }

  /// `tokenizer.json` with the new tokens.
  JsonNode tokenizer(JsonNode root) {
    ObjectNode extended = (ObjectNode) root.deepCopy();
    ArrayNode tokens =
        extended.path("added_tokens").isArray()
            ? (ArrayNode) extended.path("added_tokens")
            : extended.putArray("added_tokens");
    added.forEach(token -> tokens.add(entry(token).put("id", token.id())));
    return extended;
  }

  private static ObjectNode entry(Added token) {
    return MAPPER
        .createObjectNode()
        .put("content", token.content())
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", token.special());
  }

  /// The texts of the files beside `tokenizer.json` that list added tokens too.
  ///
  /// @throws InputException if one is malformed
  Map<String, String> neighbours(Path directory) {
    Map<String, String> texts = new LinkedHashMap<>();
    Path config = directory.resolve("tokenizer_config.json");
    if (Files.isRegularFile(config)) {
      ObjectNode root = object(config);
      if (root.path("added_tokens_decoder") instanceof ObjectNode decoder) {
        added.forEach(token -> decoder.set(String.valueOf(token.id()), entry(token)));
        texts.put("tokenizer_config.json", text(root));
      }
    }
    Path list = directory.resolve("added_tokens.json");
    if (Files.isRegularFile(list)) {
      ObjectNode root = object(list);
      added.forEach(token -> root.put(token.content(), token.id()));
      texts.put("added_tokens.json", text(root));
    }
    return texts;
  }

  private static ObjectNode object(Path file) {
    try {
      if (MAPPER.readTree(Files.readAllBytes(file)) instanceof ObjectNode object) {
        return object;
      }
      throw new InputException(file + " must hold a JSON object.");
    } catch (JacksonException | IOException e) {
      throw new InputException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  static String text(JsonNode root) {
    return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(root) + "\n";
  }
}
