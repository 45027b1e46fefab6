package dev.gatun.text.chat.jinja;

import dev.gatun.text.chat.jinja.Value.Str;
import org.jspecify.annotations.Nullable;

/// Texts filled up to a width.
final class Padding {
  private static final int WIDEST = 1 << 20;

  private Padding() {}

  static Value method(Run run, Arguments given, String name, char side) {
    @Nullable Value[] a = given.bind(name, 2, "self", "width", "fillchar");
    String fill = a[2] == null ? " " : StringMethods.text(a[2]);
    if (fill.codePointCount(0, fill.length()) != 1) {
      throw new Fault("The fill character must be exactly one character long");
    }
    String text = StringMethods.self(run, a[0]);
    long width = Types.whole(a[1] == null ? Value.NONE : a[1]);
    int n = text.codePointCount(0, text.length());
    long missing = Math.max(0, width - n);
    // Python's center puts the odd blank to the left if the width is odd.
    long left = missing / 2 + (missing & width & 1);
    return new Str(fill(run, text, fill, side, missing, left));
  }

  /// @param side `<` fills on the right, `>` on the left, `^` on both sides
  static String pad(Run run, String text, String fill, char side, long width) {
    long missing = Math.max(0, width - text.codePointCount(0, text.length()));
    return fill(run, text, fill, side, missing, missing / 2);
  }

  private static String fill(
      Run run, String text, String fill, char side, long missing, long centredLeft) {
    if (missing > WIDEST) {
      throw new Fault("a width of more than %d characters".formatted(WIDEST));
    }
    run.budget().characters(missing + text.length());
    int left = (int) (side == '<' ? 0 : side == '>' ? missing : centredLeft);
    return fill.repeat(left) + text + fill.repeat((int) missing - left);
  }

  static Value zeros(Run run, Arguments given) {
    @Nullable Value[] a = given.bind("zfill", 2, "self", "width");
    String text = StringMethods.self(run, a[0]);
    boolean signed = text.startsWith("+") || text.startsWith("-");
    String sign = signed ? text.substring(0, 1) : "";
    long width = Types.whole(a[1] == null ? Value.NONE : a[1]) - sign.length();
    return new Str(sign + pad(run, text.substring(sign.length()), "0", '>', width));
  }
}
