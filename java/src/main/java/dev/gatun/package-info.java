@NullMarked
package dev.gatun;

import org.jspecify.annotations.NullMarked;
