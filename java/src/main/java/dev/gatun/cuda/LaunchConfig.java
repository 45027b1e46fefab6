package dev.gatun.cuda;

/// The geometry of one launch: blocks in the grid, threads in a block, bytes of dynamic shared
/// memory a block, and blocks in a thread block cluster along x (1 = no clusters).
public record LaunchConfig(
    int gridX,
    int gridY,
    int gridZ,
    int blockX,
    int blockY,
    int blockZ,
    int dynamicSharedBytes,
    int clusterX) {

  public LaunchConfig {
    if (gridX < 1 || gridY < 1 || gridZ < 1 || gridY > 65535 || gridZ > 65535) {
      throw new IllegalArgumentException(
          "grid %d x %d x %d is outside 1.. x 1..65535 x 1..65535".formatted(gridX, gridY, gridZ));
    }
    if (blockX < 1 || blockY < 1 || blockZ < 1 || (long) blockX * blockY * blockZ > 1024) {
      throw new IllegalArgumentException(
          "block %d x %d x %d is outside 1..1024 threads".formatted(blockX, blockY, blockZ));
    }
    if (dynamicSharedBytes < 0) {
      throw new IllegalArgumentException(dynamicSharedBytes + " bytes of shared memory");
    }
    if (clusterX < 1 || clusterX > 16 || gridX % clusterX != 0) {
      throw new IllegalArgumentException(
          "cluster of %d blocks does not divide a grid of %d".formatted(clusterX, gridX));
    }
  }

  /// A one-dimensional launch.
  public static LaunchConfig of(int gridX, int blockX) {
    return new LaunchConfig(gridX, 1, 1, blockX, 1, 1, 0, 1);
  }

  /// A one-dimensional launch whose blocks cover `count` items, `perBlock` each.
  ///
  /// @throws ArithmeticException if that takes more than 2^31-1 blocks
  public static LaunchConfig cover(long count, int perBlock, int blockX) {
    return of(Math.toIntExact(Math.ceilDiv(count, (long) perBlock)), blockX);
  }

  public LaunchConfig withGrid(int x, int y, int z) {
    return new LaunchConfig(x, y, z, blockX, blockY, blockZ, dynamicSharedBytes, clusterX);
  }

  public LaunchConfig withBlock(int x, int y, int z) {
    return new LaunchConfig(gridX, gridY, gridZ, x, y, z, dynamicSharedBytes, clusterX);
  }

  /// More than 48 KiB is opted in to at the first such launch of a kernel.
  public LaunchConfig withShared(int bytes) {
    return new LaunchConfig(gridX, gridY, gridZ, blockX, blockY, blockZ, bytes, clusterX);
  }

  public LaunchConfig withCluster(int x) {
    return new LaunchConfig(gridX, gridY, gridZ, blockX, blockY, blockZ, dynamicSharedBytes, x);
  }

  @Override
  public String toString() {
    return "grid %dx%dx%d, block %dx%dx%d, %d B dynamic shared, cluster %d"
        .formatted(gridX, gridY, gridZ, blockX, blockY, blockZ, dynamicSharedBytes, clusterX);
  }
}
