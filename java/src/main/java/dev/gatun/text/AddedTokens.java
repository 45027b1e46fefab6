package dev.gatun.text;

import dev.gatun.InputException;
import java.util.LinkedHashSet;
import java.util.List;

/// Tokens that a tokenizer gets besides its own.
///
/// @param ordinary shown when ids become text, as transformers' `add_tokens` adds them
/// @param special left out where special tokens are
public record AddedTokens(List<String> ordinary, List<String> special) {
  /// No tokens.
  public static final AddedTokens NONE = new AddedTokens(List.of(), List.of());

  /// @throws InputException if a token is empty or in both lists
  public AddedTokens {
    ordinary = List.copyOf(new LinkedHashSet<>(ordinary));
    special = List.copyOf(new LinkedHashSet<>(special));
    for (String token : special) {
      if (ordinary.contains(token)) {
        throw new InputException(
            "added_tokens and added_special_tokens both name `%s`; leave it in one of them"
                .formatted(token));
      }
    }
    if (ordinary.contains("") || special.contains("")) {
      throw new InputException("added_tokens names an empty token; remove it");
    }
  }

  public boolean isEmpty() {
    return ordinary.isEmpty() && special.isEmpty();
  }
}
