package dev.gatun.nn;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.model.ModelConfig;
import org.junit.jupiter.api.Test;

class StepFlopsTest {
  /// Counts one by one: 2 operations for each weight and token, in as many products as there are
  /// gradients; and for each pair of tokens that see each other 7 products of a head's size.
  private static double counted(ModelConfig config, int products, long targets, int... lengths) {
    double sum = 0;
    for (Parameter.Spec spec : ModuleTree.parameters(config)) {
      if (spec.kind() == Parameter.Kind.WEIGHT) {
        for (int length : lengths) {
          sum += 2.0 * products * spec.shape().count() * length;
        }
      }
    }
    sum += 2.0 * products * config.vocabulary() * config.hidden() * targets;
    for (ModelConfig.Layer layer : config.layers()) {
      for (int length : lengths) {
        for (int query = 0; query < length; query++) {
          for (int key = 0; key <= query; key++) {
            if (layer.window() == 0 || query - key < layer.window()) {
              sum += 7.0 * 2 * config.heads() * config.headSize();
            }
          }
        }
      }
    }
    return sum;
  }

  @Test
  void countsProductsAndPairs() {
    int[] lengths = {1, 2, 7, 30};
    for (ModelConfig config : new ModelConfig[] {TinyModel.llama(), TinyModel.everything()}) {
      assertThat(StepFlops.of(config, false).pass(25, lengths))
          .isEqualTo(counted(config, 2, 25, lengths));
      assertThat(StepFlops.of(config, true).pass(25, lengths))
          .isEqualTo(counted(config, 3, 25, lengths));
    }
  }
}
