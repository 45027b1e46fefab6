package dev.gatun.cuda.op;

import dev.gatun.cuda.DevicePtr;
import dev.gatun.cuda.Kernel;
import dev.gatun.cuda.KernelSpec;
import dev.gatun.cuda.LaunchConfig;
import dev.gatun.cuda.Target;
import java.util.List;

/// The tensor core kernels of one padded head size, and how they are launched; `attention.cu` and
/// `sm90a/attention_*.cu` state the contract.
///
/// @param forwardTile queries a block of the forward pass takes; 0 where there is no work list
/// @param backwardTile queries or keys a block of the backward pass takes
/// @param persistent whether blocks take several work items, one block a multiprocessor
/// @param keyParts blocks that share one tile of keys in the backward pass
record AttentionKernels(
    Kernel<Forward> forward,
    Kernel<QueryGradient> queryGradient,
    Kernel<KeyGradient> keyGradient,
    int forwardTile,
    int backwardTile,
    boolean persistent,
    int keyParts,
    Shared shared) {

  /// Dynamic shared memory of each kernel, in bytes.
  record Shared(int forward, int queryGradient, int keyGradient) {}

  private static final List<Integer> BASE_SIZES = List.of(32, 64, 96, 128, 256);
  private static final List<Integer> HOPPER_SIZES = List.of(64, 128);
  private static final List<KernelSpec<Forward>> FORWARD_SPECS =
      specs(BASE_SIZES, "attention", "attention_forward_bf16_d%d", Forward.class, Target.SM80);
  private static final List<KernelSpec<QueryGradient>> QUERY_SPECS =
      specs(
          BASE_SIZES,
          "attention_backward",
          "attention_backward_dq_bf16_d%d",
          QueryGradient.class,
          Target.SM80);
  private static final List<KernelSpec<KeyGradient>> KEY_SPECS =
      specs(
          BASE_SIZES,
          "attention_backward",
          "attention_backward_dkdv_bf16_d%d",
          KeyGradient.class,
          Target.SM80);
  private static final List<KernelSpec<Forward>> HOPPER_FORWARD_SPECS =
      specs(
          HOPPER_SIZES,
          "attention_forward",
          "attention_forward_bf16_d%d_sm90a",
          Forward.class,
          Target.SM90A);
  private static final List<KernelSpec<QueryGradient>> HOPPER_QUERY_SPECS =
      specs(
          HOPPER_SIZES,
          "attention_backward",
          "attention_backward_dq_bf16_d%d_sm90a",
          QueryGradient.class,
          Target.SM90A);
  private static final List<KernelSpec<KeyGradient>> HOPPER_KEY_SPECS =
      specs(
          HOPPER_SIZES,
          "attention_backward",
          "attention_backward_dkdv_bf16_d%d_sm90a",
          KeyGradient.class,
          Target.SM90A);
  private static final KernelSpec<Forward> ANY_FORWARD =
      new KernelSpec<>("attention_any", "attention_forward_bf16_any", Forward.class);
  private static final KernelSpec<QueryGradient> ANY_QUERY =
      new KernelSpec<>("attention_any", "attention_backward_dq_bf16_any", QueryGradient.class);
  private static final KernelSpec<KeyGradient> ANY_KEY =
      new KernelSpec<>("attention_any", "attention_backward_dkdv_bf16_any", KeyGradient.class);

  private static <P extends Record> List<KernelSpec<P>> specs(
      List<Integer> sizes, String module, String entry, Class<P> parameters, Target target) {
    return sizes.stream()
        .map(size -> new KernelSpec<>(module, entry.formatted(size), parameters, target))
        .toList();
  }

  private static final Shared[] BASE_SHARED = {
    new Shared(16384, 24576, 25600),
    new Shared(32768, 49152, 50176),
    new Shared(36864, 73728, 49664),
    new Shared(49152, 98304, 66048),
    new Shared(98304, 98304, 98560)
  };

  /// The kernels for any shape; they need no work list.
  static AttentionKernels any(Launcher launcher) {
    return new AttentionKernels(
        launcher.kernel(ANY_FORWARD),
        launcher.kernel(ANY_QUERY),
        launcher.kernel(ANY_KEY),
        0,
        0,
        false,
        1,
        new Shared(0, 0, 0));
  }

  /// The kernels for a head size that is a multiple of 8, on the device at hand.
  static AttentionKernels of(Launcher launcher, int headSize) {
    return launcher.isHopper() && headSize <= 128
        ? hopper(launcher, headSize <= 64 ? 0 : 1)
        : base(launcher, headSize);
  }

  /// Geometry of a kernel with `heads` work items for each of the list's `capacity` entries.
  LaunchConfig geometry(Launcher launcher, int capacity, int heads, int sharedBytes) {
    int items = Math.multiplyExact(capacity, heads);
    int grid = persistent ? Math.min(launcher.context().device().multiprocessors(), items) : items;
    return LaunchConfig.of(grid, persistent ? 384 : 128).withShared(sharedBytes);
  }

  private static AttentionKernels hopper(Launcher launcher, int index) {
    return new AttentionKernels(
        launcher.kernel(HOPPER_FORWARD_SPECS.get(index)),
        launcher.kernel(HOPPER_QUERY_SPECS.get(index)),
        launcher.kernel(HOPPER_KEY_SPECS.get(index)),
        128,
        128,
        true,
        1,
        index == 0 ? new Shared(83968, 100352, 111616) : new Shared(165888, 198656, 168960));
  }

  private static AttentionKernels base(Launcher launcher, int headSize) {
    int index = 0;
    while (BASE_SIZES.get(index) < headSize) {
      index++;
    }
    return new AttentionKernels(
        launcher.kernel(FORWARD_SPECS.get(index)),
        launcher.kernel(QUERY_SPECS.get(index)),
        launcher.kernel(KEY_SPECS.get(index)),
        BASE_SIZES.get(index) <= 64 ? 128 : 64,
        64,
        false,
        BASE_SIZES.get(index) == 256 ? 2 : 1,
        BASE_SHARED[index]);
  }

  record Forward(
      DevicePtr out,
      DevicePtr lse,
      DevicePtr q,
      DevicePtr k,
      DevicePtr v,
      DevicePtr tiles,
      DevicePtr queryStart,
      DevicePtr keyStart,
      DevicePtr keyLength,
      long outStride,
      long qStride,
      long kStride,
      long vStride,
      int capacity,
      int heads,
      int keyHeads,
      int headSize,
      int window,
      float scale,
      float softcap) {}

  record QueryGradient(
      DevicePtr dq,
      DevicePtr statistics,
      DevicePtr dout,
      DevicePtr q,
      DevicePtr k,
      DevicePtr v,
      DevicePtr out,
      DevicePtr lse,
      DevicePtr tiles,
      DevicePtr queryStart,
      DevicePtr keyStart,
      DevicePtr keyLength,
      long dqStride,
      long doutStride,
      long qStride,
      long kStride,
      long vStride,
      long outStride,
      long tokens,
      int capacity,
      int heads,
      int keyHeads,
      int headSize,
      int window,
      float scale,
      float softcap) {}

  record KeyGradient(
      DevicePtr dk,
      DevicePtr dv,
      DevicePtr dout,
      DevicePtr q,
      DevicePtr k,
      DevicePtr v,
      DevicePtr statistics,
      DevicePtr tiles,
      DevicePtr queryStart,
      DevicePtr keyStart,
      DevicePtr keyLength,
      long dkStride,
      long dvStride,
      long doutStride,
      long qStride,
      long kStride,
      long vStride,
      long tokens,
      int capacity,
      int heads,
      int keyHeads,
      int headSize,
      int window,
      float scale,
      float softcap) {}
}
