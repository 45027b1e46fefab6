@NullMarked
package dev.gatun.quant;

import org.jspecify.annotations.NullMarked;
