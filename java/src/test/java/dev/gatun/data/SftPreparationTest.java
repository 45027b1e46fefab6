package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SftPreparationTest {
  private static final SftDataOptions DEFAULTS = SftDataOptions.defaults();

  @TempDir Path directory;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() throws IOException {
    tokenizer = Tokenizer.open(Fixtures.tokenizer(directory));
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  private PreparedDataset prepare(String lines, SftDataOptions options) throws IOException {
    Path file = directory.resolve("d.jsonl");
    Files.writeString(file, lines);
    return SftPreparation.prepare(Dataset.open(file), tokenizer, options);
  }

  private void assertRefused(String lines, SftDataOptions options, String... reasons) {
    assertThatThrownBy(() -> prepare(lines, options))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll(reasons);
  }

  @Test
  void textGetsTheEndTokenOnceAndIsTrainedWhole() throws IOException {
    PreparedDataset rows =
        prepare("{\"text\":\"a b \"}\n{\"text\":\"c </s>\"}\n{\"text\":\"</s> d\"}\n", DEFAULTS);
    assertThat(rows.inputIds(0)).containsExactly(0, 2, 3, 1);
    assertThat(rows.labels(0)).containsExactly(0, 2, 3, 1);
    assertThat(rows.inputIds(1)).containsExactly(0, 4, 1);
    assertThat(rows.inputIds(2)).containsExactly(0, 1, 5, 1);
    assertThat(rows.report().eosTrainedRows()).isEqualTo(3);
    assertThat(rows.report().notices()).isEmpty();
  }

  @Test
  void anotherTextFieldGetsNoEndToken() throws IOException {
    PreparedDataset rows = prepare("{\"body\":\"a b\"}\n", DEFAULTS.withDatasetTextField("body"));
    assertThat(rows.inputIds(0)).containsExactly(0, 2, 3);
    assertThat(rows.report().eosTrainedRows()).isZero();
  }

  @Test
  void promptsAreMaskedUnlessAskedForOtherwise() throws IOException {
    String line = "{\"prompt\":\"a b\",\"completion\":\" c\"}\n";
    assertThat(prepare(line, DEFAULTS).labels(0)).containsExactly(-100, -100, -100, 4, 1);
    String spaced = "{\"prompt\":\"a b\",\"completion\":\" c </s>\"}\n";
    assertThat(prepare(spaced, DEFAULTS).labels(0)).containsExactly(-100, -100, -100, 4, 1);
    assertThat(prepare(spaced, DEFAULTS.withCompletionOnlyLoss(false)).labels(0))
        .containsExactly(0, 2, 3, 4, 1);
  }

  @Test
  void aPromptThatMergesWithItsCompletionIsCounted() throws IOException {
    PreparedDataset rows = prepare("{\"prompt\":\"a b\",\"completion\":\"c </s>\"}\n", DEFAULTS);
    assertThat(rows.report().unstablePromptRows()).isEqualTo(1);
    assertThat(rows.labels(0)).containsExactly(-100, -100, -100, 1);
  }

  @Test
  void pretokenisedRowsKeepTheirLabels() throws IOException {
    PreparedDataset rows =
        prepare("{\"input_ids\":[2,3,4],\"labels\":[-100,3,4]}\n{\"input_ids\":[5,6]}\n", DEFAULTS);
    assertThat(rows.labels(0)).containsExactly(-100, 3, 4);
    assertThat(rows.labels(1)).containsExactly(5, 6);
    PreparedDataset masked =
        prepare(
            "{\"input_ids\":[2,3],\"completion_mask\":[0,1]}\n",
            DEFAULTS.withCompletionOnlyLoss(true));
    assertThat(masked.labels(0)).containsExactly(-100, 3);
  }

  @Test
  void overlongRowsFollowThePolicy() throws IOException {
    String lines = "{\"text\":\"a </s>\"}\n{\"text\":\"a b c d e </s>\"}\n";
    assertRefused(
        lines,
        DEFAULTS.withMaxLength(4, OverlongPolicy.ERROR),
        "1 of 2 rows",
        "max_length = 4",
        "the longest has 7",
        "d.jsonl line 2");
    PreparedDataset cut = prepare(lines, DEFAULTS.withMaxLength(4, OverlongPolicy.TRUNCATE));
    assertThat(cut.inputIds(1)).containsExactly(0, 2, 3, 4);
    assertThat(cut.report().truncatedRows()).isEqualTo(1);
    assertThat(cut.report().cutTokens()).isEqualTo(3);
    assertThat(cut.report().eosTrainedRows()).isEqualTo(1);
    PreparedDataset dropped = prepare(lines, DEFAULTS.withMaxLength(4, OverlongPolicy.DROP));
    assertThat(dropped.size()).isEqualTo(1);
    assertThat(dropped.report().droppedOverlong()).isEqualTo(1);
    assertThat(prepare(lines, DEFAULTS.withMaxLength(null, OverlongPolicy.ERROR)).length(1))
        .isEqualTo(7);
  }

  @Test
  void rowsWithoutATrainedTokenAreDropped() throws IOException {
    String lines =
        "{\"prompt\":\"a b c d\",\"completion\":\" e\"}\n{\"prompt\":\"a\",\"completion\":\" e\"}\n";
    PreparedDataset rows = prepare(lines, DEFAULTS.withMaxLength(4, OverlongPolicy.TRUNCATE));
    assertThat(rows.size()).isEqualTo(1);
    assertThat(rows.source(0)).endsWith("d.jsonl line 2");
    assertThat(rows.report().droppedUntrained()).isEqualTo(1);
    assertRefused(
        lines,
        DEFAULTS.withMaxLength(2, OverlongPolicy.TRUNCATE),
        "leaves no row to train",
        "2 have no trained token",
        "line 1");
  }

  @Test
  void packedRowsRememberWhereTheyComeFrom() throws IOException {
    PreparedDataset rows =
        prepare(
            "{\"text\":\"a b </s>\"}\n{\"text\":\"c </s>\"}\n{\"text\":\"d e a b </s>\"}\n",
            DEFAULTS.withMaxLength(8, OverlongPolicy.ERROR).withPacking(PackingStrategy.BFD));
    assertThat(rows.size()).isEqualTo(2);
    assertThat(rows.sequenceLengths(0)).containsExactly(6);
    assertThat(rows.sequenceLengths(1)).containsExactly(4, 3);
    assertThat(rows.inputIds(1)).containsExactly(0, 2, 3, 1, 0, 4, 1);
    assertThat(rows.source(1)).endsWith("d.jsonl lines 1, 2");
    assertThat(rows.report().sequences()).isEqualTo(3);
    assertThat(rows.report().trainedTokens()).isEqualTo(5 + 3 + 2);
  }

  @Test
  void packedRowsOfSeveralFilesNameEachOfThem() throws IOException {
    Path one = Files.writeString(directory.resolve("one.jsonl"), "{\"text\":\"a b </s>\"}\n");
    Path folder = Files.createDirectories(directory.resolve("folder"));
    Path two =
        Files.writeString(
            folder.resolve("two.jsonl"), "{\"text\":\"c </s>\"}\n{\"text\":\"d </s>\"}\n");

    PreparedDataset rows =
        SftPreparation.prepare(
            Dataset.of(List.of(one, folder)),
            tokenizer,
            DEFAULTS.withMaxLength(16, OverlongPolicy.ERROR).withPacking(PackingStrategy.BFD));

    assertThat(rows.size()).isEqualTo(1);
    assertThat(rows.source(0)).isEqualTo(one + " line 1, " + two + " lines 1, 2");
    assertThat(rows.files()).containsExactly(one.toString(), two.toString());
    assertThat(rows.sourceFiles(0)).containsExactly(0, 1, 1);
    assertThat(rows.targetCounts(0)).containsExactly(3, 2, 2);
  }

  @Test
  void shufflesAsDatasetsDoes() throws IOException {
    String lines =
        IntStream.range(0, 10)
            .mapToObj(i -> "{\"input_ids\":[%d,1]}\n".formatted(100 + i))
            .collect(Collectors.joining());
    PreparedDataset rows = prepare(lines, DEFAULTS.withShuffle(42));
    assertThat(IntStream.range(0, 10).map(i -> rows.inputIds(i)[0]))
        .containsExactly(105, 106, 100, 107, 103, 102, 104, 109, 101, 108);
    assertThat(rows.source(0)).endsWith("line 6");
  }

  @Test
  void manyRowsKeepTheirOrder() throws IOException {
    String lines =
        IntStream.range(0, 5000)
            .mapToObj(i -> "{\"text\":\"%s</s>\"}\n".formatted("a ".repeat(1 + i % 50)))
            .collect(Collectors.joining());
    PreparedDataset rows = prepare(lines, DEFAULTS);
    for (int i = 0; i < 5000; i++) {
      assertThat(rows.length(i)).isEqualTo(3 + i % 50);
    }
  }

  @Test
  void doubledBeginningsAreCounted() throws IOException {
    PreparedDataset rows = prepare("{\"text\":\"<s> a </s>\"}\n", DEFAULTS);
    assertThat(rows.report().doubleBosRows()).isEqualTo(1);
    assertThat(rows.report().notices()).singleElement().asString().contains("<s> twice");
  }

  @Test
  void badRowsAreNamed() {
    assertRefused("", DEFAULTS, "d.jsonl", "has no rows");
    assertRefused("{\"txt\":\"a\"}\n", DEFAULTS, "line 1", "no column `text`", "txt");
    assertRefused("{\"text\":\"a\"}\n{\"text\":null}\n", DEFAULTS, "line 2", "`text`", "not null");
    assertRefused(
        "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":\"a\"}\n",
        DEFAULTS,
        "line 2",
        "no column `completion`");
    assertRefused("{\"text\":\"\\ud800\"}\n", DEFAULTS, "line 1", "unpaired surrogate");
    assertRefused("{\"input_ids\":[1,-2]}\n", DEFAULTS, "line 1", "position 1");
    assertRefused("{\"input_ids\":[1,2],\"labels\":[1]}\n", DEFAULTS, "`labels` has 1 entries");
    assertRefused(
        "{\"text\":\"a\"}\n", DEFAULTS.withCompletionOnlyLoss(true), "completion_only_loss");
    assertRefused(
        "{\"input_ids\":[1]}\n", DEFAULTS.withCompletionOnlyLoss(true), "completion_mask");
  }

  @Test
  void contradictingOptionsAreRefused() {
    assertThatThrownBy(() -> DEFAULTS.withMaxLength(0, OverlongPolicy.DROP))
        .isInstanceOf(InputException.class);
    assertThatThrownBy(() ->
            DEFAULTS.withMaxLength(null, OverlongPolicy.DROP).withPacking(PackingStrategy.BFD))
        .isInstanceOf(InputException.class);
    assertThatThrownBy(() -> PackingStrategy.parse("ffd"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("bfd, bfd_split, wrapped");
    assertThat(PackingStrategy.parse("bfd-requeue")).isEqualTo(PackingStrategy.BFD_SPLIT);
    assertThatThrownBy(() -> OverlongPolicy.parse("split")).isInstanceOf(InputException.class);
  }
}
