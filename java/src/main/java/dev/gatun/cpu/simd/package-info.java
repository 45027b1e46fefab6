@NullMarked
package dev.gatun.cpu.simd;

import org.jspecify.annotations.NullMarked;
