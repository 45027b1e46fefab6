package dev.gatun.op;

import dev.gatun.tensor.Tensor;

/// The output of a root-mean-square normalisation that is not in memory, by what it is made from:
/// `x·rstd·(offset + weight)`.
///
/// @param x `[T, n]`
/// @param rstd F32 `[T]`, as [NormOps#forward] left it
/// @param weight `[n]`
/// @param offset 0, or 1 for the Gemma convention
public record Normalized(Tensor x, Tensor rstd, Tensor weight, float offset) {}
