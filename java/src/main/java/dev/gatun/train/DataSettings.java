package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.data.DataFinding;
import dev.gatun.data.OverlongPolicy;
import dev.gatun.data.PackingStrategy;
import dev.gatun.text.AddedTokens;
import dev.gatun.train.SftConfig.Data;
import dev.gatun.train.SftConfig.Model;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The keys of the model and the data. One of the layers of [SftConfigBuilder], which has all keys.
public abstract sealed class DataSettings extends ChatSettings permits TrainingSettings {
  private @Nullable Path modelNameOrPath;
  private @Nullable Path tokenizerNameOrPath;
  private @Nullable Path adapterNameOrPath;
  private List<String> addedTokens = List.of();
  private List<String> addedSpecialTokens = List.of();
  private boolean loadIn4bit = false;
  private boolean useBnbNestedQuant = false;
  private String device = "auto";
  private List<Path> datasetPath = List.of();
  private List<Path> evalDatasetPath = List.of();
  private String datasetTextField = "text";
  private @Nullable Integer maxLength = 1024;
  private OverlongPolicy overlongPolicy = OverlongPolicy.ERROR;
  private boolean packing = false;
  private PackingStrategy packingStrategy = PackingStrategy.BFD;
  private @Nullable Boolean evalPacking;
  private boolean paddingFree = false;
  private @Nullable Boolean completionOnlyLoss;
  private boolean shuffleDataset = false;
  private List<DataFinding.Allowable> allowFindings = List.of();
  private @Nullable Path cacheDir;

  DataSettings() {}

  public SftConfigBuilder modelNameOrPath(Path value) {
    modelNameOrPath = value;
    return self();
  }

  public SftConfigBuilder tokenizerNameOrPath(@Nullable Path value) {
    tokenizerNameOrPath = value;
    return self();
  }

  public SftConfigBuilder adapterNameOrPath(@Nullable Path value) {
    adapterNameOrPath = value;
    return self();
  }

  public SftConfigBuilder addedTokens(List<String> value) {
    addedTokens = value;
    return self();
  }

  public SftConfigBuilder addedSpecialTokens(List<String> value) {
    addedSpecialTokens = value;
    return self();
  }

  public SftConfigBuilder loadIn4bit(boolean value) {
    loadIn4bit = value;
    return self();
  }

  public SftConfigBuilder useBnbNestedQuant(boolean value) {
    useBnbNestedQuant = value;
    return self();
  }

  public SftConfigBuilder device(String value) {
    device = value;
    return self();
  }

  public SftConfigBuilder datasetPath(Path... files) {
    datasetPath = List.of(files);
    return self();
  }

  public SftConfigBuilder evalDatasetPath(Path... files) {
    evalDatasetPath = List.of(files);
    return self();
  }

  public SftConfigBuilder datasetTextField(String value) {
    datasetTextField = value;
    return self();
  }

  public SftConfigBuilder maxLength(@Nullable Integer value) {
    maxLength = value;
    return self();
  }

  public SftConfigBuilder overlongPolicy(OverlongPolicy value) {
    overlongPolicy = value;
    return self();
  }

  public SftConfigBuilder packing(boolean value) {
    packing = value;
    return self();
  }

  public SftConfigBuilder packingStrategy(PackingStrategy value) {
    packingStrategy = value;
    return self();
  }

  public SftConfigBuilder evalPacking(@Nullable Boolean value) {
    evalPacking = value;
    return self();
  }

  public SftConfigBuilder paddingFree(boolean value) {
    paddingFree = value;
    return self();
  }

  public SftConfigBuilder completionOnlyLoss(@Nullable Boolean value) {
    completionOnlyLoss = value;
    return self();
  }

  public SftConfigBuilder shuffleDataset(boolean value) {
    shuffleDataset = value;
    return self();
  }

  public SftConfigBuilder allowFindings(List<DataFinding.Allowable> value) {
    allowFindings = value;
    return self();
  }

  public SftConfigBuilder cacheDir(@Nullable Path value) {
    cacheDir = value;
    return self();
  }

  final Model model() {
    return new Model(
        required(modelNameOrPath, "model_name_or_path"),
        tokenizerNameOrPath,
        adapterNameOrPath,
        new AddedTokens(addedTokens, addedSpecialTokens),
        loadIn4bit,
        useBnbNestedQuant,
        device);
  }

  final Data data() {
    return new Data(
        datasetPath,
        evalDatasetPath,
        datasetTextField,
        maxLength,
        overlongPolicy,
        packing,
        packingStrategy,
        evalPacking,
        paddingFree,
        completionOnlyLoss,
        shuffleDataset,
        allowFindings,
        cacheDir,
        isAssistantOnlyLoss(),
        chat());
  }

  static <T> T required(@Nullable T value, String key) {
    if (value == null) {
      throw new InputException(key + " is missing; every run needs it");
    }
    return value;
  }
}
