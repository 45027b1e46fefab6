package dev.gatun.generate;

/// A held-out row: what the model is asked, and what it should answer.
///
/// @param source where the row stands: `eval.jsonl line 7`
/// @param prompt the text that is continued
/// @param ids the prompt's token ids
/// @param expected the answer, without the token that ends the text
public record Question(String source, String prompt, int[] ids, String expected) {}
