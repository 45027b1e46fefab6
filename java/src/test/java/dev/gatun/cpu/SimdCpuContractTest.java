package dev.gatun.cpu;

import dev.gatun.cpu.simd.SimdSupport;
import dev.gatun.op.AttentionOpsContract;
import dev.gatun.op.Backend;
import dev.gatun.op.CompactOptimizerContract;
import dev.gatun.op.DoraOpsContract;
import dev.gatun.op.EmbeddingOpsContract;
import dev.gatun.op.LossOpsContract;
import dev.gatun.op.MatmulOpsContract;
import dev.gatun.op.MlpOpsContract;
import dev.gatun.op.NormOpsContract;
import dev.gatun.op.OptimizerOpsContract;
import dev.gatun.op.QuantOpsContract;
import dev.gatun.op.RopeOpsContract;
import dev.gatun.op.TensorOpsContract;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;

/// The CPU backend with the Vector API fulfils every contract.
class SimdCpuContractTest {
  private static final Backend backend = CpuBackend.create(3);

  @BeforeAll
  static void requireVectors() {
    Assumptions.assumeTrue(SimdSupport.isAvailable(), "no vectors of 256 bits or more");
  }

  @AfterAll
  static void close() {
    backend.close();
  }

  @Nested
  class Matmul extends MatmulOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Norm extends NormOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Rope extends RopeOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Attention extends AttentionOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Mlp extends MlpOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Loss extends LossOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Embedding extends EmbeddingOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Quant extends QuantOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Optimizer extends OptimizerOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class CompactOptimizer extends CompactOptimizerContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Tensors extends TensorOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }

  @Nested
  class Dora extends DoraOpsContract {
    @Override
    protected Backend backend() {
      return backend;
    }
  }
}
