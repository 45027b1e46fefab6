package dev.gatun.text;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.gatun.InputException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/// A checkpoint's tokenizer, run by the reference implementation behind JNI. Nothing is ever
/// truncated or padded, and nothing is fetched from a network. Text of special tokens inside the
/// input is recognised as those tokens, as the reference does.
///
/// Threads: every method may be called from any thread; [#close] waits for calls in progress, and
/// any later call throws [IllegalStateException].
///
/// The native library is unpacked once into the folder that the environment variable or system
/// property `ENGINE_CACHE_DIR` (or `DJL_CACHE_DIR`) names, by default `.djl.ai` in the home folder,
/// or the temporary folder if the home folder cannot be written.
public final class Tokenizer implements AutoCloseable {
  private static final long LARGEST_FILE_BYTES = 512L << 20;

  private final Path file;
  private final HuggingFaceTokenizer tokenizer;
  private final TokenizerFile vocabulary;
  private final SpecialTokens special;
  private final Changes changes;
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
  private boolean closed;

  private Tokenizer(
      Path file,
      HuggingFaceTokenizer tokenizer,
      TokenizerFile vocabulary,
      SpecialTokens special,
      Changes changes) {
    this.file = file;
    this.tokenizer = tokenizer;
    this.vocabulary = vocabulary;
    this.special = special;
    this.changes = changes;
  }

  /// What was added to a tokenizer when it was opened.
  ///
  /// @param tokens the new tokens; their ids follow one another
  /// @param firstId the id of the first; without new tokens the one it would have
  /// @param known tokens that the tokenizer had already
  /// @param files the texts of the files that differ for it, by name
  public record Changes(
      List<String> tokens, int firstId, List<String> known, Map<String, String> files) {
    public Changes {
      tokens = List.copyOf(tokens);
      known = List.copyOf(known);
      files = Map.copyOf(files);
    }
  }

  /// Opens a tokenizer. The caller closes it.
  ///
  /// @param path a checkpoint directory, or a `tokenizer.json`, whose neighbours
  ///   `tokenizer_config.json` and `special_tokens_map.json` name the special tokens
  /// @throws InputException if a file is missing or malformed
  public static Tokenizer open(Path path) {
    return open(path, AddedTokens.NONE);
  }

  /// Opens a tokenizer and adds tokens to it; those that it has already stay what they are. Its
  /// files do not change, see [#changes].
  ///
  /// @throws InputException if a file is missing or malformed, or a token cannot be added
  public static Tokenizer open(Path path, AddedTokens added) {
    Path file = Files.isDirectory(path) ? path.resolve("tokenizer.json") : path;
    if (!Files.isRegularFile(file)) {
      throw new InputException(
          Files.exists(path)
              ? file + " does not exist; a checkpoint needs its tokenizer.json beside config.json."
              : path
                  + " does not exist; checkpoints are folders here and never fetched from a hub.");
    }
    checkSize(file);
    JsonNode root = TokenizerFile.parse(file);
    TokenizerFile vocabulary = TokenizerFile.vocabulary(root, file);
    Path directory = file.toAbsolutePath().getParent();
    SpecialTokens special = directory == null ? SpecialTokens.NONE : SpecialTokens.read(directory);
    TokenizerExtension extension = TokenizerExtension.of(added, root, vocabulary, file);
    List<String> known =
        Stream.concat(added.ordinary().stream(), added.special().stream())
            .filter(vocabulary.ids()::containsKey)
            .toList();
    if (extension.added().isEmpty()) {
      Changes none = new Changes(List.of(), vocabulary.largestId() + 1, known, Map.of());
      return new Tokenizer(file, load(file, root), vocabulary, special, none);
    }
    JsonNode extended = extension.tokenizer(root);
    Map<String, String> files =
        new HashMap<>(directory == null ? Map.of() : extension.neighbours(directory));
    files.put("tokenizer.json", TokenizerExtension.text(extended));
    Changes changes =
        new Changes(
            extension.added().stream().map(TokenizerExtension.Added::content).toList(),
            extension.added().getFirst().id(),
            known,
            files);
    Tokenizer tokenizer =
        new Tokenizer(
            file,
            load(file, extended, files.get("tokenizer.json")),
            TokenizerFile.vocabulary(extended, file),
            special,
            changes);
    try {
      extension.added().forEach(tokenizer::requireWhole);
      return tokenizer;
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  /// A token that the library splits or numbers otherwise would be trained under another id.
  private void requireWhole(TokenizerExtension.Added token) {
    int[] ids = encode(token.content(), false);
    if (!Arrays.equals(ids, new int[] {token.id()})) {
      throw new InputException(
          "added_tokens: %s does not take `%s` as one token; choose another text for it"
              .formatted(file, token.content()));
    }
  }

  private static void checkSize(Path file) {
    try {
      if (Files.size(file) > LARGEST_FILE_BYTES) {
        throw new InputException(file + " is larger than 512 MiB, which no tokenizer is.");
      }
    } catch (IOException e) {
      throw new InputException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static HuggingFaceTokenizer load(Path file, JsonNode root) {
    return load(file, root, null);
  }

  /// @param text what is loaded instead of the file's content, or null
  private static HuggingFaceTokenizer load(Path file, JsonNode root, @Nullable String text) {
    stayOffline();
    Map<String, String> options =
        Map.of(
            "truncation", "DO_NOT_TRUNCATE", "padding", "DO_NOT_PAD", "addSpecialTokens", "false");
    try (InputStream in =
        text == null
            ? Files.newInputStream(file)
            : new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8))) {
      return HuggingFaceTokenizer.newInstance(in, options);
    } catch (IOException e) {
      throw new InputException(file + " cannot be read: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      String type = TokenizerFile.unknownType(root);
      String reason = type != null ? type : String.valueOf(e.getMessage());
      throw new InputException(file + " is not a usable tokenizer: " + reason, e);
    }
  }

  /// The library looks these up at first use. Without the flavour it would try to download a CUDA
  /// build on a machine with a GPU.
  private static void stayOffline() {
    System.setProperty("ai.djl.offline", "true");
    System.setProperty("RUST_FLAVOR", "cpu");
    boolean named =
        Stream.of("ENGINE_CACHE_DIR", "DJL_CACHE_DIR")
            .anyMatch(name -> System.getenv(name) != null || System.getProperty(name) != null);
    Path home = Path.of(System.getProperty("user.home", "/"));
    if (!named && !Files.isWritable(home)) {
      Path temporary = Path.of(System.getProperty("java.io.tmpdir"), "gatun-native");
      System.setProperty("ENGINE_CACHE_DIR", temporary.toString());
    }
  }

  /// Token ids of a text.
  ///
  /// @param addSpecialTokens whether the tokenizer's post-processor runs (it adds BOS for Llama,
  ///   for example)
  /// @throws InputException if the text holds an unpaired surrogate, which is no character
  public int[] encode(String text, boolean addSpecialTokens) {
    checkSurrogates(text);
    return locked(() -> ids(text, addSpecialTokens));
  }

  /// Straight to the library: ids alone, without the strings and spans of every token.
  private int[] ids(String text, boolean addSpecialTokens) {
    try {
      long encoding = TokenizersLibrary.LIB.encode(tokenizer.getHandle(), text, addSpecialTokens);
      try {
        return narrow(TokenizersLibrary.LIB.getTokenIds(encoding));
      } finally {
        TokenizersLibrary.LIB.deleteEncoding(encoding);
      }
    } catch (RuntimeException e) {
      throw new InputException(file + " cannot tokenise a text: " + e.getMessage(), e);
    }
  }

  /// Token ids and the code points that each token covers.
  ///
  /// @throws InputException if the text holds an unpaired surrogate
  public Encoded encodeWithOffsets(String text, boolean addSpecialTokens) {
    checkSurrogates(text);
    Encoding encoding = locked(() -> tokenizer.encode(text, addSpecialTokens, false));
    @Nullable CharSpan[] spans = encoding.getCharTokenSpans();
    int[] starts = new int[spans.length];
    int[] ends = new int[spans.length];
    for (int i = 0; i < spans.length; i++) {
      CharSpan span = spans[i];
      if (span != null) {
        starts[i] = span.getStart();
        ends[i] = span.getEnd();
      }
    }
    return new Encoded(narrow(encoding.getIds()), starts, ends);
  }

  /// Token ids of many texts, in their order, tokenised on all processors.
  public List<int[]> encodeAll(List<String> texts, boolean addSpecialTokens) {
    return IntStream.range(0, texts.size())
        .parallel()
        .mapToObj(i -> encode(texts.get(i), addSpecialTokens))
        .toList();
  }

  /// The text of token ids. Bytes that form no character become U+FFFD.
  ///
  /// @param skipSpecialTokens whether special tokens are left out
  /// @throws InputException if an id is negative
  public String decode(int[] ids, boolean skipSpecialTokens) {
    long[] wide = new long[ids.length];
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] < 0) {
        throw new InputException("Token id %d at position %d is negative.".formatted(ids[i], i));
      }
      wide[i] = ids[i];
    }
    return locked(
        () -> TokenizersLibrary.LIB.decode(tokenizer.getHandle(), wide, skipSpecialTokens));
  }

  /// The id of a token given as the vocabulary spells it (`Ġthe`, `<|im_end|>`).
  public OptionalInt tokenId(String token) {
    Integer id = vocabulary.ids().get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /// What was added when this was opened.
  public Changes changes() {
    return changes;
  }

  /// Whether an id is that of a token which text is searched for before anything else: marks of
  /// turns and texts are such tokens.
  public boolean isAdded(int id) {
    return vocabulary.added().contains(id);
  }

  /// Number of tokens, added tokens included.
  public int vocabularySize() {
    return vocabulary.ids().size();
  }

  /// The largest id that [#encode] can return. A model needs more embedding rows than this.
  public int largestTokenId() {
    return vocabulary.largestId();
  }

  /// Text of the end-of-sequence token, if the tokenizer names one.
  public Optional<String> eosToken() {
    return Optional.ofNullable(special.eos());
  }

  /// Text of the beginning-of-sequence token.
  public Optional<String> bosToken() {
    return Optional.ofNullable(special.bos());
  }

  /// Text of the padding token.
  public Optional<String> padToken() {
    return Optional.ofNullable(special.pad());
  }

  /// Text of the unknown token.
  public Optional<String> unknownToken() {
    return Optional.ofNullable(special.unknown());
  }

  /// Every special token that the tokenizer names, by its key: `bos_token`, `eos_token`,
  /// `unk_token`, `sep_token`, `pad_token`, `cls_token`, `mask_token`.
  public Map<String, String> specialTokens() {
    return special.named();
  }

  /// The folder that the tokenizer was read from.
  public Path directory() {
    Path directory = file.toAbsolutePath().getParent();
    return directory == null ? Path.of("") : directory;
  }

  /// Id of the end-of-sequence token, empty if there is none or it is not in the vocabulary.
  public OptionalInt eosTokenId() {
    return id(special.eos());
  }

  /// Id of the beginning-of-sequence token.
  public OptionalInt bosTokenId() {
    return id(special.bos());
  }

  /// Id of the padding token.
  public OptionalInt padTokenId() {
    return id(special.pad());
  }

  private OptionalInt id(@Nullable String token) {
    return token == null ? OptionalInt.empty() : tokenId(token);
  }

  /// The files that determine what this tokenizer does, for cache keys and manifests.
  public List<Path> files() {
    Path directory = file.toAbsolutePath().getParent();
    if (directory == null) {
      return List.of(file);
    }
    return Stream.of(
            file,
            directory.resolve("tokenizer_config.json"),
            directory.resolve("special_tokens_map.json"))
        .filter(Files::isRegularFile)
        .toList();
  }

  /// Frees the native tokenizer. Closing twice does nothing.
  @Override
  public void close() {
    Lock write = lock.writeLock();
    write.lock();
    try {
      if (!closed) {
        closed = true;
        tokenizer.close();
      }
    } finally {
      write.unlock();
    }
  }

  private <T> T locked(Supplier<T> call) {
    Lock read = lock.readLock();
    read.lock();
    try {
      if (closed) {
        throw new IllegalStateException("The tokenizer " + file + " is closed.");
      }
      return call.get();
    } finally {
      read.unlock();
    }
  }

  /// JNI would turn the whole text into replacement characters without a word.
  private static void checkSurrogates(String text) {
    for (int i = 0; i < text.length(); i++) {
      char unit = text.charAt(i);
      if (!Character.isSurrogate(unit)) {
        continue;
      }
      boolean paired =
          Character.isHighSurrogate(unit)
              && i + 1 < text.length()
              && Character.isLowSurrogate(text.charAt(i + 1));
      if (!paired) {
        throw new InputException(
            "The text holds an unpaired surrogate (\\u%04x) at UTF-16 unit %d; it is no character."
                .formatted((int) unit, i));
      }
      i++;
    }
  }

  private static int[] narrow(long[] ids) {
    return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
  }
}
