@NullMarked
package dev.gatun.op;

import org.jspecify.annotations.NullMarked;
