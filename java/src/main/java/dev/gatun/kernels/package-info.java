/// One kernel at a time on the caller's own device memory and stream, beside JCuda or any other
/// user of the CUDA driver: [GatunKernels]. Records describe the operands; nothing here owns them.
@NullMarked
package dev.gatun.kernels;

import org.jspecify.annotations.NullMarked;
