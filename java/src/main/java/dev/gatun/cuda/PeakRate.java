package dev.gatun.cuda;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/// The speed of light of a GPU: dense BF16 products with F32 sums, without sparsity.
public final class PeakRate {
  /// FLOP/s by a part of the name, from NVIDIA's data sheets: cards whose boost clock is not the
  /// one that the driver reports. Longer names first.
  private static final List<Named> NAMED =
      List.of(
          new Named("H100 NVL", 835e12),
          new Named("H100 PCIe", 756e12),
          new Named("H100", 989.4e12),
          new Named("H800", 989.4e12),
          new Named("H200 NVL", 835e12),
          new Named("H200", 989.4e12),
          new Named("GH200", 989.4e12),
          new Named("H20", 148e12),
          new Named("A100", 312e12),
          new Named("A800", 312e12),
          new Named("A30", 165e12),
          new Named("A10G", 70e12),
          new Named("A10", 125e12),
          new Named("L40S", 362e12),
          new Named("L40", 181e12),
          new Named("L4", 121e12),
          new Named("B200", 2250e12),
          new Named("B100", 1750e12));

  /// Operations of one multiprocessor in one cycle, by compute capability.
  private static final Map<Integer, Integer> PER_CYCLE =
      Map.of(80, 2048, 86, 1024, 87, 1024, 89, 1024, 90, 4096, 100, 8192, 103, 8192, 120, 1024);

  private record Named(String part, double flops) {}

  private PeakRate() {}

  /// FLOP/s: what the data sheet says, else multiprocessors times clock; 0 for a GPU that neither
  /// knows.
  public static double of(Device device) {
    for (Named named : NAMED) {
      if (device.name().matches(".*\\b" + named.part() + "\\b.*")) {
        return named.flops();
      }
    }
    double perCycle = PER_CYCLE.getOrDefault(device.capability(), 0);
    // Cards for games sum in F32 at half the rate.
    if (device.name().toLowerCase(Locale.ROOT).contains("geforce")) {
      perCycle /= 2;
    }
    return perCycle * device.multiprocessors() * device.clocks().coreKilohertz() * 1e3;
  }
}
