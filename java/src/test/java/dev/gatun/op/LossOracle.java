package dev.gatun.op;

/// Output head and cross-entropy of the trained rows, straight from the definition.
///
/// @param tokenLoss one a trained row
/// @param dhidden `[rows, H]` of the trained rows
/// @param dhead `[V, H]`
/// @param dbias `[V]`
record LossOracle(
    double[] tokenLoss, double[] entropy, double[] dhidden, double[] dhead, double[] dbias) {
  /// @param hidden the trained rows `[rows, H]`
  /// @param bias zeros for none
  static LossOracle of(
      Precision p,
      double[] hidden,
      double[] head,
      double[] bias,
      int[] labels,
      LossOps.Config config,
      double upstream) {
    int v = bias.length;
    int h = head.length / v;
    double[] z = Oracle.matmul(p, hidden, false, head, true, labels.length, v, h);
    double[] tokenLoss = new double[labels.length];
    double[] entropy = new double[labels.length];
    double[] dz = new double[z.length];
    for (int t = 0; t < labels.length; t++) {
      double[] row = new double[v];
      double largest = Double.NEGATIVE_INFINITY;
      for (int j = 0; j < v; j++) {
        row[j] = cap(p, p.op(config.logitScale() * p.op(z[t * v + j] + bias[j])), config);
        largest = Math.max(largest, row[j]);
      }
      double sum = 0;
      double mean = 0;
      for (double value : row) {
        sum = p.op(sum + p.op(Math.exp(p.op(value - largest))));
        mean = p.op(mean + value);
      }
      mean = p.op(mean / v);
      double logSumExp = p.op(largest + p.op(Math.log(sum)));
      double smoothing = config.labelSmoothing();
      tokenLoss[t] =
          p.op(
              p.op((1 - smoothing) * p.op(logSumExp - row[labels[t]]))
                  + p.op(smoothing * p.op(logSumExp - mean)));
      for (int j = 0; j < v; j++) {
        double probability = p.op(Math.exp(p.op(row[j] - logSumExp)));
        entropy[t] = p.op(entropy[t] + p.op(probability * p.op(logSumExp - row[j])));
        double target = smoothing / v + (j == labels[t] ? 1 - smoothing : 0);
        double slope = config.logitScale() * upstream;
        if (config.softcap() != 0) {
          double ratio = p.op(row[j] / config.softcap());
          slope = p.op(slope * p.op(1 - p.op(ratio * ratio)));
        }
        dz[t * v + j] = p.store(p.op(p.op(probability - target) * slope));
      }
    }
    return new LossOracle(
        tokenLoss,
        entropy,
        Oracle.matmul(p, dz, false, head, false, labels.length, h, v),
        Oracle.matmul(p, dz, true, hidden, false, v, h, labels.length),
        Oracle.columnSums(p, dz, labels.length, v));
  }

  private static double cap(Precision p, double z, LossOps.Config config) {
    return config.softcap() == 0
        ? z
        : p.op(config.softcap() * p.op(Math.tanh(p.op(z / config.softcap()))));
  }
}
