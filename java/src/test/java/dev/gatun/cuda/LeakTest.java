package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.slf4j.LoggerFactory;

@ExtendWith(FakeDriver.class)
class LeakTest {
  private static final class Recorder extends AppenderBase<ILoggingEvent> {
    final List<String> messages = new CopyOnWriteArrayList<>();

    @Override
    protected void append(ILoggingEvent event) {
      messages.add(event.getFormattedMessage());
    }
  }

  @Test
  void aLostBufferIsReportedAndStaysTaken() throws InterruptedException {
    Recorder recorder = new Recorder();
    recorder.start();
    Logger logger = (Logger) LoggerFactory.getLogger("dev.gatun.cuda");
    logger.addAppender(recorder);
    Context context = Context.open(Device.of(0));
    try (DeviceBuffer kept = context.allocate("kept", 8)) {
      lose(context);
      for (int i = 0; i < 100 && recorder.messages.isEmpty(); i++) {
        System.gc();
        Thread.sleep(20);
      }
      assertThat(kept.byteSize()).isEqualTo(8);
    } finally {
      logger.detachAppender(recorder);
    }
    assertThat(recorder.messages)
        .containsExactly(
            "device buffer lost (64 bytes) was lost without close(): its memory is leaked");
    assertThat(Fake.calls()).containsOnlyOnce("cuMemFree_v2");
    assertThatThrownBy(context::close).hasMessageContaining("device buffer lost (64 bytes)");
  }

  private static void lose(Context context) {
    assertThat(context.allocate("lost", 64).pointer().isNull()).isFalse();
  }
}
