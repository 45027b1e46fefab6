package dev.gatun.nn;

import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/// One parameter that the model holds itself: a view of each of the flat buffers of [Parameters].
///
/// @param name the checkpoint's name, or PEFT's for a low-rank update:
///   `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`
/// @param offset first element in the flat buffers
/// @param master F32
/// @param gradient F32, or null in a frozen model
/// @param compute the value in the backend's activation type; the master itself where that is F32
public record Parameter(
    String name,
    Kind kind,
    Shape shape,
    long offset,
    Tensor master,
    @Nullable Tensor gradient,
    Tensor compute) {

  /// What a parameter is. The order is that of the flat buffers: what weight decay leaves alone
  /// comes last, so that each optimiser group is one range.
  public enum Kind {
    EMBEDDING,
    HEAD,
    WEIGHT,
    LORA_A,
    LORA_B,
    TOKENS,
    LORA_MAGNITUDE,
    BIAS,
    NORM
  }

  /// A parameter before it has memory.
  public record Spec(String name, Kind kind, Shape shape) {}
}
