@NullMarked
package dev.gatun.io;

import org.jspecify.annotations.NullMarked;
