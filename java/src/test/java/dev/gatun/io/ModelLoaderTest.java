package dev.gatun.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.cpu.CpuBackend;
import dev.gatun.model.ModelWeights;
import dev.gatun.op.Backend;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.DynamicMap;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.HostStorage;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelLoaderTest {
  private static final Backend cpu = CpuBackend.create(2);
  private static final String UP = "model.layers.1.mlp.up_proj";
  private static final WeightFormat STORED = new WeightFormat.AsStored();

  @TempDir Path dir;
  private TinyCheckpoint tiny;

  @BeforeEach
  void writeCheckpoint() throws IOException {
    tiny = new TinyCheckpoint(dir.resolve("tiny"), DType.F32);
  }

  @AfterAll
  static void closeBackend() {
    cpu.close();
  }

  @Test
  void hostWeightsStayInTheMappedFile() {
    try (Checkpoint checkpoint = tiny.open();
        TensorArena arena = cpu.arena("weights", 1)) {
      assertThat(ModelLoader.plannedBytes(checkpoint, cpu, STORED)).isZero();
      ModelWeights weights = ModelLoader.load(checkpoint, cpu, arena, STORED);
      assertThat(weights.linears()).hasSize(2 * 7 + 1);
      assertThat(weights.tensors()).hasSize(2 * 6 + 2);
      assertSameValues(weights);
    }
  }

  @Test
  void otherBackendsGetCopiesOfExactlyThePlannedSize() {
    Backend device = withoutHostMemory(cpu);
    try (Checkpoint checkpoint = tiny.open()) {
      long planned = ModelLoader.plannedBytes(checkpoint, device, STORED);
      try (TensorArena arena = device.arena("weights", planned)) {
        ModelWeights weights = ModelLoader.load(checkpoint, device, arena, STORED);
        assertThat(arena.peakBytes()).isEqualTo(planned);
        assertSameValues(weights);
      }
    }
  }

  @Test
  void normsAndBiasesOfAnotherTypeBecomeF32() throws IOException {
    tiny = new TinyCheckpoint(dir.resolve("bf16"), DType.BF16);
    try (Checkpoint checkpoint = tiny.open()) {
      long planned = ModelLoader.plannedBytes(checkpoint, cpu, STORED);
      try (TensorArena arena = cpu.arena("weights", planned)) {
        ModelWeights weights = ModelLoader.load(checkpoint, cpu, arena, STORED);
        assertThat(arena.peakBytes()).isEqualTo(planned);
        assertThat(weights.tensor("model.norm.weight").dtype()).isEqualTo(DType.F32);
        assertThat(weights.tensor("model.embed_tokens.weight").dtype()).isEqualTo(DType.BF16);
        assertThat(dense(weights, UP).dtype()).isEqualTo(DType.BF16);
        assertSameValues(weights);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "F16", "BF16"})
  void matricesAreRoundedWhereTheBackendMultipliesSixteenBits(DType stored) throws IOException {
    tiny = new TinyCheckpoint(dir.resolve("stored"), stored);
    Backend device = withoutHostMemory(cpu, DType.BF16);
    try (Checkpoint checkpoint = tiny.open()) {
      for (WeightFormat format :
          List.of(new WeightFormat.Operand(), new WeightFormat.Nf4(64, true))) {
        long planned = ModelLoader.plannedBytes(checkpoint, device, format);
        try (TensorArena arena = device.arena("weights", planned)) {
          ModelWeights weights = ModelLoader.load(checkpoint, device, arena, format);
          assertThat(arena.peakBytes()).isEqualTo(planned);
          assertRounded(weights.tensor("model.embed_tokens.weight"), "model.embed_tokens.weight");
          assertRounded(dense(weights, "lm_head"), "lm_head.weight");
          if (format instanceof WeightFormat.Operand) {
            assertRounded(dense(weights, UP), UP + ".weight");
          }
          assertThat(weights.tensor("model.norm.weight").toFloats())
              .isEqualTo(tiny.tensor("model.norm.weight").toFloats());
        }
      }
    }
  }

  /// Else every update of a row would be rounded to the type that the checkpoint happens to have.
  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "F16", "BF16"})
  void tablesWithTrainedRowsHaveThePrecisionOfTheBackend(DType stored) throws IOException {
    tiny = new TinyCheckpoint(dir.resolve("trained-rows"), stored);
    try (Checkpoint checkpoint = tiny.open().withTrainedRows()) {
      long planned = ModelLoader.plannedBytes(checkpoint, cpu, STORED);
      try (TensorArena arena = cpu.arena("weights", planned)) {
        ModelWeights weights = ModelLoader.load(checkpoint, cpu, arena, STORED);
        assertThat(arena.peakBytes()).isEqualTo(planned);
        Tensor embedding = weights.tensor("model.embed_tokens.weight");
        Tensor head = dense(weights, "lm_head");
        assertThat(embedding.dtype()).isEqualTo(DType.F32);
        assertThat(head.dtype()).isEqualTo(DType.F32);
        assertSameValues(weights);
      }
    }
  }

  private void assertRounded(Tensor actual, String name) {
    Tensor source = tiny.tensor(name);
    assertThat(actual.dtype()).isEqualTo(DType.BF16);
    assertThat(actual.toFloats())
        .isEqualTo(Tensor.ofRounded(DType.BF16, source.shape(), source.toFloats()).toFloats());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void quantisesEveryDecoderLinearAndNothingElse(boolean hostMemory) {
    Backend backend = hostMemory ? cpu : withoutHostMemory(cpu);
    WeightFormat format = new WeightFormat.Nf4(64, true);
    try (Checkpoint checkpoint = tiny.open()) {
      long planned = ModelLoader.plannedBytes(checkpoint, backend, format);
      try (TensorArena arena = backend.arena("weights", planned)) {
        ModelWeights weights = ModelLoader.load(checkpoint, backend, arena, format);
        assertThat(arena.peakBytes()).isEqualTo(planned);
        assertThat(weights.linears())
            .allSatisfy((path, weight) ->
                assertThat(weight)
                    .isInstanceOf(path.equals("lm_head") ? Weight.Dense.class : Weight.Nf4.class));
        Weight.Nf4 up = (Weight.Nf4) weights.linear(UP);
        assertThat(up.absmax()).isInstanceOf(Absmax.Nested.class);
        float[] source = tiny.tensor(UP + ".weight").toFloats();
        assertThat(nibblesOfFirstBlock(up)).isEqualTo(expectedNibbles(source));
      }
    }
  }

  @Test
  void unalignedTensorsAreCopied() throws IOException {
    try (Checkpoint checkpoint = tiny.open()) {
      assertThat(checkpoint.names()).isNotEmpty();
    }
    Path file = tiny.directory.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    // One more space of padding moves all data off its alignment.
    byte[] shifted = new byte[bytes.length + 1];
    int header = (bytes[0] & 0xFF) | ((bytes[1] & 0xFF) << 8);
    System.arraycopy(bytes, 0, shifted, 0, 8 + header);
    shifted[8 + header] = ' ';
    System.arraycopy(bytes, 8 + header, shifted, 9 + header, bytes.length - 8 - header);
    shifted[0] = (byte) (header + 1);
    shifted[1] = (byte) ((header + 1) >> 8);
    Files.write(file, shifted);
    try (Checkpoint checkpoint = Checkpoint.open(tiny.directory)) {
      long planned = ModelLoader.plannedBytes(checkpoint, cpu, STORED);
      assertThat(planned).isPositive();
      try (TensorArena arena = cpu.arena("weights", planned)) {
        assertSameValues(ModelLoader.load(checkpoint, cpu, arena, STORED));
      }
    }
  }

  @Test
  void readsWeightsThatAreStoredInFourBits() {
    pack(UP, "nf4");
    try (Checkpoint checkpoint = tiny.open();
        TensorArena arena = cpu.arena("weights", 1 << 20)) {
      ModelWeights weights = ModelLoader.load(checkpoint, cpu, arena, STORED);
      Weight.Nf4 up = (Weight.Nf4) weights.linear(UP);
      assertThat(up.out()).isEqualTo(28);
      assertThat(up.in()).isEqualTo(20);
      assertThat(up.sourceType()).isEqualTo(DType.BF16);
      assertThat(((Absmax.Nested) up.absmax()).offset()).isEqualTo(0.25f);
      assertThat(weights.linear("lm_head")).isInstanceOf(Weight.Dense.class);
    }
  }

  @Test
  void otherFourBitTypesAreUnsupported() {
    pack(UP, "fp4");
    assertLoadFails(UnsupportedException.class, "'fp4'");
  }

  @Test
  void damagedFourBitWeightsAreRefused() {
    pack(UP, "nf4");
    tiny.tensors.remove(UP + ".weight.nested_absmax");
    assertLoadFails(InputException.class, UP + ".weight.nested_absmax");
    pack(UP, "nf4");
    tiny.tensors.put(UP + ".weight.absmax", bytes(new byte[3]));
    assertLoadFails(InputException.class, UP + ".weight.absmax' is U8 [3]");
    pack(UP, "nf4");
    tiny.tensors.put(UP + ".weight.quant_map", Tensor.ofFloats(Shape.of(16), new float[16]));
    assertLoadFails(UnsupportedException.class, "is not the NF4 code book");
    pack(UP, "nf4");
    tiny.tensors.put(
        UP + ".weight.quant_state.bitsandbytes__nf4",
        bytes("{\"quant_type\":".getBytes(StandardCharsets.UTF_8)));
    assertLoadFails(InputException.class, "bitsandbytes__nf4' is not valid JSON");
  }

  @Test
  void everyTensorMustBeThereAndFit() {
    Tensor norm = tiny.tensors.remove("model.norm.weight");
    assertLoadFails(InputException.class, "holds no tensor 'model.norm.weight'");
    tiny.tensors.put("model.norm.weight", Tensor.ofFloats(Shape.of(2), 1, 2));
    assertLoadFails(InputException.class, "'model.norm.weight' has shape [2]");
    tiny.tensors.put("model.norm.weight", Tensor.ofInts(Shape.of(20), new int[20]));
    assertLoadFails(InputException.class, "'model.norm.weight' is I32");
    tiny.tensors.put("model.norm.weight", norm);
    tiny.tensors.put("model.layers.2.mlp.up_proj.weight", norm);
    assertLoadFails(InputException.class, "'model.layers.2.mlp.up_proj.weight' is no part");
    tiny.tensors.remove("model.layers.2.mlp.up_proj.weight");
    tiny.tensors.put("model.layers.0.self_attn.rotary_emb.inv_freq", norm);
    try (Checkpoint checkpoint = tiny.open()) {
      assertThat(ModelLoader.plannedBytes(checkpoint, cpu, STORED)).isZero();
    }
  }

  @Test
  void aTiedModelNeedsNoOutputHead() throws IOException {
    Files.writeString(
        tiny.directory.resolve("config.json"),
        TinyCheckpoint.CONFIG.replace("}", ", \"tie_word_embeddings\": true}"));
    try (Checkpoint withHead = tiny.open();
        TensorArena arena = cpu.arena("weights", 1)) {
      assertThat(ModelLoader.load(withHead, cpu, arena, STORED).linears())
          .doesNotContainKey("lm_head");
    }
    tiny.tensors.remove("lm_head.weight");
    try (Checkpoint without = tiny.open()) {
      assertThat(ModelLoader.plannedBytes(without, cpu, STORED)).isZero();
    }
  }

  private void assertLoadFails(Class<? extends Exception> type, String message) {
    try (Checkpoint checkpoint = tiny.open()) {
      assertThatThrownBy(() -> ModelLoader.plannedBytes(checkpoint, cpu, STORED))
          .isInstanceOf(type)
          .hasMessageContaining("model.safetensors")
          .hasMessageContaining(message)
          .hasMessageNotContaining("\n");
    }
  }

  private void assertSameValues(ModelWeights weights) {
    weights
        .tensors()
        .forEach((name, tensor) ->
            assertThat(tensor.toFloats()).as(name).isEqualTo(tiny.tensor(name).toFloats()));
    weights
        .linears()
        .forEach((path, weight) ->
            assertThat(dense(weights, path).toFloats())
                .as(path)
                .isEqualTo(tiny.tensor(path + ".weight").toFloats()));
  }

  private static Tensor dense(ModelWeights weights, String path) {
    return ((Weight.Dense) weights.linear(path)).tensor();
  }

  private static byte[] nibblesOfFirstBlock(Weight.Nf4 weight) {
    byte[] nibbles = new byte[64];
    for (int i = 0; i < 64; i++) {
      int b = weight.packed().segment().get(ValueLayout.JAVA_BYTE, i / 2) & 0xFF;
      nibbles[i] = (byte) (i % 2 == 0 ? b >> 4 : b & 15);
    }
    return nibbles;
  }

  private static byte[] expectedNibbles(float[] source) {
    byte[] nibbles = new byte[64];
    Nf4Codec.quantizeBlock(source, 0, 64, Nf4Codec.absmax(source, 0, 64), nibbles, 0);
    return nibbles;
  }

  /// Replaces a 28x20 weight by its 4-bit parts: 560 elements, 9 blocks.
  private void pack(String path, String type) {
    String name = path + ".weight";
    tiny.tensors.put(name, bytes(new byte[280]).reshape(280, 1));
    tiny.tensors.put(name + ".absmax", bytes(new byte[9]));
    tiny.tensors.put(name + ".quant_map", Tensor.ofFloats(Shape.of(16), Nf4Codec.codebook()));
    tiny.tensors.put(name + ".nested_absmax", Tensor.ofFloats(Shape.of(1), 2));
    tiny.tensors.put(
        name + ".nested_quant_map", Tensor.ofFloats(Shape.of(256), DynamicMap.signed()));
    String state =
        """
        {"quant_type": "%s", "blocksize": 64, "dtype": "bfloat16", "shape": [28, 20], \
        "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.25}\
        """
            .formatted(type);
    tiny.tensors.put(
        name + ".quant_state.bitsandbytes__" + type, bytes(state.getBytes(StandardCharsets.UTF_8)));
  }

  private static Tensor bytes(byte[] bytes) {
    return Tensor.of(
        new HostStorage(MemorySegment.ofArray(bytes)), 0, DType.U8, Shape.of(bytes.length));
  }

  /// The CPU, posing as a device that cannot read host memory.
  private static Backend withoutHostMemory(Backend backend) {
    return withoutHostMemory(backend, backend.activationType());
  }

  /// The same with another activation type.
  private static Backend withoutHostMemory(Backend backend, DType activationType) {
    return (Backend)
        Proxy.newProxyInstance(
            Backend.class.getClassLoader(),
            new Class<?>[] {Backend.class},
            (proxy, method, arguments) -> {
              if (method.getName().equals("usesHostMemory")) {
                return false;
              }
              if (method.getName().equals("activationType")) {
                return activationType;
              }
              try {
                return method.invoke(backend, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
