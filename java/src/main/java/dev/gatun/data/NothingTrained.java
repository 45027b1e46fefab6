package dev.gatun.data;

import dev.gatun.text.Tokenizer;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/// Says in words why nothing of a row was to be trained.
final class NothingTrained {
  private NothingTrained() {}

  /// @param ids the whole row's
  /// @param responsePart the marker that training was to follow, or null
  static String why(
      SftExample example, int[] ids, Tokenizer tokenizer, @Nullable String responsePart) {
    if (ids.length == 0) {
      return "it makes no token at all";
    }
    if (responsePart != null) {
      return tokenizer.decode(ids, false).contains(responsePart)
          ? "the response_part '%s' is in its text, but its tokens merge with those around it or nothing after it is trained"
              .formatted(responsePart)
          : "the response_part '%s' is not in its text".formatted(responsePart);
    }
    return switch (example) {
      case SftExample.Text _ -> "its text is empty";
      case SftExample.PromptCompletion _ -> "its completion is empty";
      case SftExample.Tokenised _ -> "its labels or masks leave every token out";
      case SftExample.Chat(var conversation, var _) ->
          roles(conversation.messages().stream().map(m -> String.valueOf(m.get("role"))).toList());
      case SftExample.ChatPair(var conversation, int prompt, var _) ->
          roles(
              conversation.messages().stream()
                  .skip(prompt)
                  .map(m -> String.valueOf(m.get("role")))
                  .toList());
    };
  }

  private static String roles(List<String> roles) {
    return roles.contains("assistant")
        ? "its messages of the assistant are empty, say train: false, or lie outside the template's {% generation %} blocks"
        : "no message is the assistant's, the roles are %s (role_mapping renames them)"
            .formatted(roles.stream().distinct().collect(Collectors.joining(", ")));
  }
}
