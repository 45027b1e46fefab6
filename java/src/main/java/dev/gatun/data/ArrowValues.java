package dev.gatun.data;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.vector.BaseIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.FloatingPointVector;
import org.apache.arrow.vector.LargeVarCharVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.ViewVarCharVector;
import org.apache.arrow.vector.complex.BaseListVector;
import org.apache.arrow.vector.complex.StructVector;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryProvider;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.jspecify.annotations.Nullable;

/// Arrow vectors to row values. Types that a row has no value for (dates, decimals, binary) become
/// their text, so that a column nobody asks for does not stop the reading.
final class ArrowValues {
  /// Longest text that a view holds itself.
  private static final int INLINE_BYTES = 12;

  private final DictionaryProvider dictionaries;

  ArrowValues(DictionaryProvider dictionaries) {
    this.dictionaries = dictionaries;
  }

  /// @throws CharacterCodingException if a string is not UTF-8
  @Nullable Object value(FieldVector vector, int index) throws CharacterCodingException {
    if (vector.isNull(index)) {
      return null;
    }
    DictionaryEncoding encoding = vector.getField().getDictionary();
    if (encoding != null && vector instanceof BaseIntVector codes) {
      Dictionary dictionary = dictionaries.lookup(encoding.getId());
      return value(dictionary.getVector(), Math.toIntExact(codes.getValueAsLong(index)));
    }
    return switch (vector) {
      case VarCharVector text -> {
        requireInside(text.getStartOffset(index), text.getEndOffset(index), text.getDataBuffer());
        yield text(text.get(index));
      }
      case LargeVarCharVector text -> {
        ArrowBuf offsets = text.getOffsetBuffer();
        requireInside(
            offsets.getLong(8L * index), offsets.getLong(8L * (index + 1)), text.getDataBuffer());
        yield text(text.get(index));
      }
      case ViewVarCharVector text -> {
        requireLength(text, text.getValueLength(index));
        yield text(text.get(index));
      }
      case BaseIntVector integer -> integer.getValueAsLong(index);
      case FloatingPointVector number -> number.getValueAsDouble(index);
      case BitVector bit -> bit.get(index) != 0;
      case StructVector struct -> struct(struct, index);
      case BaseListVector list -> list(list, vector.getChildrenFromFields().getFirst(), index);
      default -> String.valueOf(vector.getObject(index));
    };
  }

  /// Arrow allocates a value before it looks whether there is one.
  private static void requireInside(long start, long end, ArrowBuf data) {
    if (start < 0 || end < start || end > data.capacity()) {
      throw new IndexOutOfBoundsException("a text reaches from %d to %d".formatted(start, end));
    }
  }

  private static void requireLength(ViewVarCharVector vector, int length) {
    long available = INLINE_BYTES;
    for (ArrowBuf buffer : vector.getDataBuffers()) {
      available = Math.max(available, buffer.capacity());
    }
    if (length < 0 || length > available) {
      throw new IndexOutOfBoundsException("a text has %d bytes".formatted(length));
    }
  }

  private static String text(byte[] utf8) throws CharacterCodingException {
    return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
  }

  private Map<String, @Nullable Object> struct(StructVector struct, int index)
      throws CharacterCodingException {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    for (FieldVector child : struct.getChildrenFromFields()) {
      fields.put(child.getName(), value(child, index));
    }
    return Collections.unmodifiableMap(fields);
  }

  private List<@Nullable Object> list(BaseListVector list, FieldVector child, int index)
      throws CharacterCodingException {
    int start = list.getElementStartIndex(index);
    int end = list.getElementEndIndex(index);
    if (start < 0 || end < start || end > child.getValueCount()) {
      throw new IndexOutOfBoundsException("a list reaches from %d to %d".formatted(start, end));
    }
    List<@Nullable Object> values = new ArrayList<>();
    for (int i = start; i < end; i++) {
      values.add(value(child, i));
    }
    return Collections.unmodifiableList(values);
  }
}
