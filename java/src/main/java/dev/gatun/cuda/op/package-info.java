/// The CUDA backend: one launcher class for each op family, over the kernels of the `native`
/// module.
@NullMarked
package dev.gatun.cuda.op;

import org.jspecify.annotations.NullMarked;
