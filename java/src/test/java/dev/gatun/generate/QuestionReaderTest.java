package dev.gatun.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.data.Dataset;
import dev.gatun.data.SftDataOptions;
import dev.gatun.rules.Repository;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QuestionReaderTest {
  private static final Path MODEL =
      Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model");
  private static final String EOS = "<|endoftext|>";

  @TempDir private Path folder;
  private Tokenizer tokenizer = Tokenizer.open(MODEL);

  @BeforeEach
  void openTokenizerWithTemplate() throws IOException {
    tokenizer.close();
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.filter(each -> each.toString().contains("token")).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Files.writeString(
        folder.resolve("chat_template.jinja"),
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
            + "{% if add_generation_prompt %}<assistant>{% endif %}");
    tokenizer = Tokenizer.open(folder);
  }

  @AfterEach
  void closeTokenizer() {
    tokenizer.close();
  }

  private QuestionReader.Questions read(int most, String... rows) throws IOException {
    Path file = Files.writeString(folder.resolve("held.jsonl"), String.join("\n", rows) + "\n");
    return QuestionReader.read(Dataset.open(file), most, tokenizer, SftDataOptions.defaults());
  }

  @Test
  void aCompletionIsTheAnswerToItsPromptWithoutTheEndOfText() throws IOException {
    QuestionReader.Questions read =
        read(
            2,
            "{\"prompt\": \"ten \", \"completion\": \" lamps%s\"}".formatted(EOS),
            "{\"prompt\": \"nine\", \"completion\": \"\"}",
            "{\"prompt\": \"eight\", \"completion\": \"too many\"}");

    List<Question> questions = read.list();
    assertThat(questions).extracting(Question::prompt).containsExactly("ten ", "nine");
    assertThat(questions).extracting(Question::expected).containsExactly(" lamps", "");
    assertThat(questions.getFirst().ids()).isEqualTo(tokenizer.encode("ten ", true));
    assertThat(questions.getLast().source()).endsWith("held.jsonl line 2");
    assertThat(read.stops()).isEmpty();
  }

  @Test
  void theLastTurnOfTheAssistantIsTheAnswerAndItsEndEndsAnswers() throws IOException {
    QuestionReader.Questions read =
        read(
            9,
            messages("user", "a", "assistant", "b", "user", "c", "assistant", "d"),
            messages("user", "nobody answers"),
            messages("assistant", "nobody asks"),
            messages("user", "e", "assistant", "f"));

    List<Question> questions = read.list();
    assertThat(questions)
        .extracting(Question::prompt)
        .containsExactly(
            "<user>a%1$s<assistant>b%1$s<user>c%1$s<assistant>".formatted(EOS),
            "<user>e%s<assistant>".formatted(EOS));
    assertThat(questions).extracting(Question::expected).containsExactly("d", "f");
    assertThat(questions.getFirst().ids())
        .isEqualTo(tokenizer.encode(questions.getFirst().prompt(), false));
    assertThat(questions.getLast().source()).endsWith("held.jsonl line 4");
    assertThat(read.stops()).containsExactly(tokenizer.eosTokenId().orElseThrow());
  }

  @Test
  void aPairOfMessagesIsAskedLikeAConversation() throws IOException {
    List<Question> questions =
        read(
                9,
                "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"completion\": [{\"role\": \"assistant\", \"content\": \"b\"}]}")
            .list();

    assertThat(questions)
        .extracting(Question::prompt)
        .containsExactly("<user>a%s<assistant>".formatted(EOS));
    assertThat(questions).extracting(Question::expected).containsExactly("b");
  }

  @Test
  void aCallOfAToolIsNoAnswer() throws IOException {
    String call =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"\","
            + " \"tool_calls\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": {}}}]}]}";

    assertThat(read(9, call, messages("user", "e", "assistant", "f")).list())
        .extracting(Question::expected)
        .containsExactly("f");
  }

  @Test
  void dataWithoutAnswersIsRefused() {
    assertThatThrownBy(() -> read(9, "{\"text\": \"a\"}"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("held.jsonl line 1 has no answer apart from its prompt");
    assertThatThrownBy(() -> read(9, messages("user", "a"), messages("user", "b")))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("no conversation ends with a text of the assistant");
  }

  private static String messages(String... rolesAndTexts) {
    StringBuilder json = new StringBuilder("{\"messages\": [");
    for (int i = 0; i < rolesAndTexts.length; i += 2) {
      json.append(i == 0 ? "" : ", ")
          .append(
              "{\"role\": \"%s\", \"content\": \"%s\"}"
                  .formatted(rolesAndTexts[i], rolesAndTexts[i + 1]));
    }
    return json.append("]}").toString();
  }
}
