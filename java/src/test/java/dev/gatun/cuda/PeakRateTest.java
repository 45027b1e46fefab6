package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import org.assertj.core.data.Percentage;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PeakRateTest {
  /// Figures of NVIDIA's data sheets and architecture papers, in TFLOP/s.
  @ParameterizedTest
  @CsvSource({
    "NVIDIA H100 80GB HBM3, 90, 132, 1980, 989.4",
    "NVIDIA H100 PCIe, 90, 114, 1755, 756",
    "NVIDIA H200, 90, 132, 1980, 989.4",
    "NVIDIA A100-SXM4-80GB, 80, 108, 1410, 312",
    "NVIDIA A10, 86, 72, 1695, 125",
    "NVIDIA L4, 89, 58, 2040, 121",
    "NVIDIA B200, 100, 148, 1965, 2250",
    "NVIDIA A40, 86, 84, 1740, 149.7",
    "NVIDIA GeForce RTX 3090, 86, 82, 1695, 71",
    "NVIDIA GeForce RTX 4090, 89, 128, 2520, 165.2",
    "NVIDIA GeForce RTX 5090, 120, 170, 2407, 209.5",
    "NVIDIA RTX PRO 6000 Blackwell, 120, 188, 2617, 503.8",
    "Some later card, 999, 100, 1000, 0",
    "NVIDIA A40 whose clock is not told, 86, 84, 0, 0"
  })
  void isThatOfTheDataSheet(
      String name, int capability, int multiprocessors, int megahertz, double teraflops) {
    Device device =
        new Device(
            0,
            0,
            name,
            capability,
            0,
            multiprocessors,
            new Device.Clocks(megahertz * 1000, 0, 0),
            new Device.Limits(0, 0, 0));

    assertThat(PeakRate.of(device) / 1e12).isCloseTo(teraflops, Percentage.withPercentage(1));
  }
}
