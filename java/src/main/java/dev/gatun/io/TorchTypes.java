package dev.gatun.io;

import dev.gatun.UnsupportedException;
import dev.gatun.tensor.DType;

/// PyTorch's names of the floating types.
final class TorchTypes {
  private TorchTypes() {}

  /// `bfloat16`, also as `torch.bfloat16`.
  ///
  /// @param where the beginning of the message if the name is not known
  static DType parse(String name, String where) {
    return switch (name.startsWith("torch.") ? name.substring(6) : name) {
      case "float32", "float" -> DType.F32;
      case "bfloat16" -> DType.BF16;
      case "float16", "half" -> DType.F16;
      default ->
          throw new UnsupportedException(
              "%s is %s, a type that is not supported; supported are float32, bfloat16, float16"
                  .formatted(where, Quoted.of(name)));
    };
  }

  /// PyTorch's name of a floating type.
  static String name(DType type) {
    return switch (type) {
      case F32 -> "float32";
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case F64, I64, I32, I16, I8, U8, BOOL ->
          throw new IllegalArgumentException("no weights of type " + type);
    };
  }
}
