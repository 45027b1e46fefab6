package dev.gatun.nn;

import dev.gatun.op.AttentionOps.Sequences;
import dev.gatun.tensor.Tensor;

/// What the decoder layers need to know about the tokens of a pass, in the backend's memory.
///
/// @param count `T`
/// @param ids I32 `[T]`
/// @param ropeRows I32 `[T]`: each token's row in `cos` and `sin`
/// @param cos F32 `[P, rotary/2]`
/// @param sin F32 `[P, rotary/2]`
record Tokens(
    int count, Tensor ids, Tensor ropeRows, Tensor cos, Tensor sin, Sequences sequences) {}
