@NullMarked
package dev.gatun.optim;

import org.jspecify.annotations.NullMarked;
