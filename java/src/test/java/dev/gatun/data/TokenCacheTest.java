package dev.gatun.data;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenCacheTest {
  @TempDir Path directory;
  private Tokenizer tokenizer;
  private Path cache;
  private Path data;

  @BeforeEach
  void open() throws IOException {
    tokenizer = Tokenizer.open(Fixtures.tokenizer(directory));
    cache = directory.resolve("cache");
    data = directory.resolve("d.jsonl");
    Random random = new Random(5);
    Files.writeString(
        data,
        IntStream.range(0, 5000)
            .mapToObj(i -> "{\"text\":\"%s</s>\"}\n".formatted("a ".repeat(random.nextInt(30))))
            .collect(Collectors.joining()));
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  private PreparedDataset prepare(SftDataOptions options) {
    return TokenCache.prepare(Dataset.open(data), tokenizer, options, cache);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(cache)) {
      return files.sorted().toList();
    }
  }

  private static void assertSame(PreparedDataset actual, PreparedDataset expected) {
    assertThat(actual.size()).isEqualTo(expected.size());
    for (int row = 0; row < expected.size(); row++) {
      assertThat(actual.inputIds(row)).isEqualTo(expected.inputIds(row));
      assertThat(actual.labels(row)).isEqualTo(expected.labels(row));
      assertThat(actual.sequenceLengths(row)).isEqualTo(expected.sequenceLengths(row));
      assertThat(actual.source(row)).isEqualTo(expected.source(row));
      assertThat(actual.length(row)).isEqualTo(expected.length(row));
    }
    assertThat(actual.report()).isEqualTo(expected.report());
  }

  @Test
  void mappedRowsAreThePreparedOnes() throws IOException {
    for (SftDataOptions options :
        List.of(
            SftDataOptions.defaults(),
            SftDataOptions.defaults()
                .withMaxLength(64, OverlongPolicy.ERROR)
                .withPacking(PackingStrategy.BFD))) {
      PreparedDataset fresh = SftPreparation.prepare(Dataset.open(data), tokenizer, options);
      try (PreparedDataset first = prepare(options);
          PreparedDataset second = prepare(options)) {
        assertThat(first).isInstanceOf(MappedRows.class);
        assertSame(first, fresh);
        assertSame(second, fresh);
      }
    }
    assertThat(files()).hasSize(2);
  }

  @Test
  void everythingThatMattersChangesTheKey() throws IOException {
    SftDataOptions options = SftDataOptions.defaults();
    prepare(options).close();
    prepare(options.withMaxLength(512, OverlongPolicy.ERROR)).close();
    Files.writeString(data, Files.readString(data) + "{\"text\":\"b\"}\n");
    prepare(options).close();
    Files.writeString(directory.resolve("tokenizer_config.json"), "{\"eos_token\": \"a\"}");
    prepare(options).close();
    assertThat(files()).hasSize(4);
  }

  @Test
  void aDamagedFileIsMadeAgain() throws IOException {
    SftDataOptions options = SftDataOptions.defaults();
    prepare(options).close();
    Path file = files().getFirst();
    byte[] good = Files.readAllBytes(file);
    PreparedDataset fresh = SftPreparation.prepare(Dataset.open(data), tokenizer, options);
    Random random = new Random(9);
    for (int trial = 0; trial < 12; trial++) {
      byte[] bad = good.clone();
      if (trial < 3) {
        bad = Arrays.copyOf(good, good.length * trial / 3);
      } else {
        // The footer and the numbers: bytes of padding may change unnoticed.
        int position = trial % 2 == 0 ? good.length - 11 - random.nextInt(200) : good.length / 3;
        bad[position] ^= (byte) (1 + random.nextInt(255));
      }
      Files.write(file, bad);
      try (PreparedDataset again = prepare(options)) {
        assertThat(again.size()).isEqualTo(fresh.size());
        for (int row = 0; row < fresh.size(); row += 7) {
          assertThat(again.inputIds(row)).isEqualTo(fresh.inputIds(row));
          assertThat(again.labels(row)).isEqualTo(fresh.labels(row));
        }
        if (trial < 3) {
          assertThat(again.report().notices()).anyMatch(notice -> notice.contains("made again"));
        }
      }
      assertThat(files()).hasSize(1);
    }
  }

  @Test
  void anUnusableFolderCostsOnlyTheCache() throws IOException {
    Files.writeString(cache, "a file, not a folder");
    try (PreparedDataset rows = prepare(SftDataOptions.defaults())) {
      assertThat(rows.size()).isEqualTo(5000);
      assertThat(rows.report().notices()).anyMatch(notice -> notice.contains("not cached"));
    }
  }
}
