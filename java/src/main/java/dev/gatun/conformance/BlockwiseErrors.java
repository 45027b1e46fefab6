package dev.gatun.conformance;

import dev.gatun.io.SafeTensors;
import dev.gatun.nn.Parameter;
import dev.gatun.nn.Parameters;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Tensor;
import java.util.Map;

/// Holds a trajectory against one of bitsandbytes, within the kit's bounds for 8-bit state: 99.9 %
/// of the codes equal; parameters off by 1e-3 of the learning rate on average and 0.2 at most.
///
/// Only the state after the last step is compared: the kit's tensors of earlier steps were written
/// when the run was over and hold the last state as well.
final class BlockwiseErrors {
  private static final double EQUAL_CODES = 0.999;
  private static final double MEAN_OVER_RATE = 1e-3;
  private static final double MAX_OVER_RATE = 0.2;
  private static final double SCALES = 1e-5;

  private final SafeTensors golden;
  private final Parameters parameters;
  private double worstMean;
  private double worst;

  BlockwiseErrors(SafeTensors golden, Parameters parameters) {
    this.golden = golden;
    this.parameters = parameters;
  }

  /// Whether the recorded state of any parameter is 8-bit.
  boolean isEightBit() {
    return parameters.all().stream().anyMatch(p -> golden.contains(p.name() + ".qmap1"));
  }

  /// Takes in the values after a recorded step.
  void compareValues(Map<String, Tensor> values, int recorded, double rate) {
    for (Parameter parameter : parameters.all()) {
      float[] actual = Trajectory.named(values, parameter.name()).toFloats();
      float[] expected = golden.tensor(parameter.name() + ".values").rows(recorded, 1).toFloats();
      double sum = 0;
      for (int i = 0; i < actual.length; i++) {
        double error = Math.abs((double) actual[i] - expected[i]) / rate;
        sum += error;
        worst = error <= worst ? worst : Double.isNaN(error) ? Double.POSITIVE_INFINITY : error;
      }
      worstMean = Math.max(worstMean, sum / actual.length);
    }
  }

  /// Records what was taken in, and the state after the last step.
  void record(Map<String, Tensor> state, int steps, Checks checks) {
    checks.atMost("values, mean error over learning rate", worstMean, MEAN_OVER_RATE);
    checks.atMost("values, largest error over learning rate", worst, MAX_OVER_RATE);
    for (int moment = 1; moment <= 2; moment++) {
      recordCodes("state" + moment, state, steps, checks);
      recordFull("absmax" + moment, state, steps, checks, SCALES);
      recordFull("state" + moment, state, steps, checks, SCALES);
    }
  }

  /// Records F32 state after the last step.
  void recordFull(Map<String, Tensor> state, int steps, Checks checks, double tolerance) {
    for (int moment = 1; moment <= 2; moment++) {
      recordFull("state" + moment, state, steps, checks, tolerance);
    }
  }

  private static String recorded(Parameter parameter, String kind, int steps) {
    return parameter.name() + "." + kind + ".after_step_" + steps;
  }

  private void recordCodes(String kind, Map<String, Tensor> state, int steps, Checks checks) {
    double least = 1;
    boolean any = false;
    for (Parameter parameter : parameters.all()) {
      String name = recorded(parameter, kind, steps);
      if (golden.contains(name) && golden.tensor(name).dtype() == DType.U8) {
        int[] expected = golden.tensor(name).toInts();
        int[] actual = Trajectory.named(state, kind + "." + parameter.name()).toInts();
        int equal = 0;
        for (int i = 0; i < expected.length; i++) {
          equal += actual[i] == expected[i] ? 1 : 0;
        }
        least = Math.min(least, equal / (double) expected.length);
        any = true;
      }
    }
    if (any) {
      checks.atLeast("codes of " + kind + ", share equal", least, EQUAL_CODES);
    }
  }

  private void recordFull(
      String kind, Map<String, Tensor> state, int steps, Checks checks, double tolerance) {
    double most = 0;
    boolean any = false;
    for (Parameter parameter : parameters.all()) {
      String name = recorded(parameter, kind, steps);
      if (golden.contains(name) && golden.tensor(name).dtype() == DType.F32) {
        Tensor actual = Trajectory.named(state, kind + "." + parameter.name());
        most = Math.max(most, Trajectory.error(actual, golden.tensor(name)));
        any = true;
      }
    }
    if (any) {
      checks.atMost(kind + " after the last step", most, tolerance);
    }
  }
}
