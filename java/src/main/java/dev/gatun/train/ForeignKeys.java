package dev.gatun.train;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// Keys of TRL, Hugging Face and PEFT that are not keys here: older or other names, keys without
/// meaning for this engine, and keys whose feature it lacks.
final class ForeignKeys {
  private ForeignKeys() {}

  /// Another name, and the key it stands for.
  static final Map<String, String> ALIASES =
      Map.ofEntries(
          Map.entry("max_seq_length", "max_length"),
          Map.entry("warmup_ratio", "warmup_steps"),
          Map.entry("tokenizer", "tokenizer_name_or_path"),
          Map.entry("add_tokens", "added_tokens"),
          Map.entry("new_tokens", "added_tokens"),
          Map.entry("add_special_tokens", "added_special_tokens"),
          Map.entry("tokenizer_name", "tokenizer_name_or_path"),
          Map.entry("processing_class", "tokenizer_name_or_path"),
          Map.entry("model_name", "model_name_or_path"),
          Map.entry("model", "model_name_or_path"),
          Map.entry("train_file", "dataset_path"),
          Map.entry("data_files", "dataset_path"),
          Map.entry("dataset_name", "dataset_path"),
          Map.entry("validation_file", "eval_dataset_path"),
          Map.entry("eval_file", "eval_dataset_path"),
          Map.entry("eval_dataset", "eval_dataset_path"),
          Map.entry("evaluation_strategy", "eval_strategy"),
          Map.entry("per_gpu_train_batch_size", "per_device_train_batch_size"),
          Map.entry("per_gpu_eval_batch_size", "per_device_eval_batch_size"),
          Map.entry("bnb_4bit_use_double_quant", "use_bnb_nested_quant"),
          Map.entry("use_lora", "use_peft"),
          Map.entry("r", "lora_r"),
          Map.entry("target_modules", "lora_target_modules"),
          Map.entry("lora_modules_to_save", "modules_to_save"),
          Map.entry("embedding_lr", "embedding_learning_rate"),
          Map.entry("lora_exclude_modules", "exclude_modules"));

  /// Aliases that say the same under PEFT's own name; they need no notice.
  static final List<String> SILENT_ALIASES = List.of("r", "target_modules");

  /// Keys that change nothing here, and why.
  static final Map<String, String> IGNORED = ignored();

  /// @param harmless values under which the key asks for nothing
  /// @param advice completes "… is not supported: "
  record Refused(List<Object> harmless, String advice) {}

  /// Keys whose feature is missing.
  static final Map<String, Refused> REFUSED = refused();

  private static Map<String, String> ignored() {
    Map<String, String> keys = new TreeMap<>();
    String precision = "the device decides: float32 on the CPU, bfloat16 on a GPU";
    String workers = "data is prepared by threads as needed";
    String reports = "figures go to metrics.jsonl and trainer_state.json";
    String always = "this engine always works that way";
    for (String key :
        List.of(
            "bf16",
            "tf32",
            "dtype",
            "torch_dtype",
            "bf16_full_eval",
            "fp16_full_eval",
            "bnb_4bit_compute_dtype",
            "bnb_4bit_quant_storage")) {
      keys.put(key, precision);
    }
    for (String key :
        List.of(
            "dataset_num_proc",
            "dataset_batch_size",
            "dataloader_num_workers",
            "dataloader_pin_memory",
            "dataloader_prefetch_factor",
            "dataloader_persistent_workers",
            "dataloader_multiprocessing_context",
            "dataloader_in_order")) {
      keys.put(key, workers);
    }
    for (String key :
        List.of(
            "run_name",
            "disable_tqdm",
            "log_level",
            "log_level_replica",
            "log_on_each_node",
            "project",
            "trackio_space_id",
            "trackio_bucket_id",
            "trackio_static_space_id",
            "include_for_metrics",
            "batch_eval_metrics",
            "skip_memory_metrics",
            "include_num_input_tokens_seen",
            "include_tokens_per_second",
            "logging_nan_inf_filter")) {
      keys.put(key, reports);
    }
    for (String key :
        List.of(
            "remove_unused_columns",
            "use_liger_kernel",
            "attn_implementation",
            "gradient_checkpointing_kwargs",
            "average_tokens_across_devices",
            "full_determinism",
            "save_safetensors",
            "torch_empty_cache_steps",
            "trust_remote_code",
            "pad_to_multiple_of",
            "group_by_modality_length",
            "inference_mode",
            "prediction_loss_only",
            "eval_accumulation_steps",
            "eval_do_concat_batches",
            "use_cache",
            "do_train",
            "do_eval",
            "do_predict",
            "auto_mapping",
            "peft_version",
            "restore_callback_states_from_checkpoint")) {
      keys.put(key, always);
    }
    for (String key : // what they set up is refused by its own key
        List.of(
            "liger_kernel_config",
            "torch_compile_backend",
            "torch_compile_mode",
            "label_names",
            "length_column_name",
            "router_aux_loss_coef",
            "qalora_group_size",
            "megatron_core",
            "runtime_config",
            "debug",
            "local_rank",
            "fsdp_config",
            "accelerator_config",
            "ddp_find_unused_parameters",
            "ddp_bucket_cap_mb",
            "ddp_broadcast_buffers",
            "ddp_static_graph",
            "ddp_backend",
            "ddp_timeout",
            "save_on_each_node",
            "eval_use_gather_object",
            "hub_token",
            "hub_private_repo",
            "hub_model_id",
            "hub_strategy",
            "hub_always_push",
            "hub_revision")) {
      keys.put(key, "there is nothing here that it could change");
    }
    keys.put("base_model_name_or_path", "model_name_or_path says it");
    return Map.copyOf(keys);
  }

  private static Map<String, Refused> refused() {
    Refused off = new Refused(List.of(false), "leave it out");
    Refused neutral = new Refused(List.of(), "leave it out");
    Map<String, Refused> keys = new TreeMap<>();
    for (String key :
        List.of(
            "load_in_8bit",
            "push_to_hub",
            "auto_find_batch_size",
            "lora_bias",
            "fan_in_fan_out",
            "torch_compile",
            "use_qalora",
            "use_bdlora",
            "enable_jit_checkpoint",
            "dataset_streaming",
            "ignore_data_skip")) {
      keys.put(key, off);
    }
    for (String key :
        List.of(
            "deepspeed",
            "fsdp",
            "model_init_kwargs",
            "dataset_kwargs",
            "parallelism_config",
            "optim_target_modules",
            "revision",
            "megatron_config",
            "eva_config",
            "corda_config",
            "lora_ga_config",
            "velora_config",
            "monteclora_config",
            "arrow_config",
            "kasa_config",
            "alora_invocation_tokens",
            "target_parameters",
            "lora_target_parameters",
            "layer_replication",
            "eos_token",
            "pad_token",
            "dataset_config",
            "model_revision",
            "datasets")) {
      keys.put(key, neutral);
    }
    keys.put(
        "loftq_config",
        new Refused(
            List.of(
                Map.of(),
                Map.of("loftq_bits", 4L),
                Map.of("loftq_iter", 1L),
                Map.of("loftq_bits", 4L, "loftq_iter", 1L)),
            "init_lora_weights: loftq works in 4 bit and one iteration, so that the adapter fits the checkpoint loaded in 4 bit; leave it out"));
    keys.put("fp16", new Refused(List.of(false), "float16 needs loss scaling; use bf16"));
    keys.put("bnb_4bit_quant_type", new Refused(List.of("nf4"), "use nf4"));
    Refused causal = new Refused(List.of("CAUSAL_LM"), "only causal language models are trained");
    keys.put("task_type", causal);
    keys.put("lora_task_type", causal);
    keys.put("peft_type", new Refused(List.of("LORA"), "use LORA"));
    keys.put("random_state", new Refused(List.of(), "set seed"));
    keys.put("full_finetuning", new Refused(List.of(false), "set use_peft: false"));
    keys.put(
        "use_gradient_checkpointing",
        new Refused(
            List.of(),
            "set gradient_checkpointing, and activation_offloading for what Unsloth calls unsloth"));
    keys.put("use_cpu", new Refused(List.of(false), "set device: cpu"));
    String split = "name the split's files in %s";
    keys.put("dataset_train_split", new Refused(List.of("train"), split.formatted("dataset_path")));
    keys.put(
        "dataset_test_split", new Refused(List.of("test"), split.formatted("eval_dataset_path")));
    keys.put("bias", new Refused(List.of("none"), "use none"));
    keys.put("label_smoothing_factor", new Refused(List.of(0L, 0.0), "use 0"));
    keys.put("group_by_length", new Refused(List.of(false), "packing saves more"));
    keys.put(
        "optim_args",
        new Refused(List.of(""), "set momentum, adam_beta1, adam_beta2 or adam_epsilon"));
    keys.put("logging_strategy", new Refused(List.of("steps"), "use steps"));
    keys.put("truncation_mode", new Refused(List.of("keep_start"), "use keep_start"));
    keys.put("loss_type", new Refused(List.of("nll", "chunked_nll"), "use nll"));
    keys.put("lr_scheduler", new Refused(List.of(), "set lr_scheduler_type"));
    return Map.copyOf(keys);
  }

  /// Names for suggestions: of those that may be written all that mean something.
  static List<String> known() {
    return Stream.of(
            Stream.of(Presets.KEY),
            ConfigKeys.ALL.stream().map(ConfigKey::name),
            ALIASES.keySet().stream(),
            REFUSED.keySet().stream())
        .flatMap(names -> names)
        .toList();
  }
}
