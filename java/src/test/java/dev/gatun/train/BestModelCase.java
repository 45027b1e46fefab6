package dev.gatun.train;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A run of transformers' trainer with given evaluations, see `best-model/generate.py`.
///
/// @param rows of the training set; each is a batch
record BestModelCase(JsonNode node, int rows) {
  static List<BestModelCase> all() {
    try (InputStream file =
        Objects.requireNonNull(BestModelCase.class.getResourceAsStream("best-model/cases.json"))) {
      JsonNode root = JsonMapper.shared().readTree(file);
      List<BestModelCase> cases = new ArrayList<>();
      root.path("cases")
          .forEach(node -> cases.add(new BestModelCase(node, root.path("rows").intValue())));
      return cases;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  String name() {
    return node.path("name").stringValue();
  }

  /// The configuration: the trainer's arguments are keys here.
  SftConfig config(Path model, Path data, Path output) {
    StringBuilder yaml = new StringBuilder();
    yaml.append("model_name_or_path: %s\n".formatted(model));
    yaml.append("dataset_path: %s\n".formatted(data));
    yaml.append("eval_dataset_path: %s\n".formatted(data));
    yaml.append("output_dir: %s\n".formatted(output));
    yaml.append("per_device_train_batch_size: 1\n");
    JsonNode arguments = node.path("arguments");
    for (String key : arguments.propertyNames()) {
      yaml.append("%s: %s\n".formatted(key, arguments.path(key)));
    }
    if (!node.path("patience").isNull()) {
      yaml.append("early_stopping_patience: %s\n".formatted(node.path("patience")));
      yaml.append("early_stopping_threshold: %s\n".formatted(node.path("threshold")));
    }
    return SftConfigReader.parse(name(), yaml.toString(), List.of()).config();
  }

  Stream<JsonNode> events() {
    return node.path("events").valueStream();
  }

  /// What the trainer's state says when training is over.
  JsonNode end() {
    return node.path("end");
  }

  /// `evaluation N` and `save N`, in order.
  List<String> schedule() {
    return events()
        .map(event ->
            String.format(
                Locale.ROOT,
                "%s %d",
                event.path("kind").stringValue(),
                event.path("step").intValue()))
        .toList();
  }

  /// Updates made.
  int steps() {
    return node.path("steps").intValue();
  }

  boolean isStoppedEarly() {
    JsonNode limit = node.path("arguments").path("max_steps");
    int updates =
        limit.isMissingNode()
            ? rows * node.path("arguments").path("num_train_epochs").intValue()
            : limit.intValue();
    return steps() < updates;
  }

  /// Name of the checkpoint whose model the trainer ended with; null for that of the last update.
  @Nullable String loaded() {
    return node.path("loaded").stringValueOpt().orElse(null);
  }

  @Override
  public String toString() {
    return name();
  }
}
