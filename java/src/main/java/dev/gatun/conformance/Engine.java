package dev.gatun.conformance;

import dev.gatun.op.Backend;
import dev.gatun.tensor.DType;

/// The engine under test.
///
/// @param backend where the numbers are computed; owned by the caller
public record Engine(Backend backend) {
  /// Whether the kit's tolerances for a 16-bit backend apply.
  public boolean isHalfPrecision() {
    return backend.activationType() != DType.F32;
  }
}
