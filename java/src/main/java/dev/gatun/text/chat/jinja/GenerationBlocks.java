package dev.gatun.text.chat.jinja;

import java.util.List;

/// Looks for `{% generation %}` blocks.
final class GenerationBlocks {
  private GenerationBlocks() {}

  static boolean in(List<Statement> statements) {
    return statements.stream().anyMatch(GenerationBlocks::in);
  }

  private static boolean in(Statement statement) {
    return switch (statement) {
      case Statement.Generation _ -> true;
      case Statement.If branches ->
          branches.branches().stream().anyMatch(branch -> in(branch.body()))
              || in(branches.otherwise());
      case Statement.For loop -> in(loop.body()) || in(loop.otherwise());
      case Statement.SetBlock set -> in(set.body());
      case Statement.Macro macro -> in(macro.body());
      case Statement.CallBlock call -> in(call.body());
      case Statement.FilterBlock filter -> in(filter.body());
      case Statement.With with -> in(with.body());
      case Statement.Data _,
          Statement.Print _,
          Statement.Set _,
          Statement.Break _,
          Statement.Continue _ ->
          false;
    };
  }
}
