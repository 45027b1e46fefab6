package dev.gatun.cuda;

/// The architectures that kernels are built for.
public enum Target {
  /// Runs on every GPU from Ampere on; compiled by the driver.
  SM80(".ptx"),
  /// Hopper's own instructions; runs on compute capability 9.0 only.
  SM90A(".sm90a.ptx");

  private final String suffix;

  Target(String suffix) {
    this.suffix = suffix;
  }

  /// The classpath resource of a module: `/dev/gatun/kernels/norm.ptx`.
  public String resource(String module) {
    return "/dev/gatun/kernels/" + module + suffix;
  }

  /// True if code for this target runs on the device.
  public boolean runsOn(Device device) {
    return switch (this) {
      case SM80 -> device.capability() >= 80;
      case SM90A -> device.capability() == 90;
    };
  }
}
