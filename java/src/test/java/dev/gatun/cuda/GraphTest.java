package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(FakeDriver.class)
class GraphTest {
  @Test
  void capturesUpdatesAndLaunches() {
    try (Context context = Context.open(Device.of(0), true);
        Stream stream = context.stream("compute");
        DeviceBuffer buffer = context.allocate("b", 64);
        Graph graph =
            Graph.capture(
                "step",
                stream,
                () -> {
                  stream.fill(buffer, 0, 64, (byte) 1);
                  stream.fill(buffer, 0, 4, 7);
                })) {
      assertThat(graph.nodeCount()).isEqualTo(2);
      graph.launch(stream);
      assertThat(graph.update(stream, () -> stream.fill(buffer, 0, 4, 8))).isTrue();
      assertThat(graph.nodeCount()).isEqualTo(2);
      Fake.set(Fake.State.MISMATCH, 1);
      assertThat(graph.update(stream, () -> stream.fill(buffer, 0, 4, 8))).isFalse();
      assertThat(graph.nodeCount()).isEqualTo(1);
      graph.close();
      assertThatThrownBy(() -> graph.launch(stream)).isInstanceOf(IllegalStateException.class);
    }
    assertThat(Fake.calls().stream().filter("cuGraphDestroy"::equals)).hasSize(3);
    assertThat(Fake.calls().stream().filter("cuGraphExecDestroy"::equals)).hasSize(2);
    assertThat(Fake.calls()).containsOnlyOnce("cuGraphLaunch");
  }

  @Test
  void aFailedCaptureLeavesTheStreamUsable() {
    try (Context context = Context.open(Device.of(0));
        Stream stream = context.stream("compute")) {
      assertThatThrownBy(() ->
              Graph.capture(
                  "bad",
                  stream,
                  () -> {
                    throw new IllegalArgumentException("work failed");
                  }))
          .isInstanceOf(IllegalArgumentException.class)
          .hasNoSuppressedExceptions();
      assertThat(Fake.get(Fake.State.CAPTURING)).isZero();
      assertThat(stream.isCapturing()).isFalse();
      assertThat(Fake.calls()).containsOnlyOnce("cuGraphDestroy");
      stream.synchronize();
    }
  }

  @Test
  void launchesInBlockingModeDoNotWaitDuringCapture() {
    record Nothing() {}
    try (Context context = Context.open(Device.of(0), true);
        Stream stream = context.stream("compute");
        Module module =
            Module.ofPtx(context, "m", ".version 8.0\n.target sm_80\n.address_size 64\n")) {
      Kernel<Nothing> kernel = module.kernel("nothing", Nothing.class);
      try (Graph graph =
          Graph.capture(
              "one", stream, () -> kernel.launch(LaunchConfig.of(1, 1), stream, new Nothing()))) {
        assertThat(graph.nodeCount()).isEqualTo(1);
        assertThat(Fake.calls()).doesNotContain("cuStreamSynchronize");
        graph.launch(stream);
        assertThat(Fake.calls()).containsOnlyOnce("cuStreamSynchronize");
      }
    }
  }
}
