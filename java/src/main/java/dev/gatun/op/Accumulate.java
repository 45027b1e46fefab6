package dev.gatun.op;

/// Whether an op replaces its output or adds to it.
public enum Accumulate {
  REPLACE,
  ADD
}
