package dev.gatun.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class PtxEntriesTest {
  private static final String PTX =
      """
      // Compiler: .entry comment_only(.param .u32 x)
      .version 9.0
      .target sm_80
      .address_size 64
      /* .entry also_comment() */
      .visible .entry k(
      \t.param .align 128 .b8 k_param_0[128],
      \t.param .u64 k_param_1,
      \t.param .u32 k_param_2, // the count
      \t.param .u64 .ptr .align 1 k_param_3,
      \t.param .f32 k_param_4,
      \t.param .f64 k_param_5,
      \t.param .u16 k_param_6
      )
      .maxntid 128, 1, 1
      {
        ret;
      }
      .visible .entry empty()
      { ret; }
      .entry bare
      { ret; }
      .visible .entry flags(.param .u8 flags_param_0) { ret; }
      """;

  private record Fits(TensorMap map, DevicePtr a, int n, DevicePtr b, float f, double d, short s) {}

  private record WrongType(
      TensorMap map, DevicePtr a, float n, DevicePtr b, float f, double d, short s) {}

  private record WrongOrder(
      DevicePtr a, TensorMap map, int n, DevicePtr b, float f, double d, short s) {}

  private record LongForPointer(TensorMap map, long a, int n, long b, float f, double d, short s) {}

  private record TooFew(TensorMap map, DevicePtr a, int n) {}

  private record Nothing() {}

  @Test
  void readsEntriesAndParameters() {
    PtxEntries ptx = PtxEntries.parse(PTX);
    assertThat(ptx.entries()).containsOnlyKeys("k", "empty", "bare", "flags");
    assertThat(ptx.entry("k").parameters())
        .containsExactly(
            new PtxEntries.Parameter("b8", 128, 128, 0, false),
            new PtxEntries.Parameter("u64", 8, 8, 128, false),
            new PtxEntries.Parameter("u32", 4, 4, 136, false),
            new PtxEntries.Parameter("u64", 8, 8, 144, true),
            new PtxEntries.Parameter("f32", 4, 4, 152, false),
            new PtxEntries.Parameter("f64", 8, 8, 160, false),
            new PtxEntries.Parameter("u16", 2, 2, 168, false));
  }

  @Test
  void holdsRecordsAgainstEntries() {
    PtxEntries ptx = PtxEntries.parse(PTX);
    assertThat(ptx.entry("k").mismatches(Fits.class)).isEmpty();
    assertThat(ptx.entry("empty").mismatches(Nothing.class)).isEmpty();
    assertThat(ptx.entry("bare").mismatches(Nothing.class)).isEmpty();
    assertThat(ptx.entry("k").mismatches(WrongType.class))
        .singleElement()
        .asString()
        .startsWith("k: parameter 2 is .u32 and component n of ")
        .endsWith("WrongType is FLOAT");
    assertThat(ptx.entry("k").mismatches(WrongOrder.class))
        .hasSize(2)
        .first()
        .asString()
        .contains("a structure of 128 bytes and component a");
    assertThat(ptx.entry("k").mismatches(LongForPointer.class))
        .singleElement()
        .asString()
        .contains("parameter 3 is .u64 and component b")
        .endsWith("is LONG");
    assertThat(ptx.entry("k").mismatches(TooFew.class))
        .singleElement()
        .asString()
        .startsWith("k has 7 parameters")
        .endsWith("has 3 components");
    assertThat(ptx.entry("flags").mismatches(Nothing.class)).hasSize(1);
    assertThatThrownBy(() -> ptx.entry("missing")).hasMessageContaining("no entry missing");
  }

  @Test
  void refusesOtherText() {
    assertThatThrownBy(() -> PtxEntries.parse("int main() {}")).hasMessageContaining(".version");
    assertThatThrownBy(() -> PtxEntries.parse(".version 8.0\n.entry f(int x) {}"))
        .hasMessage("not a kernel parameter: int x");
  }

  @Test
  void knowsTheDriverThatReadsAVersion() {
    assertThat(PtxVersion.of(PTX).requiredCuda()).isEqualTo(13000);
    assertThat(PtxVersion.of("\n.version 7.0\n").requiredCuda()).isEqualTo(11000);
    assertThat(PtxVersion.of(".version 8.0").requiredCuda()).isEqualTo(12000);
    assertThat(PtxVersion.of(".version 99.9").requiredCuda()).isEqualTo(13010);
    assertThat(PtxVersion.driverSeries(12080)).isEqualTo(570);
    assertThat(PtxVersion.driverSeries(13000)).isEqualTo(580);
  }
}
