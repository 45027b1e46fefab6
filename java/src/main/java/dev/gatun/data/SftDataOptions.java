package dev.gatun.data;

import dev.gatun.InputException;
import org.jspecify.annotations.Nullable;

/// How a dataset becomes training rows. Names and meaning are those of TRL's `SFTConfig`.
///
/// @param datasetTextField column of plain text (`dataset_text_field`)
/// @param maxLength longest row in tokens and, when packing, the size of a packed row; null: no
///   limit
/// @param packing whether several rows are put into one
/// @param packingStrategy how rows are packed
/// @param completionOnlyLoss whether only completions are trained; null: true if the data has
///   prompts and completions
/// @param assistantOnlyLoss whether only assistant turns are trained; conversations only
/// @param shuffleDataset whether rows are shuffled before packing
/// @param seed seed of that shuffle
/// @param paddingFree TRL's `padding_free`. Batches of this engine never hold padding, so it
///   changes no number; it is checked as TRL checks it
/// @param overlong what happens to a row of more than `maxLength` tokens
/// @param chat how conversations become rows
public record SftDataOptions(
    String datasetTextField,
    @Nullable Integer maxLength,
    boolean packing,
    PackingStrategy packingStrategy,
    @Nullable Boolean completionOnlyLoss,
    boolean assistantOnlyLoss,
    boolean shuffleDataset,
    long seed,
    boolean paddingFree,
    OverlongPolicy overlong,
    ChatOptions chat) {

  /// Whether a sample may hold parts of several source rows.
  public boolean isWrapped() {
    return packing && packingStrategy == PackingStrategy.WRAPPED;
  }

  public SftDataOptions {
    if (maxLength != null && maxLength < 1) {
      throw new InputException("max_length must be at least 1, or null for no limit.");
    }
    if (packing && maxLength == null) {
      throw new InputException("packing needs max_length, the size of a packed row.");
    }
    if (shuffleDataset && seed < 0) {
      throw new InputException("shuffle_dataset needs a seed that is not negative.");
    }
    TrainOn trainOn = chat.trainOn();
    if (trainOn != null && (completionOnlyLoss != null || assistantOnlyLoss)) {
      throw new InputException(
          "train_on says what completion_only_loss and assistant_only_loss say; set only one of"
              + " them.");
    }
    if (paddingFree && !packing && maxLength != null) {
      throw new InputException(
          "padding_free without packing does not enforce max_length; set max_length to null, or"
              + " packing to true.");
    }
  }

  /// Whether of conversations nothing but turns of the assistant is trained.
  boolean assistantOnly() {
    TrainOn trainOn = chat.trainOn();
    return trainOn == TrainOn.ASSISTANT || trainOn == TrainOn.LAST_ASSISTANT || assistantOnlyLoss;
  }

  /// TRL's defaults, with the stricter treatment of over-long rows: an error, not silent
  /// truncation.
  public static SftDataOptions defaults() {
    return new SftDataOptions(
        "text",
        1024,
        false,
        PackingStrategy.BFD,
        null,
        false,
        false,
        42,
        false,
        OverlongPolicy.ERROR,
        ChatOptions.defaults());
  }

  /// The same with another text column.
  public SftDataOptions withDatasetTextField(String value) {
    return new SftDataOptions(
        value,
        maxLength,
        packing,
        packingStrategy,
        completionOnlyLoss,
        assistantOnlyLoss,
        shuffleDataset,
        seed,
        paddingFree,
        overlong,
        chat);
  }

  /// The same with another length limit and policy.
  public SftDataOptions withMaxLength(@Nullable Integer value, OverlongPolicy policy) {
    return new SftDataOptions(
        datasetTextField,
        value,
        packing,
        packingStrategy,
        completionOnlyLoss,
        assistantOnlyLoss,
        shuffleDataset,
        seed,
        paddingFree,
        policy,
        chat);
  }

  /// The same, packed.
  public SftDataOptions withPacking(PackingStrategy strategy) {
    return new SftDataOptions(
        datasetTextField,
        maxLength,
        true,
        strategy,
        completionOnlyLoss,
        assistantOnlyLoss,
        shuffleDataset,
        seed,
        paddingFree,
        overlong,
        chat);
  }

  /// The same with an explicit choice of what is trained.
  public SftDataOptions withCompletionOnlyLoss(@Nullable Boolean value) {
    return new SftDataOptions(
        datasetTextField,
        maxLength,
        packing,
        packingStrategy,
        value,
        assistantOnlyLoss,
        shuffleDataset,
        seed,
        paddingFree,
        overlong,
        chat);
  }

  /// The same with rows shuffled before packing.
  public SftDataOptions withShuffle(long shuffleSeed) {
    return new SftDataOptions(
        datasetTextField,
        maxLength,
        packing,
        packingStrategy,
        completionOnlyLoss,
        assistantOnlyLoss,
        true,
        shuffleSeed,
        paddingFree,
        overlong,
        chat);
  }

  /// The same with another treatment of conversations.
  public SftDataOptions withChat(ChatOptions value) {
    return new SftDataOptions(
        datasetTextField,
        maxLength,
        packing,
        packingStrategy,
        completionOnlyLoss,
        assistantOnlyLoss,
        shuffleDataset,
        seed,
        paddingFree,
        overlong,
        value);
  }

  /// The same with only the assistant's turns trained, or not.
  public SftDataOptions withAssistantOnlyLoss(boolean value) {
    return new SftDataOptions(
        datasetTextField,
        maxLength,
        packing,
        packingStrategy,
        completionOnlyLoss,
        value,
        shuffleDataset,
        seed,
        paddingFree,
        overlong,
        chat);
  }
}
