package dev.gatun.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/// CRC-32C over prepared rows, in the bytes that the cache file holds.
final class RowChecksum {
  private final CRC32C crc = new CRC32C();

  void add(int[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(values.length, Integer.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(values);
    crc.update(bytes);
  }

  String text() {
    return Long.toHexString(crc.getValue());
  }

  static String of(PreparedDataset rows) {
    RowChecksum checksum = new RowChecksum();
    for (int row = 0; row < rows.size(); row++) {
      checksum.add(rows.inputIds(row));
      checksum.add(rows.labels(row));
      checksum.add(rows.sequenceLengths(row));
      checksum.add(rows.sourceFiles(row));
      checksum.add(TokenCacheWriter.split(rows.fingerprints(row)));
    }
    return checksum.text();
  }
}
