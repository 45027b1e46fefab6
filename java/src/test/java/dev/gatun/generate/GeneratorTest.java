package dev.gatun.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.generate.Generator.Completion;
import dev.gatun.generate.Generator.Settings;
import dev.gatun.io.WeightFormat;
import dev.gatun.op.Backend;
import dev.gatun.rules.Repository;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Generation with the bundled model, which continues notes fluently.
class GeneratorTest {
  private static final Path MODEL =
      Repository.root().resolve("java/src/main/resources/dev/gatun/quickstart/model");

  private static final List<String> PROMPTS =
      List.of(
          "On Sunday we deliver ten orange wallets to Seoul; the customer is Chloe.\n",
          "Jonas asked for 10 brown bicycles in Denver by Monday.\n",
          "Vienna, Friday: three",
          "Please send six grey candles to Maya in Turin before Thursday.\n");

  private static final Backend backend = CpuBackend.create();
  private static final LanguageModel model =
      LanguageModel.open(backend, MODEL, new WeightFormat.AsStored());

  @AfterAll
  static void close() {
    model.close();
    backend.close();
  }

  @Test
  void aBatchContinuesEachPromptAsIfItWereAlone() {
    List<String> together = generator().continueTexts(PROMPTS, greedy(24, 4));

    assertThat(together).doesNotHaveDuplicates().noneMatch(String::isBlank);
    assertThat(generator().continueTexts(PROMPTS, greedy(24, 1))).isEqualTo(together);
    assertThat(generator().continueTexts(PROMPTS, greedy(24, 3))).isEqualTo(together);
  }

  @Test
  void aLongerLimitOnlyContinuesWhatAShorterOneBegan() {
    List<int[]> prompts = ids();
    List<Completion> few = generator().generate(prompts, greedy(3, 4));
    List<Completion> many = generator().generate(prompts, greedy(9, 4));

    for (int i = 0; i < prompts.size(); i++) {
      assertThat(few.get(i).ids()).hasSizeLessThanOrEqualTo(3);
      assertThat(Arrays.copyOf(many.get(i).ids(), few.get(i).ids().length))
          .isEqualTo(few.get(i).ids());
    }
  }

  @Test
  void drawsRepeatWithTheirSeedInAnyBatchAndChangeWithIt() {
    Sampler seven = new Sampler(1, 0, 0.95, 7);
    List<String> first = generator().continueTexts(PROMPTS, new Settings(16, 4, seven));

    assertThat(generator().continueTexts(PROMPTS, new Settings(16, 4, seven))).isEqualTo(first);
    assertThat(generator().continueTexts(PROMPTS, new Settings(16, 2, seven))).isEqualTo(first);
    Sampler eight = new Sampler(1, 0, 0.95, 8);
    assertThat(generator().continueTexts(PROMPTS, new Settings(16, 4, eight))).isNotEqualTo(first);
  }

  @Test
  void aTextEndsAtTheEndOfTextTokenWhichIsNotPartOfIt() {
    // Fluent notes end by themselves, well before the limit.
    List<Completion> completions = generator().generate(ids(), greedy(200, 4));

    assertThat(completions).allMatch(Completion::ended);
    assertThat(completions)
        .allSatisfy(completion ->
            assertThat(completion.ids()).isNotEmpty().doesNotContain(toArray(model.endOfText())));
  }

  @Test
  void withoutRoomInTheContextAPromptIsRefused() {
    assertThatThrownBy(() -> generator().generate(ids(), greedy(1020, 4)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("context holds 1024");
  }

  @Test
  void anEmptyPromptIsRefused() {
    assertThatThrownBy(() -> generator().generate(List.of(new int[0]), greedy(4, 4)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("prompt 1 is empty");
  }

  @Test
  void aTokenizerOfAnotherModelIsRefused(@TempDir Path folder) throws IOException {
    try (Stream<Path> files = Files.list(MODEL)) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Path config = folder.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("1150", "1100"));

    assertThatThrownBy(() -> LanguageModel.open(backend, folder, new WeightFormat.AsStored()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("1149")
        .hasMessageContaining("vocab_size 1100");
  }

  private static Generator generator() {
    return new Generator(model);
  }

  private static List<int[]> ids() {
    return model.tokenizer().encodeAll(PROMPTS, true);
  }

  private static Settings greedy(int maxNewTokens, int batchSize) {
    return new Settings(maxNewTokens, batchSize, Sampler.greedy());
  }

  private static int[] toArray(Set<Integer> ids) {
    return ids.stream().mapToInt(Integer::intValue).toArray();
  }
}
