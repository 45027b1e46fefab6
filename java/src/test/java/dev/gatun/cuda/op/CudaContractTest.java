package dev.gatun.cuda.op;

import dev.gatun.op.AttentionOpsContract;
import dev.gatun.op.Backend;
import dev.gatun.op.CompactOptimizerContract;
import dev.gatun.op.DoraOpsContract;
import dev.gatun.op.EmbeddingOpsContract;
import dev.gatun.op.LossOpsContract;
import dev.gatun.op.MatmulOpsContract;
import dev.gatun.op.MlpOpsContract;
import dev.gatun.op.NormOpsContract;
import dev.gatun.op.OffloadContract;
import dev.gatun.op.OptimizerOpsContract;
import dev.gatun.op.QuantOpsContract;
import dev.gatun.op.RopeOpsContract;
import dev.gatun.op.TensorOpsContract;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;

/// The CUDA backend fulfils every contract, on a machine with a GPU.
@Tag("gpu")
class CudaContractTest {
  @RegisterExtension private static final Gpu gpu = new Gpu();

  @Nested
  class Matmul extends MatmulOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Norm extends NormOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Rope extends RopeOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Attention extends AttentionOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Mlp extends MlpOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Loss extends LossOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Embedding extends EmbeddingOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Quant extends QuantOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Optimizer extends OptimizerOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Offload extends OffloadContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class CompactOptimizer extends CompactOptimizerContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Tensors extends TensorOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }

  @Nested
  class Dora extends DoraOpsContract {
    @Override
    protected Backend backend() {
      return gpu.backend();
    }
  }
}
