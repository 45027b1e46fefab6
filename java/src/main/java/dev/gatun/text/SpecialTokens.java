package dev.gatun.text;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The named special tokens of a tokenizer: `tokenizer_config.json`, then `special_tokens_map.json`
/// for what the first does not name. A token is written as a string or as an object with `content`.
///
/// @param eos end of sequence, what training must teach the model to emit
/// @param bos beginning of sequence
/// @param pad padding
/// @param unknown unknown token
/// @param named every special token that is named, by its key (`bos_token`, …)
record SpecialTokens(
    @Nullable String eos,
    @Nullable String bos,
    @Nullable String pad,
    @Nullable String unknown,
    Map<String, String> named) {
  static final SpecialTokens NONE = new SpecialTokens(null, null, null, null, Map.of());

  private static final List<String> KEYS =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token");

  private static final long LONGEST_FILE_BYTES = 64L << 20;

  static SpecialTokens read(Path directory) {
    Optional<JsonNode> config = file(directory.resolve("tokenizer_config.json"));
    Optional<JsonNode> map = file(directory.resolve("special_tokens_map.json"));
    Map<String, String> named = new LinkedHashMap<>();
    for (String key : KEYS) {
      String token = token(key, directory, config, map);
      if (token != null) {
        named.put(key, token);
      }
    }
    return new SpecialTokens(
        named.get("eos_token"),
        named.get("bos_token"),
        named.get("pad_token"),
        named.get("unk_token"),
        Collections.unmodifiableMap(named));
  }

  private static Optional<JsonNode> file(Path path) {
    if (!Files.isRegularFile(path)) {
      return Optional.empty();
    }
    try {
      if (Files.size(path) > LONGEST_FILE_BYTES) {
        throw new InputException(path + " is larger than 64 MiB, which no such file is.");
      }
      JsonNode root = JsonMapper.shared().readTree(Files.readAllBytes(path));
      if (!root.isObject()) {
        throw new InputException(path + " must hold a JSON object.");
      }
      return Optional.of(root);
    } catch (JacksonException | IOException e) {
      throw new InputException(path + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static @Nullable String token(
      String key, Path directory, Optional<JsonNode> config, Optional<JsonNode> map) {
    String fromConfig = config.map(root -> text(root.path(key), key, directory)).orElse(null);
    return fromConfig != null
        ? fromConfig
        : map.map(root -> text(root.path(key), key, directory)).orElse(null);
  }

  private static @Nullable String text(JsonNode node, String key, Path directory) {
    if (node.isMissingNode() || node.isNull()) {
      return null;
    }
    JsonNode content = node.isObject() ? node.path("content") : node;
    if (!content.isString()) {
      throw new InputException(
          "%s: %s must be a string or an object with a string `content`, not %s."
              .formatted(directory, key, node.getNodeType()));
    }
    return content.stringValue();
  }
}
