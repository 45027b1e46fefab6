package dev.gatun.data;

import dev.gatun.InputException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// How conversations become rows, and what is trained where that is said explicitly.
///
/// @param templatePath a chat template's file, or the folder of a tokenizer that has one; null for
///   the tokenizer's own
/// @param trainOn null for what `completion_only_loss` and `assistant_only_loss` say
/// @param instructionPart the text with which a user turn begins, or null; with `responsePart` only
///   what stands between a response part and the next instruction part is trained
/// @param responsePart the text with which an assistant turn begins, or null
/// @param roleMapping names of roles in the data to names that the template knows
public record ChatOptions(
    @Nullable Path templatePath,
    @Nullable TrainOn trainOn,
    @Nullable String instructionPart,
    @Nullable String responsePart,
    Map<String, String> roleMapping) {
  /// ShareGPT's names.
  public static final Map<String, String> SHAREGPT_ROLES =
      Map.of("human", "user", "gpt", "assistant");

  public ChatOptions {
    // In order, since the text of the options is part of a cache's key.
    roleMapping = Collections.unmodifiableMap(new TreeMap<>(roleMapping));
    if ((instructionPart == null) != (responsePart == null)) {
      throw new InputException(
          "instruction_part and response_part belong together; set both or neither.");
    }
    if ((instructionPart != null && instructionPart.isEmpty())
        || (responsePart != null && responsePart.isEmpty())) {
      throw new InputException("instruction_part and response_part must not be empty.");
    }
  }

  /// The tokenizer's template, and ShareGPT's roles mapped.
  public static ChatOptions defaults() {
    return new ChatOptions(null, null, null, null, SHAREGPT_ROLES);
  }

  /// As TRL treats conversations: roles keep their names.
  public static ChatOptions unmapped() {
    return new ChatOptions(null, null, null, null, Map.of());
  }

  /// The same with another choice of what is trained.
  public ChatOptions withTrainOn(@Nullable TrainOn value) {
    return new ChatOptions(templatePath, value, instructionPart, responsePart, roleMapping);
  }

  /// The same with another template.
  public ChatOptions withTemplatePath(@Nullable Path value) {
    return new ChatOptions(value, trainOn, instructionPart, responsePart, roleMapping);
  }

  /// The same with markers.
  public ChatOptions withParts(@Nullable String instruction, @Nullable String response) {
    return new ChatOptions(templatePath, trainOn, instruction, response, roleMapping);
  }
}
