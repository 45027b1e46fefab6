@NullMarked
package dev.gatun.cpu;

import org.jspecify.annotations.NullMarked;
