package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.generate.Generator.Completion;
import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Decides whether an answer is the expected one. Both are compared as the tokenizer reads them,
/// without special tokens.
///
/// Without a pattern the model must have ended the text, and the whole text, without white space at
/// its ends, must be the expected one. With a pattern its first group is compared, without white
/// space at its ends, where it first occurs; the text may go on after it.
///
/// @param answer a pattern with at least one group, or null
public record ExactMatch(@Nullable Pattern answer) {
  /// The whole text counts.
  public static ExactMatch whole() {
    return new ExactMatch(null);
  }

  /// @param expression null for the whole text
  public static ExactMatch of(@Nullable String expression) {
    return new ExactMatch(expression == null ? null : Pattern.compile(expression));
  }

  /// @throws InputException if an expected answer does not have the pattern, so that nothing can
  ///   match it
  public void requireAnswers(List<Question> questions, Tokenizer tokenizer) {
    for (Question question : questions) {
      if (answer != null && group(answer, asRead(question, tokenizer), true) == null) {
        throw new InputException(
            "%s: the expected answer has nothing that matches %s"
                .formatted(question.source(), answer));
      }
    }
  }

  /// Judges completions.
  ///
  /// @param completions one for each question, in their order
  public List<Answer> judge(
      List<Question> questions, List<Completion> completions, Tokenizer tokenizer) {
    List<Answer> answers = new ArrayList<>();
    for (int i = 0; i < questions.size(); i++) {
      String text = tokenizer.decode(completions.get(i).ids(), true);
      boolean match =
          matches(asRead(questions.get(i), tokenizer), text, completions.get(i).ended());
      answers.add(new Answer(questions.get(i), text, match));
    }
    return answers;
  }

  /// The expected answer as a model that answers rightly has it: a tokenizer may write it in
  /// another way than the data.
  private static String asRead(Question question, Tokenizer tokenizer) {
    return tokenizer.decode(tokenizer.encode(question.expected(), false), true);
  }

  /// @param ended whether the model ended the text
  boolean matches(String expected, String generated, boolean ended) {
    if (answer == null) {
      return ended && generated.strip().equals(expected.strip());
    }
    String wanted = group(answer, expected, true);
    return wanted != null && wanted.equals(group(answer, generated, ended));
  }

  /// The group where the pattern first occurs; null if it does not, or if the text was cut and more
  /// of it might have made another one.
  private static @Nullable String group(Pattern pattern, String text, boolean ended) {
    Matcher matcher = pattern.matcher(text);
    if (!matcher.find() || (!ended && matcher.hitEnd())) {
      return null;
    }
    String found = matcher.group(1);
    return found == null ? null : found.strip();
  }
}
