package dev.gatun.cuda;

import java.util.List;

/// Names a kernel of ours and the record of its parameters. A launcher keeps its specs in static
/// final fields, where the PTX contract test finds them and holds each record against the built
/// PTX.
///
/// @param module the file in `native/src/main/cuda` without its suffix
/// @param entry the `extern "C"` function
/// @param target the build of the module that has the entry
public record KernelSpec<P extends Record>(
    String module, String entry, Class<P> parameters, Target target) {
  /// A kernel that runs on every GPU.
  public KernelSpec(String module, String entry, Class<P> parameters) {
    this(module, entry, parameters, Target.SM80);
  }

  /// What keeps the record from fitting the PTX, one line each; empty if it fits.
  ///
  /// @throws IllegalArgumentException if the PTX has no such entry
  public List<String> mismatches(PtxEntries ptx) {
    return ptx.entry(entry).mismatches(parameters);
  }
}
