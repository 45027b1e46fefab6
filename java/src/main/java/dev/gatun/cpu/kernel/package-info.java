/// The inner loops of the CPU backend over plain arrays: what they compute, and the readable
/// version.
@NullMarked
package dev.gatun.cpu.kernel;

import org.jspecify.annotations.NullMarked;
