package dev.gatun.train;

import dev.gatun.data.TrainOn;

/// The keys of conversations and of what is trained in them.
final class ChatKeys {
  private ChatKeys() {}

  static void addTo(ConfigKeyList keys) {
    keys.key(
        "assistant_only_loss",
        ConfigType.bool(),
        SftConfigBuilder::assistantOnlyLoss,
        c -> c.data().assistantOnlyLoss());
    keys.nullable(
        "train_on",
        ConfigType.oneOf(TrainOn.class),
        SftConfigBuilder::trainOn,
        c -> c.data().chat().trainOn());
    keys.nullable(
        "chat_template_path",
        ConfigType.path(),
        SftConfigBuilder::chatTemplatePath,
        c -> c.data().chat().templatePath());
    keys.nullable(
        "instruction_part",
        ConfigType.text(),
        SftConfigBuilder::instructionPart,
        c -> c.data().chat().instructionPart());
    keys.nullable(
        "response_part",
        ConfigType.text(),
        SftConfigBuilder::responsePart,
        c -> c.data().chat().responsePart());
    keys.key(
        "role_mapping",
        ConfigType.map(ConfigType.text()),
        SftConfigBuilder::roleMapping,
        c -> c.data().chat().roleMapping());
  }
}
