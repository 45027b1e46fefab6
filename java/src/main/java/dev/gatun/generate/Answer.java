package dev.gatun.generate;

/// What a model answered.
///
/// @param generated the text, without the token that ended it
/// @param match whether it is the expected answer, see [ExactMatch]
public record Answer(Question question, String generated, boolean match) {}
