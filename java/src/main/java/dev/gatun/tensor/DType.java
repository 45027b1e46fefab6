package dev.gatun.tensor;

/// Element types of a [Tensor]. The names are safetensors' own.
public enum DType {
  F64(8),
  F32(4),
  F16(2),
  BF16(2),
  I64(8),
  I32(4),
  I16(2),
  I8(1),
  U8(1),
  BOOL(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /// Size of one element in bytes.
  public int bytes() {
    return bytes;
  }

  /// True for the types a weight or an activation may have.
  public boolean isFloating() {
    return this == F64 || this == F32 || this == F16 || this == BF16;
  }
}
