@NullMarked
package dev.gatun.generate;

import org.jspecify.annotations.NullMarked;
