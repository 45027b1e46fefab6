/// Benchmarks: kernels at real shapes, whole training steps, and JMH micro-benchmarks.
@NullMarked
package dev.gatun.bench;

import org.jspecify.annotations.NullMarked;
