package dev.gatun.model;

import dev.gatun.op.MlpOps.Activation;
import dev.gatun.tensor.DType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a decoder-only checkpoint is, independent of the spelling of its `config.json`. A model
/// family is a set of these values; layers read them, never the family's name.
///
/// @param family `model_type` as written: llama, qwen2, qwen3, mistral
/// @param layers one entry a decoder layer
/// @param dtype type of the checkpoint's floating tensors
/// @param tiedEmbeddings whether the output head is the embedding matrix
/// @param maxPositions longest sequence the checkpoint declares
/// @param eosTokenIds ids that end a text; may be empty
/// @param quantization the checkpoint's own 4-bit settings, or null for a 16- or 32-bit checkpoint
public record ModelConfig(
    String family,
    String architecture,
    int vocabulary,
    int hidden,
    int intermediate,
    int heads,
    int keyValueHeads,
    int headSize,
    List<Layer> layers,
    Activation activation,
    float normEpsilon,
    float normOffset,
    boolean queryKeyNorm,
    Biases biases,
    Rope rope,
    float attentionScale,
    float embeddingScale,
    float logitScale,
    float logitSoftcap,
    float attentionSoftcap,
    int maxPositions,
    boolean tiedEmbeddings,
    DType dtype,
    @Nullable Integer bosTokenId,
    List<Integer> eosTokenIds,
    @Nullable Integer padTokenId,
    @Nullable Quantization quantization) {

  public ModelConfig {
    layers = List.copyOf(layers);
    eosTokenIds = List.copyOf(eosTokenIds);
  }

  public int layerCount() {
    return layers.size();
  }

  /// The same model with another number of tokens.
  public ModelConfig withVocabulary(int tokens) {
    return new ModelConfig(
        family,
        architecture,
        tokens,
        hidden,
        intermediate,
        heads,
        keyValueHeads,
        headSize,
        layers,
        activation,
        normEpsilon,
        normOffset,
        queryKeyNorm,
        biases,
        rope,
        attentionScale,
        embeddingScale,
        logitScale,
        logitSoftcap,
        attentionSoftcap,
        maxPositions,
        tiedEmbeddings,
        dtype,
        bosTokenId,
        eosTokenIds,
        padTokenId,
        quantization);
  }

  /// One decoder layer.
  ///
  /// @param window keys a query sees, itself included; 0 for all
  public record Layer(int window) {}

  /// Which projections carry a bias.
  public record Biases(boolean queryKeyValue, boolean attentionOutput, boolean mlp) {}

  /// A checkpoint's `quantization_config`.
  ///
  /// @param type bitsandbytes' name: nf4 or fp4
  /// @param skippedModules modules the checkpoint says it left in 16 bit
  public record Quantization(
      String type, boolean nested, DType computeType, List<String> skippedModules) {
    public Quantization {
      skippedModules = List.copyOf(skippedModules);
    }
  }
}
