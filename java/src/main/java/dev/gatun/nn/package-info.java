@NullMarked
package dev.gatun.nn;

import org.jspecify.annotations.NullMarked;
