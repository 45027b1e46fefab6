package dev.gatun.conformance;

import dev.gatun.text.Encoded;
import dev.gatun.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// `tokenizers/`: ids, offsets and decoded text against the reference library.
public final class TokenizersPart implements Part {
  @Override
  public String name() {
    return "tokenizers";
  }

  @Override
  public List<Case> cases(Path kit) {
    return KitFiles.directories(kit.resolve(name()), "cases.jsonl").stream()
        .map(directory ->
            Part.named(directory.getFileName().toString(), (c, e) -> run(directory, c)))
        .toList();
  }

  private static void run(Path directory, Checks checks) {
    try (Tokenizer tokenizer = Tokenizer.open(directory)) {
      Differences ids = new Differences();
      Differences special = new Differences();
      Differences offsets = new Differences();
      Differences tokens = new Differences();
      Differences decoded = new Differences();
      Differences decodedSkipping = new Differences();
      for (JsonNode line : KitFiles.jsonLines(directory.resolve("cases.jsonl"))) {
        String text = line.path("text").stringValue();
        String label = "case " + line.path("i").asInt();
        int[] expected = KitFiles.ints(line.path("ids"));
        ids.compare(label, tokenizer.encode(text, false), expected);
        JsonNode withSpecial = line.path("ids_with_special");
        special.compare(
            label,
            tokenizer.encode(text, true),
            withSpecial.isNull() ? expected : KitFiles.ints(withSpecial));
        if (line.path("tokens").isArray()) {
          int[] spelled =
              line.path("tokens")
                  .valueStream()
                  .mapToInt(token -> tokenizer.tokenId(token.stringValue()).orElse(-1))
                  .toArray();
          tokens.compare(label, spelled, expected);
        }
        if (line.has("offsets")) {
          offsets.compare(label, offsets(tokenizer.encodeWithOffsets(text, false)), pairs(line));
        }
        String plain = line.path("decoded").isNull() ? text : line.path("decoded").stringValue();
        decoded.compare(label, tokenizer.decode(expected, false), plain);
        JsonNode skipping = line.path("decoded_skip_special");
        decodedSkipping.compare(
            label,
            tokenizer.decode(expected, true),
            skipping.isNull() ? plain : skipping.stringValue());
      }
      ids.record(checks, "ids");
      special.record(checks, "ids with special tokens");
      offsets.record(checks, "offsets");
      tokens.record(checks, "ids of the tokens' spellings");
      decoded.record(checks, "decoded");
      decodedSkipping.record(checks, "decoded without special tokens");
      if (Files.isRegularFile(directory.resolve("info.json"))) {
        info(tokenizer, KitFiles.json(directory.resolve("info.json")), checks);
      }
    }
  }

  private static void info(Tokenizer tokenizer, JsonNode info, Checks checks) {
    checks.equal("vocabulary size", tokenizer.vocabularySize(), info.path("vocab_size").asInt());
    Differences single = new Differences();
    for (JsonNode entry : info.path("single_id_decodes")) {
      int id = entry.path("id").asInt();
      single.compare(
          "id " + id, tokenizer.decode(new int[] {id}, false), entry.path("decoded").stringValue());
    }
    single.record(checks, "single ids decoded");
    Differences added = new Differences();
    info.path("added_tokens")
        .properties()
        .forEach(entry ->
            added.compare(
                entry.getKey(),
                tokenizer.tokenId(entry.getValue().path("content").stringValue()).orElse(-1),
                Integer.parseInt(entry.getKey())));
    added.record(checks, "added tokens");
    JsonNode special = info.path("auto_special");
    if (special.isObject()) {
      checks.equal("eos id", tokenizer.eosTokenId().orElse(-1), special.path("eos").asInt(-1));
      checks.equal("bos id", tokenizer.bosTokenId().orElse(-1), special.path("bos").asInt(-1));
      checks.equal("pad id", tokenizer.padTokenId().orElse(-1), special.path("pad").asInt(-1));
    }
  }

  private static int[] offsets(Encoded encoded) {
    int[] flat = new int[2 * encoded.ids().length];
    for (int i = 0; i < encoded.ids().length; i++) {
      flat[2 * i] = encoded.starts()[i];
      flat[2 * i + 1] = encoded.ends()[i];
    }
    return flat;
  }

  private static int[] pairs(JsonNode line) {
    return line.path("offsets")
        .valueStream()
        .flatMapToInt(pair -> Arrays.stream(KitFiles.ints(pair)))
        .toArray();
  }
}
