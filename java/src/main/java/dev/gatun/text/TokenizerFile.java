package dev.gatun.text;

import dev.gatun.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What `tokenizer.json` says about its vocabulary, which the native library does not tell.
///
/// @param ids token text to id, added tokens included
/// @param added ids of tokens that are matched as a whole before the text is split
/// @param largestId the largest id in use
record TokenizerFile(Map<String, Integer> ids, Set<Integer> added, int largestId) {
  private static final Set<String> MODELS = Set.of("BPE", "Unigram", "WordPiece", "WordLevel");
  private static final Set<String> NORMALIZERS =
      Set.of(
          "BertNormalizer",
          "ByteLevel",
          "Lowercase",
          "NFC",
          "NFD",
          "NFKC",
          "NFKD",
          "Nmt",
          "Precompiled",
          "Prepend",
          "Replace",
          "Sequence",
          "Strip",
          "StripAccents");

  static JsonNode parse(Path file) {
    try {
      JsonNode root = JsonMapper.shared().readTree(Files.readAllBytes(file));
      if (!root.isObject() || !root.path("model").isObject()) {
        throw new InputException(
            file + " is not a tokenizer: it has no `model` object; fetch the file again.");
      }
      return root;
    } catch (JacksonException e) {
      throw new InputException(
          "%s is not valid JSON (line %d): %s"
              .formatted(file, e.getLocation().getLineNr(), reason(e)),
          e);
    } catch (IOException e) {
      throw new InputException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  /// What is wrong, without the parser's remarks in parentheses about its own state.
  private static String reason(JacksonException e) {
    return String.valueOf(e.getOriginalMessage()).replaceFirst("(?s)\\s*\\(start marker.*", "");
  }

  static TokenizerFile vocabulary(JsonNode root, Path file) {
    Map<String, Integer> ids = new HashMap<>();
    JsonNode vocabulary = root.path("model").path("vocab");
    if (vocabulary.isObject()) {
      for (Map.Entry<String, JsonNode> entry : vocabulary.properties()) {
        ids.put(entry.getKey(), id(entry.getValue(), entry.getKey(), file));
      }
    } else {
      // Unigram: a list of [piece, score], whose position is the id.
      int position = 0;
      for (JsonNode piece : vocabulary) {
        ids.putIfAbsent(piece.path(0).asString(""), position++);
      }
    }
    Set<Integer> added = new HashSet<>();
    for (JsonNode token : root.path("added_tokens")) {
      String content = token.path("content").asString("");
      int id = id(token.path("id"), content, file);
      ids.put(content, id);
      added.add(id);
    }
    int largest = ids.values().stream().mapToInt(Integer::intValue).max().orElse(-1);
    return new TokenizerFile(Map.copyOf(ids), Set.copyOf(added), largest);
  }

  private static int id(JsonNode node, String token, Path file) {
    if (!node.isInt() || node.intValue() < 0) {
      throw new InputException("%s: token `%s` has no valid id.".formatted(file, token));
    }
    return node.intValue();
  }

  /// Why the native library may have refused the file: the part whose type nobody knows.
  static @Nullable String unknownType(JsonNode root) {
    String model = root.path("model").path("type").asString("BPE");
    if (!MODELS.contains(model)) {
      return "unknown model type `" + model + "`";
    }
    String normalizer = root.path("normalizer").path("type").asString("NFC");
    return NORMALIZERS.contains(normalizer) ? null : "unknown normalizer type `" + normalizer + "`";
  }
}
