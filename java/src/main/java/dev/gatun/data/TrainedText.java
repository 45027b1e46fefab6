package dev.gatun.data;

import dev.gatun.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/// One sample as text, in pieces that are trained and pieces that are not.
public record TrainedText(List<Piece> pieces) {
  private static final int LONGEST_PIECE = 240;
  private static final int MOST_PIECES = 12;

  public record Piece(String text, boolean trained) {}

  /// Renders a piece of text that is trained.
  public interface Highlight {
    String apply(String text);
  }

  public TrainedText {
    pieces = List.copyOf(pieces);
  }

  /// Decodes a sample run by run of trained and other tokens. Nothing predicts a sample's first
  /// token, so it is never trained. A character whose bytes lie in two runs becomes U+FFFD in both.
  ///
  /// @param start position of the sample in `ids`
  /// @param end position after it
  public static TrainedText of(Tokenizer tokenizer, int[] ids, int[] labels, int start, int end) {
    List<Piece> pieces = new ArrayList<>();
    int from = start;
    while (from < end) {
      boolean trained = from > start && labels[from] != PackedBatch.IGNORE_INDEX;
      int to = from + 1;
      while (to < end && (labels[to] != PackedBatch.IGNORE_INDEX) == trained) {
        to++;
      }
      pieces.add(new Piece(tokenizer.decode(Arrays.copyOfRange(ids, from, to), false), trained));
      from = to;
    }
    return new TrainedText(pieces);
  }

  /// The same with the middles of long pieces left out, and at most the first dozen of them.
  TrainedText shortened() {
    return new TrainedText(pieces.stream().limit(MOST_PIECES).map(TrainedText::shortened).toList());
  }

  private static Piece shortened(Piece piece) {
    String text = piece.text();
    int points = text.codePointCount(0, text.length());
    if (points <= LONGEST_PIECE) {
      return piece;
    }
    int half = LONGEST_PIECE / 2;
    String head = text.substring(0, text.offsetByCodePoints(0, half));
    String tail = text.substring(text.offsetByCodePoints(text.length(), -half));
    return new Piece(head + " … " + tail, piece.trained());
  }

  /// The text with its trained pieces highlighted.
  public String marked(Highlight highlight) {
    return pieces.stream()
        .map(piece -> piece.trained() ? highlight.apply(piece.text()) : piece.text())
        .collect(Collectors.joining());
  }
}
