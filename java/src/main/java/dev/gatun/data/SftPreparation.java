package dev.gatun.data;

import dev.gatun.InputException;
import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/// Makes training rows of a dataset in TRL's order: tokenise, label, cut to `max_length`, drop rows
/// without any trained token, shuffle, pack. When packing, rows without a trained token are dropped
/// before the cut, which then belongs to packing.
///
/// Rows are read in blocks, and a block is tokenised on all processors; the result does not depend
/// on their number.
public final class SftPreparation {
  private static final int BLOCK_ROWS = 2048;

  private final Tokenizer tokenizer;
  private final SftDataOptions options;
  private final PreparationCounts counts;
  private final List<int[]> ids = new ArrayList<>();
  private final List<int[]> labels = new ArrayList<>();
  private final Map<String, Integer> files = new LinkedHashMap<>();
  private final List<Integer> fileOf = new ArrayList<>();
  private final List<Integer> numbers = new ArrayList<>();
  private final LongStream.Builder fingerprints = LongStream.builder();
  private String unit = "row";

  private SftPreparation(Tokenizer tokenizer, SftDataOptions options) {
    this.tokenizer = tokenizer;
    this.options = options;
    this.counts = new PreparationCounts(tokenizer);
  }

  /// Prepares a dataset on the heap. See [TokenCache#prepare] for one that is kept on disk.
  ///
  /// @throws InputException if the data is malformed, empty, or leaves nothing to train
  public static PreparedDataset prepare(
      Dataset dataset, Tokenizer tokenizer, SftDataOptions options) {
    return prepareOnHeap(dataset, tokenizer, options);
  }

  static HeapRows prepareOnHeap(Dataset dataset, Tokenizer tokenizer, SftDataOptions options) {
    SftPreparation preparation = new SftPreparation(tokenizer, options);
    preparation.readAll(dataset);
    return preparation.assemble(describe(dataset));
  }

  static String describe(Dataset dataset) {
    return dataset.files().stream().map(Object::toString).collect(Collectors.joining(", "));
  }

  private void readAll(Dataset dataset) {
    try (RowReader reader = dataset.reader()) {
      Row first = reader.next();
      if (first == null) {
        throw new InputException(describe(dataset) + " has no rows.");
      }
      ExampleReader examples = new ExampleReader(first, options);
      ExampleTokeniser tokeniser = new ExampleTokeniser(tokenizer, options, examples.kind());
      counts.endOfTurn(tokeniser.endOfTurn(examples.read(first)));
      List<Row> block = new ArrayList<>();
      for (Row row = first; row != null; row = reader.next()) {
        block.add(row);
        if (block.size() == BLOCK_ROWS) {
          take(block, examples, tokeniser);
          block.clear();
        }
      }
      take(block, examples, tokeniser);
    }
    Integer maxLength = options.maxLength();
    boolean failing = options.overlong() == OverlongPolicy.ERROR;
    if (maxLength != null && failing && counts.overlongRows() > 0) {
      throw new InputException(counts.tooLong(maxLength));
    }
  }

  private void take(List<Row> block, ExampleReader examples, ExampleTokeniser tokeniser) {
    List<SftExample> read = block.stream().map(examples::read).toList();
    List<ExampleTokeniser.Tokens> tokenised = tokenise(read, block, tokeniser);
    for (int i = 0; i < block.size(); i++) {
      take(block.get(i), read.get(i), tokenised.get(i));
    }
  }

  private static List<ExampleTokeniser.Tokens> tokenise(
      List<SftExample> examples, List<Row> block, ExampleTokeniser tokeniser) {
    IntFunction<ExampleTokeniser.Tokens> row =
        i -> tokeniser.tokenise(examples.get(i), block.get(i));
    try {
      return IntStream.range(0, block.size()).parallel().mapToObj(row).toList();
    } catch (InputException any) {
      // In order, so that of several bad rows the first is named, whichever thread met one before.
      return IntStream.range(0, block.size()).mapToObj(row).toList();
    }
  }

  private void take(Row row, SftExample example, ExampleTokeniser.Tokens tokens) {
    counts.read(tokens);
    int[] rowIds = tokens.ids();
    int[] rowLabels = tokens.labels();
    boolean trained = hasLabel(rowLabels);
    if (options.packing() && !trained) {
      counts.droppedMasked(row, why(example, rowIds));
      return;
    }
    Integer maxLength = options.maxLength();
    boolean limited = !options.packing() || options.packingStrategy() == PackingStrategy.BFD;
    if (maxLength != null && limited && rowIds.length > maxLength) {
      counts.overlong(row);
      if (options.overlong() == OverlongPolicy.DROP) {
        counts.droppedOverlong();
        return;
      }
      counts.truncated(rowIds.length - maxLength);
      boolean shared = rowIds == rowLabels;
      rowIds = Arrays.copyOf(rowIds, maxLength);
      rowLabels = shared ? rowIds : Arrays.copyOf(rowLabels, maxLength);
    }
    if (!options.packing() && !hasLabel(rowLabels)) {
      if (trained) {
        counts.droppedCut(row);
      } else {
        counts.droppedMasked(row, why(example, rowIds));
      }
      return;
    }
    fingerprints.add(Fingerprints.of(tokens.ids()));
    keep(row, rowIds, rowLabels);
  }

  private String why(SftExample example, int[] rowIds) {
    return NothingTrained.why(example, rowIds, tokenizer, options.chat().responsePart());
  }

  private void keep(Row row, int[] rowIds, int[] rowLabels) {
    counts.kept(rowLabels);
    ids.add(rowIds);
    labels.add(rowLabels);
    unit = row.unit();
    fileOf.add(files.computeIfAbsent(row.file(), _ -> files.size()));
    numbers.add(Math.toIntExact(row.number()));
  }

  private static boolean hasLabel(int[] labels) {
    for (int label : labels) {
      if (label != PackedBatch.IGNORE_INDEX) {
        return true;
      }
    }
    return false;
  }

  private HeapRows assemble(String data) {
    if (ids.isEmpty()) {
      throw new InputException(counts.nothingLeft(data));
    }
    int[] order =
        options.shuffleDataset()
            ? NumpyGenerator.permutation(options.seed(), ids.size())
            : SampleOrder.sequential(ids.size());
    RowAssembly assembly = new RowAssembly(this::idsOf, this::labelsOf, order);
    Integer maxLength = options.maxLength();
    RowSources sources = sources();
    HeapRows rows =
        options.packing() && maxLength != null
            ? assembly.packed(maxLength, options.packingStrategy(), sources)
            : assembly.plain(sources);
    return rows.withReport(counts.report(rows, figures(order, sources), ids.size()));
  }

  private DataFigures figures(int[] order, RowSources sources) {
    Integer maxLength = options.maxLength();
    int[] lengths = Arrays.stream(order).map(row -> ids.get(row).length).toArray();
    Fingerprints.Repeats repeats =
        Fingerprints.repeats(
            Arrays.stream(sources.fingerprints()).flatMapToLong(Arrays::stream).toArray());
    if (repeats != null) {
      counts.repeated(
          repeats.count(), sources.describe(repeats.first()), sources.describe(repeats.original()));
    }
    return counts.figures(
        maxLength == null
            ? null
            : DataFigures.Packing.of(lengths, maxLength, options.packingStrategy()),
        TrainedText.of(tokenizer, ids.getFirst(), labels.getFirst(), 0, ids.getFirst().length)
            .shortened());
  }

  private int[] idsOf(int row) {
    return ids.get(row);
  }

  private int[] labelsOf(int row) {
    return labels.get(row);
  }

  private RowSources sources() {
    int[][] single = numbers.stream().map(number -> new int[] {number}).toArray(int[][]::new);
    int[][] file = fileOf.stream().map(index -> new int[] {index}).toArray(int[][]::new);
    long[][] prints = fingerprints.build().mapToObj(f -> new long[] {f}).toArray(long[][]::new);
    return new RowSources(List.copyOf(files.keySet()), unit, single, file, prints);
  }
}
