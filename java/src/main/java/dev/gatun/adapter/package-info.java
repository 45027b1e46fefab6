@NullMarked
package dev.gatun.adapter;

import org.jspecify.annotations.NullMarked;
