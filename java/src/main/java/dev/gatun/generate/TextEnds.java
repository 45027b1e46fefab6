package dev.gatun.generate;

import dev.gatun.io.EndOfText;
import dev.gatun.text.Tokenizer;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;

/// The token ids at which a continuation ends, whatever it is of.
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
}
