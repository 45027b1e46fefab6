@NullMarked
package dev.gatun.model;

import org.jspecify.annotations.NullMarked;
