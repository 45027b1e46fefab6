package dev.gatun.model;

import dev.gatun.quant.Weight;
import dev.gatun.tensor.Tensor;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/// A checkpoint's weights in a backend's memory, under the names of the checkpoint, in the order of
/// the model.
///
/// @param linears by module path: `model.layers.0.self_attn.q_proj`, and `lm_head` unless tied
/// @param tensors everything else by parameter name: `model.embed_tokens.weight`, norms, biases
public record ModelWeights(Map<String, Weight> linears, Map<String, Tensor> tensors) {
  public ModelWeights {
    linears = Collections.unmodifiableMap(new LinkedHashMap<>(linears));
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
  }

  /// The weight of a linear layer.
  public Weight linear(String module) {
    Weight weight = linears.get(module);
    if (weight == null) {
      throw new IllegalStateException("no linear layer " + module + " was loaded");
    }
    return weight;
  }

  /// Any other parameter.
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalStateException("no parameter " + name + " was loaded");
    }
    return tensor;
  }
}
