package dev.gatun.io;

import dev.gatun.InputException;
import dev.gatun.tensor.Tensor;
import java.nio.file.Path;
import java.util.SequencedSet;

/// Named tensors in mapped files: one file, a directory of shards, or a whole checkpoint.
public sealed interface StoredTensors extends AutoCloseable
    permits SafeTensors, TensorFiles, TokenRows, Checkpoint {
  /// Names of all tensors.
  SequencedSet<String> names();

  boolean contains(String name);

  /// A view of a tensor in its mapped file, valid until [#close]. Its address is a multiple of the
  /// element size only if the writer of the file aligned it.
  ///
  /// @throws InputException if there is no such tensor
  Tensor tensor(String name);

  /// The file that holds a tensor, for messages; where it was looked for if there is none.
  Path fileOf(String name);

  /// Unmaps the files; their tensors must not be used afterwards.
  @Override
  void close();
}
