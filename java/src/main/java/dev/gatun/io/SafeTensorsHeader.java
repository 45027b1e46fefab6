package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/// The JSON header of a safetensors file, parsed as a stream and checked in full: after [#parse]
/// the tensors tile the data section exactly.
///
/// @param entries in the order of the header
record SafeTensorsHeader(Map<String, Entry> entries, Map<String, String> metadata) {
  private static final Set<String> OTHER_DTYPES =
      Set.of(
          "U16",
          "U32",
          "U64",
          "C64",
          "F4",
          "F6_E2M3",
          "F6_E3M2",
          "F8_E5M2",
          "F8_E4M3",
          "F8_E8M0",
          "F8_E4M3FNUZ",
          "F8_E5M2FNUZ");
  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  /// One tensor: bytes `begin` to `end` of the data section.
  record Entry(DType dtype, Shape shape, long begin, long end) {}

  /// Parses and validates.
  ///
  /// @param dataBytes size of the data section
  /// @throws InputException naming the file and, where there is one, the tensor
  static SafeTensorsHeader parse(Path file, String json, long dataBytes) {
    if (!json.startsWith("{")) {
      throw new InputException("%s: the header does not begin with '{'".formatted(file));
    }
    SafeTensorsHeader header;
    try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), json)) {
      header = new Reader(file, parser).header();
    } catch (JacksonException e) {
      throw new InputException(
          "%s: the header is not valid JSON: %s".formatted(file, Quoted.reason(e)), e);
    }
    header.checkTiling(file, dataBytes);
    return header;
  }

  private void checkTiling(Path file, long dataBytes) {
    List<Map.Entry<String, Entry>> sorted = new ArrayList<>(entries.entrySet());
    sorted.sort(
        Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
            .thenComparingLong(e -> e.getValue().end()));
    long position = 0;
    for (Map.Entry<String, Entry> tensor : sorted) {
      Entry entry = tensor.getValue();
      String problem = null;
      if (entry.end() > dataBytes) {
        problem = "ends at byte %d of a data section of %d bytes".formatted(entry.end(), dataBytes);
      } else if (entry.begin() < position) {
        problem = "begins at byte %d, inside the tensor before it".formatted(entry.begin());
      } else if (entry.begin() > position) {
        problem = "begins %d unused bytes too late".formatted(entry.begin() - position);
      }
      if (problem != null) {
        throw new InputException(
            "%s: tensor %s %s".formatted(file, Quoted.of(tensor.getKey()), problem));
      }
      position = entry.end();
    }
    if (position != dataBytes) {
      throw new InputException(
          "%s: %d bytes follow the last tensor".formatted(file, dataBytes - position));
    }
  }

  /// The recursive descent over one header.
  private static final class Reader {
    private final Path file;
    private final JsonParser parser;

    Reader(Path file, JsonParser parser) {
      this.file = file;
      this.parser = parser;
    }

    SafeTensorsHeader header() {
      Map<String, Entry> entries = new LinkedHashMap<>();
      Map<String, String> metadata = new LinkedHashMap<>();
      parser.nextToken();
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = parser.currentName();
        if (parser.nextToken() != JsonToken.START_OBJECT) {
          throw bad(name, "is not described by a JSON object");
        }
        if (name.equals("__metadata__")) {
          readMetadata(metadata);
        } else {
          entries.put(name, entry(name));
        }
      }
      if (parser.nextToken() != null) {
        throw new InputException("%s: text follows the header's JSON object".formatted(file));
      }
      return new SafeTensorsHeader(entries, metadata);
    }

    private void readMetadata(Map<String, String> metadata) {
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = parser.currentName();
        if (parser.nextToken() != JsonToken.VALUE_STRING) {
          throw new InputException(
              "%s: __metadata__ entry %s is not a string".formatted(file, Quoted.of(key)));
        }
        metadata.put(key, parser.getString());
      }
    }

    private Entry entry(String name) {
      DType dtype = null;
      Shape shape = null;
      long @Nullable [] offsets = null;
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String key = parser.currentName();
        parser.nextToken();
        switch (key) {
          case "dtype" -> dtype = dtype(name);
          case "shape" -> shape = shape(name, integers(name, key));
          case "data_offsets" -> offsets = integers(name, key);
          default -> throw bad(name, "has an unknown field " + Quoted.of(key));
        }
      }
      if (dtype == null || shape == null || offsets == null) {
        throw bad(
            name, "lacks " + (dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets"));
      }
      if (offsets.length != 2 || offsets[0] > offsets[1]) {
        throw bad(name, "needs data_offsets of the form [begin, end] with begin <= end");
      }
      long wanted = byteSize(name, dtype, shape);
      if (offsets[1] - offsets[0] != wanted) {
        throw bad(
            name,
            "is %s %s and needs %d bytes, but its data_offsets span %d"
                .formatted(dtype, shape, wanted, offsets[1] - offsets[0]));
      }
      return new Entry(dtype, shape, offsets[0], offsets[1]);
    }

    private DType dtype(String name) {
      if (parser.currentToken() != JsonToken.VALUE_STRING) {
        throw bad(name, "has a dtype that is not a string");
      }
      String text = parser.getString();
      for (DType dtype : DType.values()) {
        if (dtype.name().equals(text)) {
          return dtype;
        }
      }
      if (OTHER_DTYPES.contains(text)) {
        throw new UnsupportedException(
            "%s: tensor %s has dtype %s, which is not supported"
                .formatted(file, Quoted.of(name), text));
      }
      throw bad(name, "has the unknown dtype " + Quoted.of(text));
    }

    private long[] integers(String name, String key) {
      if (parser.currentToken() != JsonToken.START_ARRAY) {
        throw bad(name, "has a " + key + " that is not an array");
      }
      long[] values = new long[4];
      int count = 0;
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT
            || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
            || parser.getLongValue() < 0) {
          throw bad(name, "has a " + key + " with an entry that is not a size");
        }
        if (count == values.length) {
          values = Arrays.copyOf(values, count * 2);
        }
        values[count++] = parser.getLongValue();
      }
      return Arrays.copyOf(values, count);
    }

    private Shape shape(String name, long[] dims) {
      try {
        long product = 1;
        for (long dim : dims) {
          product = Math.multiplyExact(product, Math.max(dim, 1));
        }
        return Shape.of(dims);
      } catch (ArithmeticException e) {
        throw bad(name, "has a shape with more elements than 64 bits can count");
      }
    }

    private long byteSize(String name, DType dtype, Shape shape) {
      try {
        return Math.multiplyExact(shape.count(), dtype.bytes());
      } catch (ArithmeticException e) {
        throw bad(name, "has a shape with more bytes than 64 bits can count");
      }
    }

    private InputException bad(String tensor, String problem) {
      return new InputException("%s: tensor %s %s".formatted(file, Quoted.of(tensor), problem));
    }
  }
}
