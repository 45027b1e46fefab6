@NullMarked
package dev.gatun.conformance;

import org.jspecify.annotations.NullMarked;
