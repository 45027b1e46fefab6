package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.data.DataFinding.Allowable;
import dev.gatun.data.DataFinding.Kind;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Each thing that can be wrong with data, and data next to it with which nothing is wrong.
class DataChecksTest {
  private static final SftDataOptions DEFAULTS = SftDataOptions.defaults();

  @TempDir private Path directory;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    tokenizer = Tokenizer.open(Fixtures.tokenizer(directory));
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  private PreparedDataset prepare(String name, SftDataOptions options, String... lines)
      throws IOException {
    Path file = Files.write(directory.resolve(name), List.of(lines));
    return SftPreparation.prepare(Dataset.open(file), tokenizer, options);
  }

  private PreparedDataset prepare(SftDataOptions options, String... lines) throws IOException {
    return prepare("d.jsonl", options, lines);
  }

  private List<DataFinding> check(PreparedDataset rows, @Nullable PreparedDataset evaluation) {
    return new DataChecks(tokenizer, Set.of(), Set.of())
        .of(
            rows,
            evaluation == null ? List.of() : List.of(new EvaluationRows("", evaluation, false)));
  }

  @Test
  void goodDataHaveNoFindings() throws IOException {
    PreparedDataset rows = prepare(DEFAULTS, "{\"text\":\"a b \"}", "{\"text\":\"c \"}");

    assertThat(check(rows, null)).isEmpty();
    assertThat(rows.report().notices()).isEmpty();
    assertThat(rows.report().figures().ending()).isEqualTo(new DataFigures.Ending(1, "</s>", 2));
  }

  @Test
  void textThatNeverEndsStopsTheRun() throws IOException {
    PreparedDataset rows =
        prepare(DEFAULTS.withDatasetTextField("body"), "{\"body\":\"a b\"}", "{\"body\":\"c b\"}");

    assertThat(check(rows, null))
        .singleElement()
        .satisfies(finding -> {
          assertThat(finding.kind()).isEqualTo(Kind.EOS_NEVER_TRAINED);
          assertThat(finding.stops()).isTrue();
          assertThat(finding.message())
              .contains("</s> is trained in no row", "2 of 2 rows end with 'b' (id 3)")
              .contains("allow_findings: [eos_never_trained]");
        });
  }

  @Test
  void textThatNeverEndsMayBeAllowed() throws IOException {
    PreparedDataset rows = prepare(DEFAULTS.withDatasetTextField("body"), "{\"body\":\"a b\"}");

    assertThat(
            new DataChecks(tokenizer, Set.of(), Set.of(Allowable.EOS_NEVER_TRAINED))
                .of(rows, List.of()))
        .singleElement()
        .matches(finding -> finding.kind() == Kind.EOS_NEVER_TRAINED && !finding.stops());
    assertThat(
            new DataChecks(tokenizer, Set.of(), Set.of(Allowable.ALL_TRUNCATED))
                .of(rows, List.of()))
        .singleElement()
        .matches(DataFinding::stops);
  }

  @Test
  void anEndingThatTheModelStopsAtIsAnEnd() throws IOException {
    PreparedDataset rows = prepare(DEFAULTS.withDatasetTextField("body"), "{\"body\":\"a b\"}");

    assertThat(new DataChecks(tokenizer, Set.of(3), Set.of()).of(rows, List.of())).isEmpty();
    assertThat(new DataChecks(tokenizer, Set.of(2), Set.of()).of(rows, List.of())).hasSize(1);
  }

  /// Generation with the chat template stops at the special token behind the answer.
  @ParameterizedTest
  @EnumSource(
      value = TrainOn.class,
      names = {"ALL", "ASSISTANT"})
  void aTurnThatEndsWithASpecialTokenOfTheTemplateIsANotice(TrainOn trainOn) throws IOException {
    PreparedDataset rows = chat(trainOn, "{{ m.content }} <s> ");

    assertThat(rows.report().figures().turnEnd()).isEqualTo(new DataFigures.TurnEnd(0, "<s>", 2));
    assertThat(check(rows, null))
        .singleElement()
        .satisfies(finding -> {
          assertThat(finding.kind()).isEqualTo(Kind.EOS_NEVER_TRAINED);
          assertThat(finding.stops()).isFalse();
          assertThat(finding.message())
              .contains("</s> is trained in no row")
              .contains("to end a turn with '<s>' (id 0, trained in 2 of 2 rows)");
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ m.content }} e ", // ordinary text, which occurs in turns too
        "{{ m.content }} ",
        "{% generation %}{{ m.content }} {% endgeneration %}<s> ", // not trained
      })
  void turnsWithoutATrainedSpecialTokenAtTheirEndStopTheRun(String turn) throws IOException {
    assertThat(check(chat(TrainOn.ASSISTANT, turn), null))
        .singleElement()
        .matches(finding -> finding.kind() == Kind.EOS_NEVER_TRAINED && finding.stops())
        .matches(finding -> finding.message().contains("would not learn to stop"));
  }

  @Test
  void aTurnThatEndsWithTheEndOfTextHasNoFinding() throws IOException {
    assertThat(check(chat(TrainOn.ASSISTANT, "{{ m.content }} </s> "), null)).isEmpty();
  }

  private PreparedDataset chat(TrainOn trainOn, String turn) throws IOException {
    Files.writeString(
        directory.resolve("chat_template.jinja"),
        "{%- for m in messages %}{% if m.role == 'user' %}b {{ m.content }} {% else %}c "
            + turn
            + "{% endif %}{% endfor %}{% if add_generation_prompt %}c {% endif %}");
    return prepare(
        DEFAULTS.withChat(ChatOptions.defaults().withTrainOn(trainOn)),
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"d\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":\"a d\"}]}");
  }

  @Test
  void aMaskedEndOfTextDoesNotCount() throws IOException {
    PreparedDataset rows =
        prepare(
            DEFAULTS,
            "{\"input_ids\":[0,2,3,1],\"labels\":[-100,2,3,-100]}",
            "{\"input_ids\":[0,4,1],\"labels\":[-100,4,-100]}");

    assertThat(check(rows, null))
        .singleElement()
        .matches(finding -> finding.kind() == Kind.EOS_NEVER_TRAINED);
  }

  @Test
  void labelsThatNothingPredictsStopTheRunWhateverIsAllowed() throws IOException {
    PreparedDataset rows = prepare(DEFAULTS, "{\"input_ids\":[2,3],\"labels\":[2,-100]}");

    assertThat(new DataChecks(tokenizer, Set.of(), Set.of(Allowable.values())).of(rows, List.of()))
        .singleElement()
        .matches(finding -> finding.kind() == Kind.NOTHING_TRAINED && finding.stops());
  }

  @Test
  void rowsWithNothingTrainedAreCountedByReason() throws IOException {
    PreparedDataset rows =
        prepare(
            DEFAULTS.withMaxLength(4, OverlongPolicy.TRUNCATE),
            "{\"prompt\":\"a b c d e\",\"completion\":\" a\"}",
            "{\"prompt\":\"a\",\"completion\":\" b\"}",
            "{\"prompt\":\"a\",\"completion\":\" </s>\"}");
    PreparedDataset masked =
        prepare(
            DEFAULTS,
            "{\"input_ids\":[2,3],\"labels\":[-100,-100]}",
            "{\"input_ids\":[2,1],\"labels\":[-100,1]}");

    assertThat(rows.report().figures().untrained()).isEqualTo(new DataFigures.Untrained(0, 1));
    assertThat(rows.report().notices())
        .anyMatch(n ->
            n.contains("without a trained token, dropped: 1") && n.contains("beyond max_length"))
        .anyMatch(n -> n.contains("d.jsonl line 1"));
    assertThat(masked.report().figures().untrained()).isEqualTo(new DataFigures.Untrained(1, 0));
    assertThat(masked.report().notices())
        .anyMatch(n -> n.contains("in 1 nothing was to be trained"));
  }

  @Test
  void noTrainedRowAtAllIsRefusedWithReasonsAndPlace() {
    assertThatThrownBy(() ->
            prepare(
                DEFAULTS.withMaxLength(4, OverlongPolicy.TRUNCATE),
                "{\"prompt\":\"a b c d e\",\"completion\":\" a\"}"))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll("no row to train", "beyond max_length", "d.jsonl line 1");
  }

  @Test
  void dataThatAreAllCutStopTheRun() throws IOException {
    SftDataOptions cut = DEFAULTS.withMaxLength(3, OverlongPolicy.TRUNCATE);
    String[] lines = {
      "{\"input_ids\":[2,1,3,4],\"labels\":[-100,1,3,4]}", "{\"input_ids\":[2,1,3,4,5]}"
    };
    PreparedDataset all = prepare(cut, lines);
    PreparedDataset some = prepare(cut, lines[0], "{\"input_ids\":[2,1]}");

    assertThat(check(all, null))
        .singleElement()
        .matches(finding -> finding.kind() == Kind.ALL_TRUNCATED && finding.stops())
        .matches(finding -> finding.message().contains("3 tokens lost, the longest row has 5"));
    assertThat(
            new DataChecks(tokenizer, Set.of(), Set.of(Allowable.ALL_TRUNCATED)).of(all, List.of()))
        .singleElement()
        .matches(finding -> !finding.stops());
    assertThat(check(some, null)).isEmpty();
    assertThat(some.report().notices()).anyMatch(n -> n.contains("Truncated rows: 1;"));
  }

  @Test
  void repeatsAreCountedWhateverBecomesOfTheRows() throws IOException {
    String[] lines = {
      "{\"text\":\"a b \"}", "{\"text\":\"c \"}", "{\"text\":\"a b \"}", "{\"text\":\"a b \"}"
    };
    for (SftDataOptions options :
        List.of(
            DEFAULTS,
            DEFAULTS.withMaxLength(4, OverlongPolicy.ERROR).withPacking(PackingStrategy.BFD),
            DEFAULTS.withMaxLength(3, OverlongPolicy.ERROR).withPacking(PackingStrategy.WRAPPED),
            DEFAULTS
                .withMaxLength(3, OverlongPolicy.ERROR)
                .withPacking(PackingStrategy.BFD_SPLIT))) {
      PreparationReport report = prepare(options, lines).report();

      assertThat(report.figures().repeatedRows()).as(options.toString()).isEqualTo(2);
      assertThat(report.notices())
          .anyMatch(n -> n.contains("Exact repeats of earlier rows: 2") && n.contains("line 3 is"));
    }
  }

  @Test
  void rowsThatDifferOnlyBeyondTheCutAreNoRepeats() throws IOException {
    SftDataOptions cut = DEFAULTS.withMaxLength(2, OverlongPolicy.TRUNCATE);

    PreparedDataset rows = prepare(cut, "{\"text\":\"a b \"}", "{\"text\":\"a c \"}");

    assertThat(rows.report().figures().repeatedRows()).isZero();
  }

  @Test
  void evaluationDataAmongTheTrainingDataAreANotice() throws IOException {
    PreparedDataset rows =
        prepare("train.jsonl", DEFAULTS, "{\"text\":\"a b \"}", "{\"text\":\"c \"}");
    SftDataOptions packed =
        DEFAULTS.withMaxLength(3, OverlongPolicy.ERROR).withPacking(PackingStrategy.WRAPPED);
    String[] lines = {"{\"text\":\"b a \"}", "{\"text\":\"c \"}", "{\"text\":\"c \"}"};
    for (SftDataOptions options : List.of(DEFAULTS, packed)) {
      assertThat(check(rows, prepare("eval.jsonl", options, lines)))
          .singleElement()
          .matches(finding -> finding.kind() == Kind.TRAIN_EVAL_LEAK && !finding.stops())
          .matches(finding -> finding.message().startsWith("1 samples"))
          .matches(finding -> finding.message().contains("eval.jsonl line"));
    }
    assertThat(check(rows, prepare("eval.jsonl", DEFAULTS, lines[0]))).isEmpty();
  }

  @Test
  void theCacheKeepsFiguresAndFingerprints() throws IOException {
    Path file =
        Files.write(
            directory.resolve("train.jsonl"),
            List.of("{\"text\":\"a b \"}", "{\"text\":\"c \"}", "{\"text\":\"c \"}"));
    Path cache = directory.resolve("cache");
    try (PreparedDataset fresh = SftPreparation.prepare(Dataset.open(file), tokenizer, DEFAULTS);
        PreparedDataset made = TokenCache.prepare(Dataset.open(file), tokenizer, DEFAULTS, cache);
        PreparedDataset mapped =
            TokenCache.prepare(Dataset.open(file), tokenizer, DEFAULTS, cache)) {
      assertThat(mapped).isInstanceOf(MappedRows.class);
      assertThat(mapped.report()).isEqualTo(fresh.report()).isEqualTo(made.report());
      for (int row = 0; row < 3; row++) {
        assertThat(mapped.fingerprints(row)).isEqualTo(fresh.fingerprints(row)).hasSize(1);
      }
      assertThat(mapped.fingerprints(1)).isEqualTo(mapped.fingerprints(2));
      assertThat(mapped.fingerprints(0)).isNotEqualTo(mapped.fingerprints(1));
    }
  }

  @Test
  void aDoubledBeginningIsCounted() throws IOException {
    PreparedDataset rows = prepare(DEFAULTS, "{\"text\":\"<s> a \"}", "{\"text\":\"b \"}");

    assertThat(rows.report().doubleBosRows()).isEqualTo(1);
    assertThat(rows.report().notices()).singleElement().asString().contains("<s> twice");
  }

  @Test
  void theSampleShowsWhatIsTrained() throws IOException {
    PreparedDataset rows = prepare(DEFAULTS, "{\"prompt\":\"a b\",\"completion\":\" c </s>\"}");

    TrainedText sample = rows.report().figures().sample();

    assertThat(sample).isNotNull();
    assertThat(sample.pieces()).extracting(TrainedText.Piece::trained).containsExactly(false, true);
    assertThat(sample.marked(text -> "[" + text + "]")).endsWith("[c </s>]").contains("a b");
  }
}
