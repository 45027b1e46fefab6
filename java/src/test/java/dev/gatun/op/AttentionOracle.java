package dev.gatun.op;

/// Attention over one sequence, straight from the definition, as [Oracle] does it.
///
/// @param n query heads
/// @param kv key/value heads
/// @param d head size
record AttentionOracle(int n, int kv, int d, AttentionOps.Config config) {
  /// @param out `[queries, n, d]`
  /// @param logSumExp `[queries, n]`
  record Forward(double[] out, double[] logSumExp) {}

  /// Gradients of the queries, keys and values.
  record Backward(double[] dq, double[] dk, double[] dv) {}

  /// Whether query `j` of `queries` sees key `i` of `keys`.
  boolean sees(int j, int queries, int i, int keys) {
    int position = keys - queries + j;
    return i <= position && (config.window() == 0 || i > position - config.window());
  }

  Forward forward(Precision p, double[] q, double[] k, double[] v) {
    int queries = q.length / (n * d);
    int keys = k.length / (kv * d);
    double[] out = new double[q.length];
    double[] logSumExp = new double[queries * n];
    for (int j = 0; j < queries; j++) {
      for (int h = 0; h < n; h++) {
        double[] scores = scores(p, q, k, j, queries, h, keys);
        double largest = Double.NEGATIVE_INFINITY;
        for (double score : scores) {
          largest = Math.max(largest, score);
        }
        double sum = 0;
        double[] weights = new double[keys];
        for (int i = 0; i < keys; i++) {
          weights[i] = p.op(Math.exp(p.op(scores[i] - largest)));
          sum = p.op(sum + weights[i]);
        }
        logSumExp[j * n + h] = p.op(largest + p.op(Math.log(sum)));
        int from = h / (n / kv) * d;
        double[] probabilities = p.store(Oracle.scaled(p, weights, 1 / sum));
        for (int c = 0; c < d; c++) {
          out[(j * n + h) * d + c] = p.dot(probabilities, 0, 1, v, from + c, kv * d, keys);
        }
      }
    }
    return new Forward(out, logSumExp);
  }

  // Scaled, capped and masked.
  private double[] scores(
      Precision p, double[] q, double[] k, int j, int queries, int h, int keys) {
    double[] scores = new double[keys];
    for (int i = 0; i < keys; i++) {
      double raw = p.dot(q, (j * n + h) * d, 1, k, (i * kv + h / (n / kv)) * d, 1, d);
      double scaled = p.op(raw * config.scale());
      double capped =
          config.softcap() == 0
              ? scaled
              : p.op(config.softcap() * p.op(Math.tanh(p.op(scaled / config.softcap()))));
      scores[i] = sees(j, queries, i, keys) ? capped : Double.NEGATIVE_INFINITY;
    }
    return scores;
  }

  Backward backward(Precision p, double[] dout, double[] q, double[] k, double[] v) {
    int queries = q.length / (n * d);
    int keys = k.length / (kv * d);
    Forward forward = forward(p, q, k, v);
    double[] dq = new double[q.length];
    double[] dk = new double[k.length];
    double[] dv = new double[v.length];
    for (int j = 0; j < queries; j++) {
      for (int h = 0; h < n; h++) {
        int at = (j * n + h) * d;
        double delta = p.dot(p.store(forward.out()), at, 1, dout, at, 1, d);
        double[] scores = scores(p, q, k, j, queries, h, keys);
        for (int i = 0; i < keys; i++) {
          int key = (i * kv + h / (n / kv)) * d;
          double weight = p.op(Math.exp(p.op(scores[i] - forward.logSumExp()[j * n + h])));
          double dweight = p.dot(dout, at, 1, v, key, 1, d);
          double dscore = p.op(p.op(weight * p.op(dweight - delta)) * config.scale());
          if (config.softcap() != 0 && weight != 0) {
            double ratio = scores[i] / config.softcap();
            dscore = p.op(dscore * p.op(1 - p.op(ratio * ratio)));
          }
          double stored = p.store(dscore);
          double storedWeight = p.store(weight);
          for (int c = 0; c < d; c++) {
            dq[at + c] = p.op(dq[at + c] + p.op(stored * k[key + c]));
            dk[key + c] = p.op(dk[key + c] + p.op(stored * q[at + c]));
            dv[key + c] = p.op(dv[key + c] + p.op(storedWeight * dout[at + c]));
          }
        }
      }
    }
    return new Backward(dq, dk, dv);
  }

  /// The largest `|dout·v|` of a query and a key under one key head: what cancels in a gradient.
  double largestSlope(double[] dout, double[] v) {
    double largest = 0;
    for (int at = 0; at < dout.length; at += d) {
      int head = at / d % n / (n / kv);
      for (int key = head * d; key < v.length; key += kv * d) {
        largest = Math.max(largest, Math.abs(Precision.EXACT.dot(dout, at, 1, v, key, 1, d)));
      }
    }
    return largest;
  }
}
