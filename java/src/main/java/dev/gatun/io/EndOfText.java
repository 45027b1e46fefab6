package dev.gatun.io;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/// The token ids at which generation from a checkpoint stops.
public final class EndOfText {
  private EndOfText() {}

  /// Those of `generation_config.json`, else of `config.json`; none where neither file is there.
  ///
  /// @param directory of a checkpoint, or of a tokenizer alone
  /// @throws dev.gatun.InputException if a file is malformed
  public static Set<Integer> of(Path directory) {
    Path generation = directory.resolve("generation_config.json");
    Path model = directory.resolve("config.json");
    List<Integer> ids =
        Files.exists(generation) ? GenerationConfig.read(generation).eosTokenIds() : List.of();
    return Set.copyOf(
        ids.isEmpty() && Files.exists(model) ? ModelConfigReader.read(model).eosTokenIds() : ids);
  }
}
