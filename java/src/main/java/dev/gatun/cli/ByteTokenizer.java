package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.io.AtomicFiles;
import dev.gatun.io.PythonJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The smallest tokenizer that reads any text: one token a byte, and one that ends a text.
final class ByteTokenizer {
  private static final int BYTES = 256;
  private static final String END = "<|endoftext|>";

  private ByteTokenizer() {}

  /// Writes `tokenizer.json` and `tokenizer_config.json`.
  ///
  /// @param vocabulary rows of the model's embedding
  /// @throws InputException if the model has fewer
  static void write(Path directory, int vocabulary) {
    if (vocabulary <= BYTES) {
      throw new InputException(
          "The model has %d tokens and a tokenizer for bytes needs %d; give one with --tokenizer."
              .formatted(vocabulary, BYTES + 1));
    }
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "BPE");
    model.put("vocab", alphabet());
    model.put("merges", List.of());
    Map<String, Object> tokenizer = new LinkedHashMap<>();
    tokenizer.put("version", "1.0");
    tokenizer.put("added_tokens", List.of(endToken()));
    tokenizer.put("pre_tokenizer", byteLevel());
    tokenizer.put("decoder", byteLevel());
    tokenizer.put("model", model);
    AtomicFiles.writeText(directory.resolve("tokenizer.json"), PythonJson.format(tokenizer));
    Map<String, Object> config = new LinkedHashMap<>();
    config.put("eos_token", END);
    config.put("pad_token", END);
    config.put("tokenizer_class", "PreTrainedTokenizerFast");
    AtomicFiles.writeText(directory.resolve("tokenizer_config.json"), PythonJson.format(config));
  }

  private static Map<String, Object> endToken() {
    Map<String, Object> token = new LinkedHashMap<>();
    token.put("id", BYTES);
    token.put("content", END);
    for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
      token.put(flag, false);
    }
    token.put("special", true);
    return token;
  }

  private static Map<String, Object> byteLevel() {
    Map<String, Object> step = new LinkedHashMap<>();
    step.put("type", "ByteLevel");
    step.put("add_prefix_space", false);
    step.put("trim_offsets", true);
    step.put("use_regex", false);
    return step;
  }

  /// The characters that stand for bytes in GPT-2's alphabet: printable ones for themselves, then
  /// the others from U+0100 on.
  private static Map<String, Object> alphabet() {
    List<Integer> others = new ArrayList<>();
    Map<String, Object> ids = new LinkedHashMap<>();
    for (int b = 0; b < BYTES; b++) {
      boolean printable = b > ' ' && b < 0x7F || b > 0xA0 && b != 0xAD;
      if (!printable) {
        others.add(b);
      }
      int character = printable ? b : BYTES + others.size() - 1;
      ids.put(Character.toString(character), b);
    }
    return ids;
  }
}
