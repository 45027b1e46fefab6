package dev.gatun.generate;

import dev.gatun.InputException;
import dev.gatun.io.Checkpoint;
import dev.gatun.model.ModelConfig;
import dev.gatun.nn.CausalLm;
import dev.gatun.nn.KvCache;
import dev.gatun.op.Backend;
import dev.gatun.text.Tokenizer;
import java.util.List;
import java.util.Set;

/// Questions that a model is asked again and again while it is trained, answered greedily.
///
/// @param questions at least one
/// @param settings greedy
/// @param room what they need
/// @param judge of the answers
/// @param tokenizer stays the caller's
/// @param endOfText ids that end a text
public record HeldOutQuestions(
    List<Question> questions,
    Generator.Settings settings,
    Decoder.Room room,
    ExactMatch judge,
    Tokenizer tokenizer,
    Set<Integer> endOfText) {
  public HeldOutQuestions {
    questions = List.copyOf(questions);
    endOfText = Set.copyOf(endOfText);
  }

  /// @throws InputException if a question leaves no room in the model's context, or an expected
  ///   answer cannot be judged
  public static HeldOutQuestions of(
      QuestionReader.Questions asked,
      Generator.Settings settings,
      ExactMatch judge,
      Checkpoint checkpoint,
      Tokenizer tokenizer) {
    List<Question> questions = asked.list();
    ModelConfig config = checkpoint.config();
    Set<Integer> ends = TextEnds.of(checkpoint.directory(), tokenizer);
    judge.requireAnswers(questions, tokenizer);
    questions.forEach(question -> requireRoom(question, settings, config));
    Decoder.Room room = Decoder.Room.of(prompts(questions), settings, config);
    return new HeldOutQuestions(questions, settings, room, judge, tokenizer, ends);
  }

  private static void requireRoom(
      Question question, Generator.Settings settings, ModelConfig config) {
    int length = question.ids().length;
    if (length == 0) {
      throw new InputException("%s: the prompt has no token".formatted(question.source()));
    }
    if (length + (long) settings.maxNewTokens() > config.maxPositions()) {
      throw new InputException(
          "%s: the prompt has %d tokens and eval_generation_max_new_tokens is %d, but the model's context holds %d; lower the key, or leave the row out"
              .formatted(
                  question.source(), length, settings.maxNewTokens(), config.maxPositions()));
    }
  }

  private static List<int[]> prompts(List<Question> questions) {
    return questions.stream().map(Question::ids).toList();
  }

  /// The same with room for others, too.
  public HeldOutQuestions withRoom(Decoder.Room joint) {
    return new HeldOutQuestions(questions, settings, joint, judge, tokenizer, endOfText);
  }

  /// Asks them all.
  ///
  /// @param network built for the limits of the room, or more
  /// @param cache from the room
  public List<Answer> ask(Backend backend, CausalLm network, KvCache cache) {
    Decoder decoder = new Decoder(backend, network, cache, room, endOfText);
    return judge.judge(questions, decoder.generate(prompts(questions), settings), tokenizer);
  }
}
