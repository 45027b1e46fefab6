package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.tensor.HostStorage;
import dev.gatun.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.SequencedSet;

/// A safetensors file, memory-mapped read-only. The header is validated in full when the file is
/// opened; tensors are views of the mapping and end with [#close].
///
/// Format: <https://github.com/huggingface/safetensors#format>.
public final class SafeTensors implements StoredTensors {
  /// The format's own limit.
  private static final long HEADER_LIMIT_BYTES = 100_000_000;

  private static final ValueLayout.OfLong LENGTH =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path path;
  private final Arena arena;
  private final HostStorage data;
  private final SafeTensorsHeader header;

  private SafeTensors(Path path, Arena arena, HostStorage data, SafeTensorsHeader header) {
    this.path = path;
    this.arena = arena;
    this.data = data;
    this.header = header;
  }

  /// Maps and validates a file.
  ///
  /// @throws InputException one sentence naming the file, and the tensor where there is one
  public static SafeTensors open(Path path) {
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try {
      MemorySegment file = map(path, arena);
      long headerBytes = headerBytes(path, file);
      String json = TextFiles.decode(path, " header", file.asSlice(8, headerBytes).asByteBuffer());
      MemorySegment data = file.asSlice(8 + headerBytes);
      SafeTensorsHeader header = SafeTensorsHeader.parse(path, json, data.byteSize());
      opened = true;
      return new SafeTensors(path, arena, new HostStorage(data), header);
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  private static MemorySegment map(Path path, Arena arena) {
    if (Files.isDirectory(path)) {
      throw new InputException("%s is a directory, not a safetensors file".formatted(path));
    }
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      if (size < 8) {
        throw new InputException(
            "%s is %d bytes long, too short for a safetensors file".formatted(path, size));
      }
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
    } catch (NoSuchFileException e) {
      throw new InputException("%s does not exist".formatted(path), e);
    } catch (IOException e) {
      throw new InputException("%s cannot be read: %s".formatted(path, Quoted.reason(e)), e);
    }
  }

  private static long headerBytes(Path path, MemorySegment file) {
    long bytes = file.get(LENGTH, 0);
    if (bytes < 0 || bytes > HEADER_LIMIT_BYTES) {
      throw new InputException(
          "%s: the header claims %s bytes, the format allows %d"
              .formatted(path, Long.toUnsignedString(bytes), HEADER_LIMIT_BYTES));
    }
    if (bytes > file.byteSize() - 8) {
      throw new InputException(
          "%s: the header claims %d bytes but only %d follow: the file is cut off"
              .formatted(path, bytes, file.byteSize() - 8));
    }
    return bytes;
  }

  /// Names of the tensors in the order of the header.
  @Override
  public SequencedSet<String> names() {
    return Collections.unmodifiableSequencedSet(new LinkedHashSet<>(header.entries().keySet()));
  }

  @Override
  public boolean contains(String name) {
    return header.entries().containsKey(name);
  }

  @Override
  public Tensor tensor(String name) {
    SafeTensorsHeader.Entry entry = header.entries().get(name);
    if (entry == null) {
      throw new InputException("%s has no tensor %s".formatted(path, Quoted.of(name)));
    }
    return Tensor.of(data, entry.begin(), entry.dtype(), entry.shape());
  }

  /// The `__metadata__` entries.
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(header.metadata());
  }

  @Override
  public Path fileOf(String name) {
    return path;
  }

  public Path path() {
    return path;
  }

  @Override
  public void close() {
    arena.close();
  }
}
