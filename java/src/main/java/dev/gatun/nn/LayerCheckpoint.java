package dev.gatun.nn;

/// What is kept of one decoder layer between forward and backward, and where. What is missing is
/// computed again.
public record LayerCheckpoint(Extent extent, Place place) {
  /// Everything, where it was made.
  public static final LayerCheckpoint WHOLE = new LayerCheckpoint(Extent.ALL, Place.DEVICE);

  /// How much is kept, each with what those before it keep.
  public enum Extent {
    /// The layer's input. The layer runs again but for its last product.
    INPUT("input"),
    /// The output of attention with its logarithms of sums, and the input of the second half: no
    /// attention and no output product again.
    ATTENTION("input and attention"),
    /// Queries, keys and values: the second half's first products alone run again.
    PROJECTIONS("input, attention and projections"),
    /// Everything that backward reads.
    ALL("everything");

    private final String description;

    Extent(String description) {
      this.description = description;
    }
  }

  /// Where it is kept. Inner products of low-rank updates, a few numbers a token, stay on the
  /// device.
  public enum Place {
    DEVICE,
    /// Host memory: copied out beside the layers that follow, and back beside the backward pass of
    /// those above.
    HOST
  }

  /// In a few words: `input and attention in host memory`.
  @Override
  public String toString() {
    return extent.description + (place == Place.HOST ? " in host memory" : "");
  }
}
