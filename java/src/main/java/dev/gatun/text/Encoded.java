package dev.gatun.text;

/// Token ids with the part of the text that each stands for.
///
/// @param ids token ids
/// @param starts first Unicode code point of each token in the text (not UTF-16 unit)
/// @param ends code point after each token; `starts[i] == ends[i] == 0` for a token that the
///   post-processor added
public record Encoded(int[] ids, int[] starts, int[] ends) {}
