package dev.gatun.conformance;

import dev.gatun.io.PackedWeight;
import dev.gatun.io.SafeTensors;
import dev.gatun.op.Backend;
import dev.gatun.op.Nf4Layout;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Absmax;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;

/// `nf4/`: 4-bit quantisation against bitsandbytes, and checkpoints that it quantised.
public final class Nf4Part implements Part {
  /// Double quantisation may put one code a step away: the mean of the scales depends on the order
  /// of the summation in its last bit.
  private static final int STRAY_CODES = 1;

  @Override
  public String name() {
    return "nf4";
  }

  @Override
  public List<Case> cases(Path kit) {
    Path folder = kit.resolve(name());
    List<Case> cases = new ArrayList<>();
    for (Path file : KitFiles.files(folder, ".safetensors")) {
      String stem = file.getFileName().toString().replace(".safetensors", "");
      cases.add(Part.named(stem, (checks, engine) -> run(folder, stem, checks, engine)));
    }
    for (Path directory : KitFiles.directories(folder, "golden.safetensors")) {
      cases.add(
          Part.named(
              directory.getFileName().toString(),
              (checks, engine) -> PackedCheckpointCase.run(directory, checks, engine)));
    }
    return cases;
  }

  private static void run(Path folder, String stem, Checks checks, Engine engine) {
    JsonNode json = KitFiles.json(folder.resolve(stem + ".json"));
    String type = json.path("quant_type").asString("");
    if (!type.equals("nf4")) {
      checks.notSupported("4-bit format " + type);
      return;
    }
    try (SafeTensors golden = SafeTensors.open(folder.resolve(stem + ".safetensors"));
        TensorArena arena = engine.backend().arena("nf4 case", arenaBytes(golden, json))) {
      new Vectors(golden, json, engine.backend(), arena, checks).check();
    }
  }

  /// Room for the source, two weights and the dequantised values.
  private static long arenaBytes(SafeTensors golden, JsonNode json) {
    Nf4Layout layout = layout(golden, json);
    long values = TensorArena.sizeOf(DType.F32, golden.tensor("weight").count());
    return 3 * layout.arenaBytes() + 6 * values + 16 * TensorArena.ALIGNMENT;
  }

  private static Nf4Layout layout(SafeTensors golden, JsonNode json) {
    Tensor weight = golden.tensor("weight");
    return new Nf4Layout(
        weight.shape().dim(0),
        weight.shape().dim(1),
        json.path("blocksize").asInt(),
        golden.contains("nested_absmax"),
        weight.dtype());
  }

  /// The vectors of one file.
  private record Vectors(
      SafeTensors golden, JsonNode json, Backend backend, TensorArena arena, Checks checks) {

    void check() {
      checkBits("code book", Tensor.ofFloats(Shape.of(16), Nf4Codec.codebook()), "quant_map");
      Weight.Nf4 quantized =
          backend.quant().quantize(layout(golden, json).allocate(arena), upload("weight"), arena);
      checkBytes("packed", quantized.packed(), "packed");
      switch (quantized.absmax()) {
        case Absmax.Plain(Tensor values) -> checkBits("absmax", backend.download(values), "absmax");
        case Absmax.Nested nested -> checkNested(nested);
      }
      checkDequantised(goldenWeight(quantized), "dequantised");
      if (PackedWeight.isStored(golden, "serialised.weight")) {
        checkDequantised(
            PackedWeight.read(golden, "serialised.weight", golden.tensor("weight").shape(), backend)
                .place(backend, arena),
            "serialised");
      }
    }

    private void checkNested(Absmax.Nested nested) {
      checkBits("nested code book", backend.download(nested.map()), "nested_quant_map");
      int[] codes = backend.download(nested.codes()).toInts();
      int[] expected = golden.tensor("absmax").toInts();
      long differing =
          IntStream.range(0, expected.length).filter(i -> codes[i] != expected[i]).count();
      int furthest =
          IntStream.range(0, expected.length)
              .map(i -> Math.abs(codes[i] - expected[i]))
              .max()
              .orElse(0);
      checks.atMost("codes that differ", (double) differing, STRAY_CODES);
      checks.atMost("steps between differing codes", furthest, 1);
      float offset = golden.tensor("nested_offset").toFloats()[0];
      float lastBit = Math.ulp(offset);
      checks.atMost("offset", Math.abs(nested.offset() - offset), lastBit);
      checks.atMost(
          "nested absmax",
          Errors.absolute(
              backend.download(nested.absmax()).toFloats(),
              golden.tensor("nested_absmax").toFloats()),
          lastBit);
    }

    /// The golden's own bytes as a weight, so that a stray code does not blur what comes next.
    private Weight.Nf4 goldenWeight(Weight.Nf4 quantized) {
      Absmax absmax =
          golden.contains("nested_absmax")
              ? new Absmax.Nested(
                  upload("absmax"),
                  upload("nested_absmax"),
                  upload("nested_quant_map"),
                  golden.tensor("nested_offset").toFloats()[0],
                  json.path("nested_blocksize").asInt())
              : new Absmax.Plain(upload("absmax"));
      Tensor packed = upload("packed");
      return new Weight.Nf4(
          packed.reshape(packed.count()),
          absmax,
          quantized.out(),
          quantized.in(),
          quantized.blockSize(),
          quantized.sourceType());
    }

    private void checkDequantised(Weight.Nf4 weight, String figure) {
      for (DType dtype : List.of(DType.F32, DType.BF16, DType.F16)) {
        long mark = arena.mark();
        Tensor values = arena.allocate(dtype, Shape.of(weight.out(), weight.in()));
        backend.quant().dequantize(values, weight);
        checkBits(figure + " " + dtype, backend.download(values), "dequant_" + torchName(dtype));
        arena.release(mark);
      }
    }

    private Tensor upload(String name) {
      Tensor source = golden.tensor(name);
      Tensor target = arena.allocate(source.dtype(), source.shape());
      backend.upload(target, source);
      return target;
    }

    private void checkBytes(String figure, Tensor actual, String name) {
      Differences differences = new Differences();
      differences.compare(name, backend.download(actual).toInts(), golden.tensor(name).toInts());
      differences.record(checks, figure);
    }

    private void checkBits(String figure, Tensor actual, String name) {
      Differences differences = new Differences();
      differences.compare(name, bits(actual), bits(golden.tensor(name)));
      differences.record(checks, figure);
    }
  }

  /// Raw bits of the values widened to F32, so that -0 and 0 differ.
  static int[] bits(Tensor tensor) {
    float[] values = tensor.toFloats();
    return IntStream.range(0, values.length).map(i -> Float.floatToRawIntBits(values[i])).toArray();
  }

  private static String torchName(DType dtype) {
    return switch (dtype) {
      case F32 -> "float32";
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case F64, I64, I32, I16, I8, U8, BOOL -> throw new IllegalArgumentException(dtype.name());
    };
  }
}
