package dev.gatun.train;

import dev.gatun.data.DataFinding;
import dev.gatun.data.OverlongPolicy;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;

/// The keys of the model and the data.
final class DataKeys {
  private DataKeys() {}

  static void addTo(ConfigKeyList keys) {
    model(keys);
    data(keys);
    ChatKeys.addTo(keys);
  }

  private static void model(ConfigKeyList keys) {
    ConfigType<Path> path = ConfigType.path();
    keys.key(
        "model_name_or_path",
        path,
        SftConfigBuilder::modelNameOrPath,
        c -> c.model().modelNameOrPath());
    keys.nullable(
        "tokenizer_name_or_path",
        path,
        SftConfigBuilder::tokenizerNameOrPath,
        c -> c.model().tokenizerNameOrPath());
    keys.nullable(
        "adapter_name_or_path",
        path,
        SftConfigBuilder::adapterNameOrPath,
        c -> c.model().adapterNameOrPath());
    keys.nullable(
        "added_tokens",
        ConfigType.list(ConfigType.text()),
        (b, v) -> b.addedTokens(v == null ? List.of() : v),
        c -> c.model().addedTokens().ordinary());
    keys.nullable(
        "added_special_tokens",
        ConfigType.list(ConfigType.text()),
        (b, v) -> b.addedSpecialTokens(v == null ? List.of() : v),
        c -> c.model().addedTokens().special());
    keys.key(
        "load_in_4bit",
        ConfigType.bool(),
        SftConfigBuilder::loadIn4bit,
        c -> c.model().loadIn4bit());
    keys.key(
        "use_bnb_nested_quant",
        ConfigType.bool(),
        SftConfigBuilder::useBnbNestedQuant,
        c -> c.model().useBnbNestedQuant());
    keys.key("device", ConfigType.device(), SftConfigBuilder::device, c -> c.model().device());
  }

  private static void data(ConfigKeyList keys) {
    keys.key(
        "dataset_path",
        ConfigType.paths(),
        (b, v) -> b.datasetPath(v.toArray(Path[]::new)),
        c -> c.data().datasetPath());
    keys.nullable(
        "eval_dataset_path",
        NamedPaths.type(),
        (b, v) -> b.evalDatasets(v == null ? new LinkedHashMap<>() : v),
        c -> c.data().evalDatasets());
    keys.key(
        "dataset_text_field",
        ConfigType.text(),
        SftConfigBuilder::datasetTextField,
        c -> c.data().datasetTextField());
    keys.nullable(
        "max_length",
        ConfigType.integer(1),
        SftConfigBuilder::maxLength,
        c -> c.data().maxLength());
    keys.key(
        "overlong_policy",
        ConfigType.oneOf(OverlongPolicy.class),
        SftConfigBuilder::overlongPolicy,
        c -> c.data().overlongPolicy());
    keys.key("packing", ConfigType.bool(), SftConfigBuilder::packing, c -> c.data().packing());
    keys.key(
        "packing_strategy",
        ConfigType.packingStrategy(),
        SftConfigBuilder::packingStrategy,
        c -> c.data().packingStrategy());
    keys.nullable(
        "eval_packing",
        ConfigType.bool(),
        SftConfigBuilder::evalPacking,
        c -> c.data().evalPacking());
    keys.key(
        "padding_free",
        ConfigType.bool(),
        SftConfigBuilder::paddingFree,
        c -> c.data().paddingFree());
    keys.nullable(
        "completion_only_loss",
        ConfigType.bool(),
        SftConfigBuilder::completionOnlyLoss,
        c -> c.data().completionOnlyLoss());
    keys.key(
        "shuffle_dataset",
        ConfigType.bool(),
        SftConfigBuilder::shuffleDataset,
        c -> c.data().shuffleDataset());
    keys.key(
        "allow_findings",
        ConfigType.list(ConfigType.oneOf(DataFinding.Allowable.class)),
        SftConfigBuilder::allowFindings,
        c -> c.data().allowFindings());
    keys.nullable(
        "cache_dir", ConfigType.path(), SftConfigBuilder::cacheDir, c -> c.data().cacheDir());
  }
}
