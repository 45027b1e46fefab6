package dev.gatun.data;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a dataset is like, whatever becomes of it.
///
/// @param lengths of the source rows, before any cut
/// @param packing what packing does, or would do, with the rows that are kept; null without
///   `max_length`
/// @param repeatedRows kept source rows whose tokens are those of an earlier one
/// @param untrained why source rows have no trained token
/// @param ending the token that trained rows most often end with; null if no row has a trained
///   token
/// @param turnEnd the token with which the chat template ends an assistant's turn, at which
///   generation with the template stops; null without one
/// @param sample the first kept row, shortened; null if there is none
public record DataFigures(
    LengthFigures lengths,
    @Nullable Packing packing,
    long repeatedRows,
    Untrained untrained,
    @Nullable Ending ending,
    @Nullable TurnEnd turnEnd,
    @Nullable TrainedText sample) {

  /// What packing does with rows.
  ///
  /// @param rows rows before packing
  /// @param packedRows rows after it
  /// @param packedTokens tokens in those
  /// @param capacity tokens that one packed row has room for
  public record Packing(long rows, long packedRows, long packedTokens, int capacity) {
    static Packing of(int[] lengths, int capacity, PackingStrategy strategy) {
      List<List<Packer.Piece>> bins = Packer.pack(lengths, capacity, strategy);
      long tokens = 0;
      for (List<Packer.Piece> bin : bins) {
        for (Packer.Piece piece : bin) {
          tokens += piece.length();
        }
      }
      return new Packing(lengths.length, bins.size(), tokens, capacity);
    }

    /// Share of the room in packed rows that tokens fill.
    public double filled() {
      return packedRows == 0 ? 0 : (double) packedTokens / packedRows / capacity;
    }
  }

  /// Source rows that are left out since they have no trained token.
  ///
  /// @param masked nothing of them was to be trained: no assistant turn, an empty completion, no
  ///   response part, no token at all
  /// @param cut what was to be trained lies beyond `max_length`
  public record Untrained(long masked, long cut) {}

  /// A token that trained rows end with: what the model learns to say last.
  ///
  /// @param token as the tokenizer decodes it
  /// @param rows in how many kept rows the last trained token is this one
  public record Ending(int id, String token, long rows) {}

  /// A token that ends turns.
  ///
  /// @param token as the tokenizer decodes it
  /// @param rows in how many kept rows it is trained
  public record TurnEnd(int id, String token, long rows) {}

  /// Figures of a dataset that was not prepared from rows.
  static DataFigures none() {
    return new DataFigures(
        LengthFigures.of(new int[0]), null, 0, new Untrained(0, 0), null, null, null);
  }
}
