package dev.gatun.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.gatun.bindings.cuda.CUlaunchAttributeValue_union;
import dev.gatun.bindings.cuda.CUlaunchAttribute_st;
import dev.gatun.bindings.cuda.CUlaunchConfig_st;
import dev.gatun.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// The native memory that one thread uses to launch one kernel, allocated once: the packed argument
/// values, the array of pointers to them, and the launch structure that clusters need.
final class ArgumentBlock {
  private static final int BLOCK_ALIGNMENT = 128; // a tensor map's

  private final ArgumentLayout layout;
  private final MemorySegment values;
  private final MemorySegment pointers;
  private final MemorySegment config;

  ArgumentBlock(ArgumentLayout layout) {
    Arena arena = Arena.ofAuto();
    this.layout = layout;
    this.values = arena.allocate(Math.max(8, layout.sizeBytes()), BLOCK_ALIGNMENT);
    this.pointers = arena.allocate(ADDRESS, Math.max(1, layout.arguments().size()));
    for (int i = 0; i < layout.arguments().size(); i++) {
      pointers.setAtIndex(ADDRESS, i, values.asSlice(layout.arguments().get(i).offset()));
    }
    this.config = arena.allocate(CUlaunchConfig_st.layout());
    MemorySegment attribute = arena.allocate(CUlaunchAttribute_st.layout());
    CUlaunchAttribute_st.id(attribute, Cuda.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION());
    CUlaunchConfig_st.attrs(config, attribute);
    CUlaunchConfig_st.numAttrs(config, 1);
  }

  /// Packs `parameters` and queues the kernel; returns the driver's status.
  int launch(
      MemorySegment function, LaunchConfig geometry, MemorySegment stream, Record parameters) {
    layout.packer().accept(values, parameters);
    if (geometry.clusterX() > 1) {
      return launchClusters(function, geometry, stream);
    }
    return Cuda.cuLaunchKernel(
        function,
        geometry.gridX(),
        geometry.gridY(),
        geometry.gridZ(),
        geometry.blockX(),
        geometry.blockY(),
        geometry.blockZ(),
        geometry.dynamicSharedBytes(),
        stream,
        pointers,
        MemorySegment.NULL);
  }

  private int launchClusters(MemorySegment function, LaunchConfig geometry, MemorySegment stream) {
    CUlaunchConfig_st.gridDimX(config, geometry.gridX());
    CUlaunchConfig_st.gridDimY(config, geometry.gridY());
    CUlaunchConfig_st.gridDimZ(config, geometry.gridZ());
    CUlaunchConfig_st.blockDimX(config, geometry.blockX());
    CUlaunchConfig_st.blockDimY(config, geometry.blockY());
    CUlaunchConfig_st.blockDimZ(config, geometry.blockZ());
    CUlaunchConfig_st.sharedMemBytes(config, geometry.dynamicSharedBytes());
    CUlaunchConfig_st.hStream(config, stream);
    MemorySegment attribute = CUlaunchConfig_st.attrs(config);
    MemorySegment cluster =
        CUlaunchAttributeValue_union.clusterDim(CUlaunchAttribute_st.value(attribute));
    CUlaunchAttributeValue_union.clusterDim.x(cluster, geometry.clusterX());
    CUlaunchAttributeValue_union.clusterDim.y(cluster, 1);
    CUlaunchAttributeValue_union.clusterDim.z(cluster, 1);
    return Cuda.cuLaunchKernelEx(config, function, pointers, MemorySegment.NULL);
  }
}
