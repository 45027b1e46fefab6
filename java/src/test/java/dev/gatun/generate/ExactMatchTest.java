package dev.gatun.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.generate.Generator.Completion;
import dev.gatun.rules.Repository;
import dev.gatun.text.Tokenizer;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExactMatchTest {
  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '"',
      textBlock =
          """
          "blue", "blue", true, true
          " blue", "blue\n", true, true
          "blue", "blue", false, false
          "blue", "blue sky", true, false
          "light blue", "light  blue", true, false
          "blue", "Blue", true, false
          "blue", "", true, false
          "", " ", true, true
          """)
  void theWholeTextCountsButForItsEnds(
      String expected, String generated, boolean ended, boolean match) {
    assertThat(ExactMatch.whole().matches(expected, generated, ended)).isEqualTo(match);
  }

  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '"',
      textBlock =
          """
          "2+2=4\n#### 4", "4, because 1+3\n#### 4", true, true
          "#### 4", "#### 4\nand so on", false, true
          "#### 4", "#### 4", false, false
          "#### 42", "#### 4", true, false
          "#### 4", "#### 5\n#### 4", true, false
          "#### 4", "4", true, false
          "#### 4", "", true, false
          "#### 4 ", "####  4", true, false
          """)
  void withAPatternItsFirstGroupCountsWhereItFirstOccurs(
      String expected, String generated, boolean ended, boolean match) {
    assertThat(ExactMatch.of("#### (\\S+)").matches(expected, generated, ended)).isEqualTo(match);
  }

  @Test
  void aGroupIsComparedWithoutWhiteSpaceAtItsEnds() {
    assertThat(ExactMatch.of("answer:(.*)").matches("answer: 4", "so\nanswer:4 ", true)).isTrue();
  }

  @Test
  void aGroupThatTookNoPartIsNoAnswer() {
    assertThat(ExactMatch.of("yes|(no)").matches("yes", "yes", true)).isFalse();
  }

  /// A special token inside of the expected answer is never in a decoded text.
  @Test
  void bothTextsAreComparedAsTheTokenizerReadsThem() {
    try (Tokenizer tokenizer =
        Tokenizer.open(
            Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model"))) {
      List<Question> questions =
          List.of(
              question("ten<|endoftext|> lamps"),
              question("ten lamps"),
              question("nine lamps"),
              question("ten lamps"));
      Completion ten = new Completion(tokenizer.encode("ten lamps", false), true);
      Completion cut = new Completion(ten.ids(), false);

      List<Answer> answers =
          ExactMatch.whole().judge(questions, List.of(ten, ten, ten, cut), tokenizer);

      assertThat(answers).extracting(Answer::match).containsExactly(true, true, false, false);
      assertThat(answers).extracting(Answer::generated).containsOnly("ten lamps");
      assertThat(IntStream.range(0, 4).mapToObj(i -> answers.get(i).question()).toList())
          .isEqualTo(questions);
    }
  }

  @Test
  void anExpectedAnswerWithoutThePatternIsNamed() {
    try (Tokenizer tokenizer =
        Tokenizer.open(
            Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model"))) {
      List<Question> questions = List.of(question("#### 4"), question("4"));

      assertThatThrownBy(() -> ExactMatch.of("#### (\\S+)").requireAnswers(questions, tokenizer))
          .isInstanceOf(InputException.class)
          .hasMessage("of 4: the expected answer has nothing that matches #### (\\S+)");
      assertThatCode(() -> ExactMatch.whole().requireAnswers(questions, tokenizer))
          .doesNotThrowAnyException();
    }
  }

  private static Question question(String expected) {
    return new Question("of " + expected, "", new int[] {5}, expected);
  }
}
