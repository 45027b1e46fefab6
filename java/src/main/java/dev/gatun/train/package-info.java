@NullMarked
package dev.gatun.train;

import org.jspecify.annotations.NullMarked;
