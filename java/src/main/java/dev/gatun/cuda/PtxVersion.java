package dev.gatun.cuda;

import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// The PTX ISA version that a module is written in, and the driver it needs. Source of the table:
/// the release notes of the PTX ISA and of the CUDA Toolkit.
///
/// @param version `10 * major + minor`
record PtxVersion(int version) {
  private record Release(int cuda, int driver) {}

  private static final Pattern DIRECTIVE =
      Pattern.compile("^\\s*\\.version\\s+(\\d{1,3})\\.(\\d)\\b", Pattern.MULTILINE);

  private static final NavigableMap<Integer, Release> RELEASES = new TreeMap<>();

  static {
    int[][] table = {
      {70, 11000, 450}, {71, 11010, 455}, {72, 11020, 460}, {73, 11030, 465}, {74, 11040, 470},
      {75, 11050, 495}, {76, 11060, 510}, {77, 11070, 515}, {78, 11080, 520}, {80, 12000, 525},
      {81, 12010, 530}, {82, 12020, 535}, {83, 12030, 545}, {84, 12040, 550}, {85, 12050, 555},
      {86, 12070, 565}, {87, 12080, 570}, {88, 12090, 575}, {90, 13000, 580}, {91, 13010, 590},
    };
    for (int[] row : table) {
      RELEASES.put(row[0], new Release(row[1], row[2]));
    }
  }

  /// Reads the `.version` directive.
  ///
  /// @throws IllegalArgumentException if there is none
  static PtxVersion of(String ptx) {
    Matcher matcher = DIRECTIVE.matcher(ptx);
    if (!matcher.find()) {
      throw new IllegalArgumentException("not PTX: there is no .version directive");
    }
    return new PtxVersion(
        Integer.parseInt(matcher.group(1)) * 10 + Integer.parseInt(matcher.group(2)));
  }

  /// The oldest CUDA version, as `cuDriverGetVersion` counts, whose driver reads this PTX.
  int requiredCuda() {
    var entry = RELEASES.ceilingEntry(version);
    return (entry != null ? entry : RELEASES.lastEntry()).getValue().cuda();
  }

  @Override
  public String toString() {
    return version / 10 + "." + version % 10;
  }

  /// The driver series of a CUDA version.
  static int driverSeries(int cuda) {
    return RELEASES.values().stream()
        .filter(release -> release.cuda() >= cuda)
        .mapToInt(Release::driver)
        .min()
        .orElse(RELEASES.lastEntry().getValue().driver());
  }
}
