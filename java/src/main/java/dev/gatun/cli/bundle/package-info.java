/// Self-contained archives for hosts without Java.
@NullMarked
package dev.gatun.cli.bundle;

import org.jspecify.annotations.NullMarked;
