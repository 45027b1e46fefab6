package dev.gatun.nn;

import static java.util.Objects.requireNonNull;

import dev.gatun.model.ModelConfig;
import dev.gatun.model.Rope;
import dev.gatun.op.MlpOps.Activation;
import java.util.HashMap;
import java.util.Map;

/// The loss of a decoder in double precision, written as the formulas are, for finite differences.
/// Default and linear rope only.
final class ReferenceModel {
  final ModelConfig config;

  /// Parameters and low-rank updates by name.
  final Map<String, double[]> values = new HashMap<>();

  /// Scale of the low-rank update by module path.
  final Map<String, Double> scales = new HashMap<>();

  /// Norms of the updated weight by module path, constants of a weight-decomposed update.
  final Map<String, double[]> norms = new HashMap<>();

  /// Dropout factors `[T, in]` by module path.
  final Map<String, double[]> masks = new HashMap<>();

  ReferenceModel(ModelConfig config, Map<String, float[]> weights) {
    this.config = config;
    weights.forEach((name, floats) -> values.put(name, widen(floats)));
  }

  static double[] widen(float[] floats) {
    double[] doubles = new double[floats.length];
    for (int i = 0; i < floats.length; i++) {
      doubles[i] = floats[i];
    }
    return doubles;
  }

  void update(String path, LoraModule module) {
    values.put(ModuleTree.loraA(path), widen(module.a().toFloats()));
    values.put(ModuleTree.loraB(path), widen(module.b().toFloats()));
    scales.put(path, module.adapted().scale());
    if (module.magnitude() != null) {
      values.put(ModuleTree.loraMagnitude(path), widen(module.magnitude().toFloats()));
      norms.put(path, norms(path, module));
    }
  }

  private double[] norms(String path, LoraModule module) {
    double[] weight = value(path + ".weight");
    double[] a = value(ModuleTree.loraA(path));
    double[] b = value(ModuleTree.loraB(path));
    int rank = module.adapted().rank();
    int in = a.length / rank;
    double[] norms = new double[weight.length / in];
    for (int i = 0; i < weight.length; i++) {
      double v = weight[i];
      for (int r = 0; r < rank; r++) {
        v += module.adapted().scale() * b[i / in * rank + r] * a[r * in + i % in];
      }
      norms[i / in] += v * v;
    }
    for (int o = 0; o < norms.length; o++) {
      norms[o] = Math.sqrt(norms[o]);
    }
    return norms;
  }

  /// Mean loss of the trained rows.
  double loss(BatchInput input) {
    int t = input.tokens();
    int hidden = config.hidden();
    double[] table = value("model.embed_tokens.weight");
    double[][] x = new double[t][hidden];
    for (int i = 0; i < t; i++) {
      for (int j = 0; j < hidden; j++) {
        x[i][j] = config.embeddingScale() * table[input.inputIds()[i] * hidden + j];
      }
    }
    Double embeddingUpdate = scales.get(ModuleTree.EMBEDDING);
    if (embeddingUpdate != null) {
      double[] a = value(ModuleTree.loraA(ModuleTree.EMBEDDING));
      double[] b = value(ModuleTree.loraB(ModuleTree.EMBEDDING));
      int rank = b.length / hidden;
      for (int i = 0; i < t * hidden * rank; i++) {
        int row = i / rank / hidden;
        int j = i / rank % hidden;
        double factor = a[i % rank * config.vocabulary() + input.inputIds()[row]];
        x[row][j] += config.embeddingScale() * embeddingUpdate * b[j * rank + i % rank] * factor;
      }
    }
    for (int layer = 0; layer < config.layerCount(); layer++) {
      String path = "model.layers." + layer;
      add(x, attention(path, layer, norm(path + ".input_layernorm", x), input));
      add(x, mlp(path + ".mlp.", norm(path + ".post_attention_layernorm", x)));
    }
    double[][] normed = norm("model.norm", x);
    String head = config.tiedEmbeddings() ? "model.embed_tokens" : "lm_head";
    double sum = 0;
    for (int i = 0; i < input.targetRows().length; i++) {
      int place = input.targetRows()[i];
      double[] logits = product(new double[][] {normed[place]}, value(head + ".weight"))[0];
      addHeadUpdate(logits, normed[place], place);
      sum += crossEntropy(logits, input.targetLabels()[i]);
    }
    return sum / input.targetRows().length;
  }

  private void addHeadUpdate(double[] logits, double[] x, int place) {
    Double scale = scales.get(ModuleTree.HEAD);
    if (scale == null) {
      return;
    }
    double[] mask = masks.get(ModuleTree.HEAD);
    double[][] dropped = {x.clone()};
    for (int j = 0; mask != null && j < x.length; j++) {
      dropped[0][j] *= mask[place * x.length + j];
    }
    double[][] inner = product(dropped, value(ModuleTree.loraA(ModuleTree.HEAD)));
    double[] update = product(inner, value(ModuleTree.loraB(ModuleTree.HEAD)))[0];
    for (int i = 0; i < logits.length; i++) {
      logits[i] += scale * update[i];
    }
  }

  private static double crossEntropy(double[] logits, int label) {
    double sum = 0;
    for (double logit : logits) {
      sum += Math.exp(logit);
    }
    return Math.log(sum) - logits[label];
  }

  private static void add(double[][] x, double[][] y) {
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < x[i].length; j++) {
        x[i][j] += y[i][j];
      }
    }
  }

  private double[][] norm(String path, double[][] x) {
    double[] weight = value(path + ".weight");
    double[][] y = new double[x.length][];
    for (int i = 0; i < x.length; i++) {
      y[i] = new double[x[i].length];
      for (int from = 0; from < x[i].length; from += weight.length) {
        double squares = 0;
        for (int j = 0; j < weight.length; j++) {
          squares += x[i][from + j] * x[i][from + j];
        }
        double factor = 1 / Math.sqrt(squares / weight.length + config.normEpsilon());
        for (int j = 0; j < weight.length; j++) {
          y[i][from + j] = x[i][from + j] * factor * (config.normOffset() + weight[j]);
        }
      }
    }
    return y;
  }

  private static double[][] product(double[][] x, double[] weight) {
    int in = x[0].length;
    int out = weight.length / in;
    double[][] y = new double[x.length][out];
    for (int i = 0; i < x.length; i++) {
      for (int o = 0; o < out; o++) {
        for (int j = 0; j < in; j++) {
          y[i][o] += x[i][j] * weight[o * in + j];
        }
      }
    }
    return y;
  }

  private double[] value(String name) {
    return requireNonNull(values.get(name));
  }

  private double[][] linear(String path, double[][] x) {
    double[][] y = product(x, value(path + ".weight"));
    double[] bias = values.get(path + ".bias");
    Double scale = scales.get(path);
    double[][] update = y;
    double[][] dropped = y;
    double[] norm = norms.get(path);
    if (scale != null) {
      double[][] inner = product(masked(path, x), value(ModuleTree.loraA(path)));
      update = product(inner, value(ModuleTree.loraB(path)));
    }
    if (norm != null) {
      dropped = product(masked(path, x), value(path + ".weight"));
    }
    for (int i = 0; i < y.length; i++) {
      for (int o = 0; o < y[i].length; o++) {
        // PEFT's dora.py: (g − 1)·W·dropout(x) + g·s·B·A·dropout(x).
        double g = norm == null ? 1 : value(ModuleTree.loraMagnitude(path))[o] / norm[o];
        y[i][o] += norm == null ? 0 : (g - 1) * dropped[i][o];
        y[i][o] += (bias == null ? 0 : bias[o]) + (scale == null ? 0 : g * scale * update[i][o]);
      }
    }
    return y;
  }

  private double[][] masked(String path, double[][] x) {
    double[] mask = masks.get(path);
    double[][] y = new double[x.length][x[0].length];
    for (int i = 0; i < x.length; i++) {
      for (int j = 0; j < x[i].length; j++) {
        y[i][j] = x[i][j] * (mask == null ? 1 : mask[i * x[i].length + j]);
      }
    }
    return y;
  }

  private double[][] mlp(String path, double[][] x) {
    double[][] gate = linear(path + "gate_proj", x);
    double[][] up = linear(path + "up_proj", x);
    for (int i = 0; i < gate.length; i++) {
      for (int j = 0; j < gate[i].length; j++) {
        gate[i][j] = activate(gate[i][j]) * up[i][j];
      }
    }
    return linear(path + "down_proj", gate);
  }

  private double activate(double x) {
    if (config.activation() == Activation.SILU) {
      return x / (1 + Math.exp(-x));
    }
    return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
  }

  private double[][] attention(String path, int layer, double[][] x, BatchInput input) {
    double[][] q = linear(path + ".self_attn.q_proj", x);
    double[][] k = linear(path + ".self_attn.k_proj", x);
    double[][] v = linear(path + ".self_attn.v_proj", x);
    if (config.queryKeyNorm()) {
      q = norm(path + ".self_attn.q_norm", q);
      k = norm(path + ".self_attn.k_norm", k);
    }
    rotate(q, input.positionIds());
    rotate(k, input.positionIds());
    double[][] out = new double[x.length][config.heads() * config.headSize()];
    int start = 0;
    for (int length : input.sequenceLengths()) {
      for (int t = start; t < start + length; t++) {
        for (int head = 0; head < config.heads(); head++) {
          attend(out[t], head, t, first(layer, t, start), q, k, v);
        }
      }
      start += length;
    }
    return linear(path + ".self_attn.o_proj", out);
  }

  private int first(int layer, int t, int start) {
    int window = config.layers().get(layer).window();
    return window == 0 ? start : Math.max(start, t - window + 1);
  }

  private void attend(
      double[] out, int head, int t, int first, double[][] q, double[][] k, double[][] v) {
    int size = config.headSize();
    int at = head * size;
    int keyAt = head / (config.heads() / config.keyValueHeads()) * size;
    double[] weights = new double[t - first + 1];
    double sum = 0;
    for (int s = first; s <= t; s++) {
      double score = 0;
      for (int j = 0; j < size; j++) {
        score += q[t][at + j] * k[s][keyAt + j];
      }
      score *= config.attentionScale();
      double cap = config.attentionSoftcap();
      weights[s - first] = Math.exp(cap == 0 ? score : cap * Math.tanh(score / cap));
      sum += weights[s - first];
    }
    for (int s = first; s <= t; s++) {
      for (int j = 0; j < size; j++) {
        out[at + j] += weights[s - first] / sum * v[s][keyAt + j];
      }
    }
  }

  private void rotate(double[][] x, int[] positions) {
    Rope rope = config.rope();
    double factor = rope.scaling() instanceof Rope.Scaling.Linear linear ? linear.factor() : 1;
    int half = rope.rotarySize() / 2;
    for (int t = 0; t < x.length; t++) {
      for (int at = 0; at < x[t].length; at += config.headSize()) {
        for (int i = 0; i < half; i++) {
          double angle =
              positions[t] / (factor * Math.pow(rope.theta(), 2.0 * i / rope.rotarySize()));
          double a = x[t][at + i];
          double b = x[t][at + i + half];
          x[t][at + i] = a * Math.cos(angle) - b * Math.sin(angle);
          x[t][at + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      }
    }
  }
}
