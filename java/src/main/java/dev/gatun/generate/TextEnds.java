package dev.gatun.generate;

import dev.gatun.io.EndOfText;
import dev.gatun.text.Tokenizer;
import dev.gatun.text.chat.ChatTemplate;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;

/// The token ids at which a continuation ends.
public final class TextEnds {
  private TextEnds() {}

  /// Those of `generation_config.json`, else of `config.json`, and the tokenizer's own, which is
  /// what fine-tuning appends.
  ///
  /// @param checkpoint its directory
  public static Set<Integer> of(Path checkpoint, Tokenizer tokenizer) {
    Set<Integer> ids = new TreeSet<>(EndOfText.of(checkpoint));
    tokenizer.eosTokenId().ifPresent(ids::add);
    return ids;
  }

  /// The same with the end of the assistant's turn.
  public static Set<Integer> withTurn(
      Set<Integer> ends, ChatTemplate template, Tokenizer tokenizer) {
    Set<Integer> all = new TreeSet<>(ends);
    template.turnEnd().ifPresent(end -> turnEnd(end, tokenizer).ifPresent(all::add));
    return all;
  }

  // The special token that a turn ends with; a turn that ends with ordinary text has none.
  private static OptionalInt turnEnd(String text, Tokenizer tokenizer) {
    int[] ids = tokenizer.encode(text, false);
    return ids.length > 0 && tokenizer.decode(new int[] {ids[0]}, true).isEmpty()
        ? OptionalInt.of(ids[0])
        : OptionalInt.empty();
  }
}
