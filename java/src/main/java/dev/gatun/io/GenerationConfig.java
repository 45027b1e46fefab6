package dev.gatun.io;

import dev.gatun.InputException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The fields of `generation_config.json` that sampling uses; null where the file is silent.
///
/// @param eosTokenIds empty where the file is silent
public record GenerationConfig(
    List<Integer> eosTokenIds,
    @Nullable Integer padTokenId,
    boolean sample,
    @Nullable Double temperature,
    @Nullable Integer topK,
    @Nullable Double topP) {
  /// What an absent file means: greedy.
  public static final GenerationConfig EMPTY =
      new GenerationConfig(List.of(), null, false, null, null, null);

  public GenerationConfig {
    eosTokenIds = List.copyOf(eosTokenIds);
  }

  /// Reads the file; other keys are ignored.
  ///
  /// @throws InputException if it is not JSON or a field has the wrong type
  public static GenerationConfig read(Path file) {
    JsonObject json = JsonObject.read(file);
    String eos = "eos_token_id";
    Integer single = json.isArray(eos) ? null : json.optionalInteger(eos, 0, Integer.MAX_VALUE);
    return new GenerationConfig(
        single != null
            ? List.of(single)
            : json.isArray(eos) ? json.integers(eos, 0, Integer.MAX_VALUE) : List.of(),
        json.optionalInteger("pad_token_id", -1, Integer.MAX_VALUE),
        json.flag("do_sample", false),
        json.optionalNumber("temperature"),
        json.optionalInteger("top_k", 0, Integer.MAX_VALUE),
        json.optionalNumber("top_p"));
  }
}
