package dev.gatun.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Conversations from the command line: shown, trained, continued.
class ChatCommandTest {
  @TempDir Path folder;
  private Workspace workspace;

  @BeforeEach
  void prepare() throws IOException {
    workspace = Workspace.create(folder);
    Files.writeString(
        workspace.model().resolve("chat_template.jinja"),
        """
        {%- for m in messages %}
        {{- m.role ~ ': ' ~ m.content ~ eos_token ~ '\\n' }}
        {%- endfor %}
        {%- if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}\
        """);
    Files.writeString(
        workspace.data(),
        """
        {"messages": [{"role": "user", "content": "two red lamps"}, {"role": "assistant", "content": "lamp"}, {"role": "user", "content": "and?"}, {"role": "assistant", "content": "red"}]}
        {"messages": [{"role": "user", "content": "one wallet"}, {"role": "assistant", "content": "wallet"}]}
        """);
  }

  @Test
  void previewMarksWhatTheAssistantSays() {
    Run run =
        Run.gatun("preview", workspace.config().toString(), "--set", "assistant_only_loss=true");

    assertThat(run.err()).isEmpty();
    assertThat(run.exitCode()).isZero();
    assertThat(run.out())
        .containsPattern("user: two red lamps.*\\n")
        .containsPattern("assistant: ?\\[\\[ ?lamp")
        .containsPattern("assistant: ?\\[\\[ ?red")
        .contains("the end of text is trained in 100.0 % of the rows");
  }

  @Test
  void conversationsTrainAndTheAdapterGoesOnWithOne() throws IOException {
    Run trained = workspace.train("train_on=last_assistant");
    assertThat(trained.err()).isEmpty();
    assertThat(trained.exitCode()).isZero();
    assertThat(Files.readString(workspace.output().resolve("config.yaml")))
        .contains("train_on: last_assistant");

    String output = workspace.output().toString();
    Run chat =
        Run.gatun(
            "generate", output, "--chat", "--prompt", "two red lamps", "--max-new-tokens", "4");
    Run plain = Run.gatun("generate", output, "--prompt", "two red lamps", "--max-new-tokens", "4");
    assertThat(chat.err()).isEmpty();
    assertThat(chat.exitCode()).isZero();
    assertThat(chat.out()).isNotEqualTo(plain.out());

    Path file = folder.resolve("ask.jsonl");
    Files.writeString(
        file,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n"
            + "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"be\"}]}\n");
    Run rows = Run.gatun("generate", output, "--prompts", file.toString(), "--max-new-tokens", "4");
    assertThat(rows.err()).isEmpty();
    assertThat(rows.out().lines())
        .hasSize(2)
        .first()
        .asString()
        .contains("\"prompt\":\"user: a<|endoftext|>\\nassistant: \"");
    assertThat(rows.out().lines().toList().getLast())
        .contains("\"prompt\":\"user: a<|endoftext|>\\nassistant: be\"");
  }

  @Test
  void aTemplateOfOnesOwnGoesWithTheAdapter() throws IOException {
    String own =
        "{% for m in messages %}<{{ m.role }}> {{ m.content }}<|im_end|>{% endfor %}"
            + "{% if add_generation_prompt %}<assistant> {% endif %}";
    Path file = folder.resolve("own.jinja");
    Files.writeString(file, own);

    Run trained =
        workspace.train(
            "chat_template_path=" + file,
            "train_on=assistant",
            "allow_findings=[eos_never_trained]");

    assertThat(trained.err()).isEmpty();
    assertThat(workspace.output().resolve("chat_template.jinja")).hasContent(own);
    Path ask = folder.resolve("ask.jsonl");
    Files.writeString(ask, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n");
    Run rows =
        Run.gatun(
            "generate",
            workspace.output().toString(),
            "--prompts",
            ask.toString(),
            "--max-new-tokens",
            "4");
    assertThat(rows.out()).contains("\"prompt\":\"<user> a<|im_end|><assistant> \"");
  }

  @Test
  void withoutATemplateTheWayOutIsSaid() throws IOException {
    Files.delete(workspace.model().resolve("chat_template.jinja"));
    Run run = workspace.train();

    assertThat(run.exitCode()).isEqualTo(2);
    assertThat(run.err()).hasLineCount(1).contains("no chat template", "chat_template_path");
    assertThat(workspace.output()).doesNotExist();
  }

  @Test
  void theTemplateThatWasTrainedWithIsServedAndEndsTurns() throws IOException {
    Path chosen =
        Files.writeString(
            folder.resolve("chosen.jinja"),
            "{% for m in messages %}{{ m.role ~ '\\n' ~ m.content ~ '<|turn|>\\n' }}{% endfor %}{{ 'assistant\\n' if add_generation_prompt }}");
    Path config = workspace.model().resolve("tokenizer_config.json");
    String stored = Files.readString(config).strip();
    Files.writeString(config, "{\"chat_template\": \"{{ 'another' }}\", " + stored.substring(1));
    Files.writeString(
        workspace.data(),
        """
        {"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "lamp"}]}
        """);
    Run trained =
        workspace.train(
            "chat_template_path=" + chosen,
            "added_special_tokens=[<|turn|>]",
            "modules_to_save=[embed_tokens, lm_head]",
            "ensure_weight_tying=true",
            "train_on=last_assistant",
            "learning_rate=3.0e-3",
            // The turn ends with a token of the template's own, which generation knows.
            "allow_findings=[eos_never_trained]",
            "max_steps=40");
    assertThat(trained.err()).isEmpty();
    assertThat(trained.exitCode()).isZero();
    Path output = workspace.output();
    assertThat(output.resolve("chat_template.jinja")).hasSameBinaryContentAs(chosen);
    assertThat(output.resolve("tokenizer_config.json"))
        .content()
        .contains("eos_token")
        .doesNotContain("chat_template");

    Run chat =
        Run.gatun(
            "generate", output.toString(), "--chat", "--prompt", "one", "--max-new-tokens", "20");
    assertThat(chat.err()).isEmpty();
    assertThat(chat.out()).isEqualTo("lamp" + System.lineSeparator());
  }
}
