package dev.gatun.cuda.op;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gatun.cuda.Device;
import dev.gatun.cuda.op.FewRowProducts.Grid;
import org.junit.jupiter.api.Test;

/// How products of few rows are spread over devices.
class FewRowGridTest {
  private static final Device H100 = device(90, 132, 232_448, 233_472);
  private static final Device ADA = device(89, 128, 101_376, 102_400);

  private static Device device(int capability, int multiprocessors, int block, int all) {
    return new Device(
        0,
        0,
        "GPU",
        capability,
        1L << 34,
        multiprocessors,
        new Device.Clocks(0, 0, 0),
        new Device.Limits(block, all, 50 << 20));
  }

  @Test
  void aRowThatFitsOneBlockNeedsNoSumOverRanges() {
    assertThat(Grid.of(H100, 1, 14336, 4096)).isEqualTo(new Grid(1, 128, 1, 16, 152_576));
    assertThat(Grid.of(H100, 16, 4096, 4096)).isEqualTo(new Grid(1, 128, 1, 16, 173_056));
    assertThat(Grid.of(H100, 16, 4096, 14336)).isEqualTo(new Grid(1, 32, 4, 14, 155_648));
  }

  @Test
  void groupsOfRowsRunSideBySide() {
    assertThat(Grid.of(H100, 64, 14336, 4096)).isEqualTo(new Grid(4, 32, 1, 16, 173_056));
    assertThat(Grid.of(H100, 17, 33, 64)).isEqualTo(new Grid(2, 3, 1, 1, 42_496));
  }

  @Test
  void everyColumnAndRowIsSomeonesAndBlocksFitTheDevice() {
    for (Device device : new Device[] {H100, ADA}) {
      for (long rows : new long[] {1, 8, 9, 33, 64}) {
        for (long in : new long[] {64, 896, 2048, 4160, 28672}) {
          for (long out : new long[] {1, 1024, 4096, 151_936}) {
            Grid grid = Grid.of(device, rows, out, in);
            assertThat((long) grid.warps() * grid.ranges() * 256).isGreaterThanOrEqualTo(in);
            assertThat(grid.groups() * (rows <= 8 ? 8L : 16L)).isGreaterThanOrEqualTo(rows);
            assertThat(grid.sharedBytes() + 128)
                .isLessThanOrEqualTo(device.limits().sharedPerBlock());
            assertThat(grid.warps()).isBetween(1, 16);
            assertThat((long) grid.blocks() * grid.groups()).isBetween(1L, 4096L);
          }
        }
      }
    }
  }
}
