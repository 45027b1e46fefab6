package dev.gatun.text.chat;

import dev.gatun.InputException;
import dev.gatun.text.chat.jinja.Rendered;
import dev.gatun.text.chat.jinja.Rendered.Span;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;

/// A conversation's text with the parts that assistant turns are: those that the template marks
/// with `{% generation %}`, and for every other template those derived by rendering.
///
/// @param rendered the text with its parts
/// @param derived whether the parts were derived
public record TrainingText(Rendered rendered, boolean derived) {

  /// Renders a conversation.
  ///
  /// @param wanted which messages' parts are asked for, by number from 0; only the assistant's
  ///   count
  /// @throws InputException if the template refuses the conversation, or the parts are not certain
  public static TrainingText of(
      ChatTemplate template, Conversation conversation, IntPredicate wanted) {
    Rendered rendered = template.render(conversation, false);
    List<Integer> turns = new ArrayList<>();
    for (int i = 0; i < conversation.messages().size(); i++) {
      if (conversation.isAssistant(i)) {
        turns.add(i);
      }
    }
    boolean all = turns.stream().allMatch(wanted::test);
    // A block inside a macro may be somewhere else than it is counted.
    if (template.marksGeneration(conversation) && rendered.inPlace()) {
      if (all) {
        return new TrainingText(rendered, false);
      }
      if (rendered.spans().size() == turns.size()) {
        List<Span> chosen = new ArrayList<>();
        for (int turn = 0; turn < turns.size(); turn++) {
          if (wanted.test(turns.get(turn))) {
            chosen.add(rendered.spans().get(turn));
          }
        }
        return new TrainingText(new Rendered(rendered.text(), chosen), false);
      }
    }
    List<Span> derived = AssistantSpans.derive(template, conversation, rendered.text(), wanted);
    return new TrainingText(new Rendered(rendered.text(), derived), true);
  }
}
