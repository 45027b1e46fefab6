package dev.gatun.train;

import dev.gatun.InputException;
import dev.gatun.train.ConfigValue.Mapping;
import dev.gatun.train.ConfigValue.Scalar;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// The defaults of other trainers, as configurations that the user's own keys are laid over. Every
/// key in which a default could change a run is spelled out, so that a preset stays what it is when
/// a default here changes.
///
/// Source: `SFTConfig`, `ModelConfig` and `TrainingArguments` of TRL 1.13; the `SFTConfig` that
/// Unsloth 2026.8 generates, its `from_pretrained` and its `get_peft_model`.
final class Presets {
  /// The key that names one.
  static final String KEY = "preset";

  private static final String COMMON =
      """
      dataset_text_field: text
      overlong_policy: truncate
      packing: false
      packing_strategy: bfd
      padding_free: false
      shuffle_dataset: false
      lr_scheduler_type: linear
      adam_beta1: 0.9
      adam_beta2: 0.999
      adam_epsilon: 1e-8
      max_grad_norm: 1.0
      num_train_epochs: 3
      gradient_checkpointing: true
      train_sampling_strategy: random
      dataloader_drop_last: false
      eval_strategy: "no"
      save_strategy: steps
      save_steps: 500
      use_rslora: false
      lora_r: 16
      """;

  private static final Map<String, String> TEXTS =
      new TreeMap<>(
          Map.of(
              "trl-1.13",
              COMMON
                  + """
                  use_peft: false
                  load_in_4bit: false
                  use_bnb_nested_quant: false
                  max_length: 1024
                  learning_rate: 2e-5
                  warmup_steps: 0
                  optim: adamw_torch_fused
                  weight_decay: 0
                  per_device_train_batch_size: 8
                  per_device_eval_batch_size: 8
                  gradient_accumulation_steps: 1
                  activation_offloading: false
                  seed: 42
                  logging_steps: 10
                  lora_alpha: 32
                  lora_dropout: 0.05
                  lora_target_modules: [q_proj, v_proj]
                  """,
              "unsloth-2026.8",
              COMMON
                  + """
                  use_peft: true
                  load_in_4bit: true
                  use_bnb_nested_quant: true
                  max_length: 2048
                  learning_rate: 5e-5
                  warmup_steps: 0.1
                  optim: adamw_8bit
                  weight_decay: 0.001
                  per_device_train_batch_size: 4
                  per_device_eval_batch_size: 4
                  gradient_accumulation_steps: 2
                  activation_offloading: true
                  seed: 3407
                  logging_steps: 1
                  lora_alpha: 16
                  lora_dropout: 0
                  lora_target_modules: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]
                  """));

  private Presets() {}

  static List<String> names() {
    return List.copyOf(TEXTS.keySet());
  }

  /// The keys of the preset that `value` names.
  ///
  /// @throws InputException if there is none of that name
  static Mapping named(ConfigValue value) {
    String name =
        value instanceof Scalar scalar && scalar.value() instanceof String text ? text : "";
    String keys = TEXTS.get(name);
    if (keys == null) {
      throw new InputException(
          "%s: %s must be one of %s, not %s"
              .formatted(value.location(), KEY, String.join(", ", names()), value.describe()));
    }
    return ConfigParser.parse(KEY + " " + name, keys);
  }
}
