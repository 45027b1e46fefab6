package dev.gatun.nn;

import dev.gatun.InputException;
import dev.gatun.model.ModelConfig;
import dev.gatun.model.ModelWeights;
import dev.gatun.op.Backend;
import dev.gatun.op.Fence;
import dev.gatun.op.PlanningArena;
import dev.gatun.op.PlanningBackend;
import dev.gatun.op.TensorArena;
import dev.gatun.quant.Weight;
import dev.gatun.tensor.DType;
import dev.gatun.tensor.Shape;
import dev.gatun.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// A decoder-only language model on a backend: forward, backward, evaluation and decoding.
///
/// The model owns three arenas, sized before anything runs: its parameters, rotary tables with the
/// dropout state, and activations. Nothing else is allocated by a pass, and only [#decode]'s
/// caller, who downloads, and [#firstNonFinite] wait for the backend. Not thread-safe.
public final class CausalLm implements AutoCloseable {
  private final Backend backend;
  private final ModelConfig config;
  private final Arenas arenas;
  private final Parameters parameters;
  private final Tensor dropoutState;
  private final RopeTables tables;
  private final Embedding embedding;
  private final DecoderStack stack;
  private final Head head;
  private final DecodedWeights decoded;
  private final List<DoraLinear> decomposed;

  /// The model's own memory.
  private record Arenas(
      TensorArena parameters, TensorArena tables, TensorArena decoded, TensorArena activations) {
    void close() {
      activations.close();
      decoded.close();
      tables.close();
      parameters.close();
    }
  }

  private CausalLm(Backend backend, Description description, ModelWeights weights, Arenas arenas) {
    this.backend = backend;
    this.config = description.config();
    this.arenas = arenas;
    Training training = description.training();
    parameters =
        Parameters.allocate(
            backend,
            Assembly.specs(config, training),
            !(training instanceof Training.Frozen),
            arenas.parameters());
    dropoutState = arenas.tables().allocate(DType.I64, Shape.of(2));
    tables =
        RopeTables.create(
            backend, config.rope(), description.limits().longestSequence(), arenas.tables());
    Checkpointing kept = description.options().checkpointing();
    int decodedLayers = backend.matmul().usesDecoded() ? kept.decodedLayers() : 0;
    decoded = new DecodedWeights(arenas.decoded(), config.layerCount() - decodedLayers);
    Assembly assembly =
        new Assembly(config, weights, training, parameters, dropoutState, decoded, arenas.tables());
    embedding = assembly.embedding(description.options());
    head = assembly.head(description.options());
    // Last, because it holds memory of its own.
    int tokens = training instanceof Training.Frozen ? 0 : description.limits().tokens();
    stack = assembly.stack(kept, new HostedLayers.Extents(backend, tokens, config.hidden()));
    decomposed = assembly.decomposed();
  }

  /// What a model is, without its weights.
  private record Description(
      ModelConfig config, Training training, Limits limits, Options options) {}

  /// Builds a model and sets its parameters to their starting values.
  ///
  /// @param weights in the backend's memory; kept by the caller for as long as the model lives,
  ///   except in full fine-tuning, which copies them
  /// @throws InputException if an adapter does not fit the model, or quantised weights are to be
  ///   trained
  public static CausalLm create(
      Backend backend,
      ModelConfig config,
      ModelWeights weights,
      Training training,
      Limits limits,
      Options options) {
    requireTrainable(weights, training);
    Description description = new Description(config, training, limits, options);
    MemoryNeed need = memoryNeed(backend, config, weights, training, limits, options);
    List<TensorArena> opened = new ArrayList<>();
    try {
      Arenas arenas =
          new Arenas(
              open(opened, backend.arena("parameters", need.parameterBytes())),
              open(opened, backend.arena("tables", need.tableBytes())),
              open(opened, decodedArena(backend, need.decodedBytes())),
              open(opened, backend.arena("activations", need.activationBytes())));
      CausalLm model = new CausalLm(backend, description, weights, arenas);
      return model.initialized(weights, training);
    } catch (RuntimeException e) {
      opened.forEach(TensorArena::close);
      throw e;
    }
  }

  /// Arenas take memory even for nothing; a run without decoded weights takes none.
  private static TensorArena decodedArena(Backend backend, long bytes) {
    String name = "decoded weights";
    return bytes == 0 ? new PlanningArena(name) : backend.arena(name, bytes);
  }

  private static TensorArena open(List<TensorArena> opened, TensorArena arena) {
    opened.add(arena);
    return arena;
  }

  private CausalLm initialized(ModelWeights weights, Training training) {
    try {
      initialize(weights, training);
      return this;
    } catch (RuntimeException e) {
      stack.close();
      throw e;
    }
  }

  private void initialize(ModelWeights weights, Training training) {
    seedDropout(0, 0);
    decoded.fill(backend);
    if (training instanceof Training.Full) {
      for (Parameter parameter : parameters.all()) {
        parameters.copyFrom(parameter.name(), source(weights, parameter));
      }
    }
    training
        .adapters()
        .forEach((path, module) -> {
          parameters.upload(ModuleTree.loraA(path), module.a());
          parameters.upload(ModuleTree.loraB(path), module.b());
        });
    initializeMagnitudes(training);
    initializeRows(training);
    training
        .replaced()
        .parameters()
        .forEach((name, module) ->
            module
                .getValue()
                .ifPresentOrElse(
                    start -> parameters.upload(name, start),
                    () -> parameters.copyFrom(name, base(weights, module.getKey()))));
  }

  private void initializeRows(Training training) {
    for (TokenRows rows : tokenRows()) {
      rows.rows()
          .start()
          .ifPresentOrElse(
              start -> parameters.upload(rows.parameter().name(), start),
              () -> rows.take(parameters));
      rows.place(backend);
    }
  }

  /// The rows of the embedding and of an untied head that are trained by themselves.
  private List<TokenRows> tokenRows() {
    return Stream.of(Optional.ofNullable(embedding.rows()), Optional.ofNullable(head.rows()))
        .flatMap(Optional::stream)
        .distinct()
        .toList();
  }

  /// Magnitudes that an adapter does not have start as the norms.
  private void initializeMagnitudes(Training training) {
    computeNorms();
    for (DoraLinear linear : decomposed) {
      LoraModule module = Objects.requireNonNull(training.adapters().get(linear.path()));
      Tensor start = module.magnitude();
      parameters.upload(
          ModuleTree.loraMagnitude(linear.path()), start == null ? linear.norms(backend) : start);
    }
  }

  private void computeNorms() {
    decomposed.forEach(linear -> linear.computeNorms(backend, arenas.activations()));
  }

  /// Before a pass: an optimiser may have moved factors and rows since the last one.
  private void refresh() {
    if (parameters.isTrainable()) {
      computeNorms();
      tokenRows().forEach(rows -> rows.place(backend));
    }
  }

  /// The base model's weight of the embedding or the head.
  private Tensor base(ModelWeights weights, String path) {
    return path.equals(ModuleTree.HEAD)
            && !config.tiedEmbeddings()
            && weights.linear(path) instanceof Weight.Dense head
        ? head.tensor()
        : weights.tensor(ModuleTree.EMBEDDING + ".weight");
  }

  private static void requireTrainable(ModelWeights weights, Training training) {
    if (training instanceof Training.Full) {
      weights
          .linears()
          .forEach((module, weight) -> {
            if (!(weight instanceof Weight.Dense)) {
              throw new InputException(
                  "%s is quantised and cannot be trained whole; train a LoRA adapter or load the model in 16 bit"
                      .formatted(module));
            }
          });
    }
    if (training.replaced().starts().containsKey(ModuleTree.HEAD)
        && weights.linears().get(ModuleTree.HEAD) instanceof Weight.Nf4) {
      throw new InputException(
          "lm_head is quantised and cannot be trained whole; leave it out of modules_to_save or load a checkpoint that keeps it in 16 bit");
    }
  }

  private static Tensor source(ModelWeights weights, Parameter parameter) {
    String name = parameter.name();
    String module = name.substring(0, name.lastIndexOf('.'));
    return weights.linears().get(module) instanceof Weight.Dense dense && name.endsWith(".weight")
        ? dense.tensor()
        : weights.tensor(name);
  }

  /// The memory that such a model would need, found by running it without memory.
  ///
  /// @param weights the loaded ones, or [PlannedWeights]; only shapes and formats are read
  public static MemoryNeed memoryNeed(
      Backend backend,
      ModelConfig config,
      ModelWeights weights,
      Training training,
      Limits limits,
      Options options) {
    PlanningBackend planning = new PlanningBackend(backend);
    Arenas arenas =
        new Arenas(
            planning.arena("parameters", 0),
            planning.arena("tables", 0),
            planning.arena("decoded weights", 0),
            planning.arena("activations", 0));
    Description description = new Description(config, training, limits, options);
    CausalLm model = new CausalLm(planning, description, weights, arenas);
    model.computeNorms();
    TensorArena inputs = planning.arena("inputs", 0);
    TensorArena outputs = planning.arena("outputs", 0);
    if (limits.tokens() > 0) {
      DeviceBatch batch =
          model
              .upload(new Uploads(planning, inputs, null), LargestPass.batch(limits))
              .withOutputs(outputs);
      model.evaluate(batch);
      if (model.parameters.isTrainable()) {
        Tensor upstream = planning.arena("upstream", 0).allocate(DType.F32, Shape.of(1));
        model.forwardBackward(batch, upstream);
      }
    }
    if (limits.decodeTokens() > 0) {
      model.decode(LargestPass.step(planning, config, limits));
    }
    return new MemoryNeed(
        arenas.parameters().peakBytes(),
        arenas.activations().peakBytes(),
        arenas.tables().peakBytes(),
        arenas.decoded().peakBytes(),
        model.stack.offloadBytes(),
        inputs.peakBytes(),
        outputs.peakBytes(),
        model.parameters.count(),
        model.parameters.masters().count(),
        model.parameters.all());
  }

  public ModelConfig config() {
    return config;
  }

  /// What the model holds itself: everything that is trained, and low-rank updates.
  public Parameters parameters() {
    return parameters;
  }

  /// Sets the state of the generator behind dropout and NEFTune.
  ///
  /// @param microBatch to be advanced by the trainer before every [#forwardBackward]
  public void seedDropout(long seed, long microBatch) {
    backend.upload(dropoutState, Tensor.ofLongs(Shape.of(2), seed, microBatch));
  }

  /// Uploads a batch.
  ///
  /// @param arena the caller's, with room for inputs and outputs, see [MemoryNeed]; the batch lives
  ///   as long as its place there
  /// @throws InputException if an id lies outside the vocabulary
  public DeviceBatch upload(TensorArena arena, BatchInput input) {
    return upload(new Uploads(backend, arena, null), input).withOutputs(arena);
  }

  /// Uploads a batch beside the work issued since `fence` was marked. It has no outputs yet, see
  /// [DeviceBatch#withOutputs].
  ///
  /// @param arena the caller's; work issued since the fence must not use this part of it
  /// @throws InputException if an id lies outside the vocabulary
  public DeviceBatch uploadAfter(Fence fence, TensorArena arena, BatchInput input) {
    return upload(new Uploads(backend, arena, fence), input);
  }

  private DeviceBatch upload(Uploads uploads, BatchInput input) {
    requireIds(input.inputIds());
    requireIds(input.targetLabels());
    TokenRows rows = parameters.isTrainable() ? embedding.rows() : null;
    int[] places =
        rows == null ? null : TokenRows.places(rows.rows(), input.inputIds(), config.padTokenId());
    return DeviceBatch.upload(uploads, tables, input, places)
        .planned(backend, uploads.arena(), config, parameters.isTrainable());
  }

  private void requireIds(int[] ids) {
    for (int id : ids) {
      if (id < 0 || id >= config.vocabulary()) {
        throw new InputException(
            "token id %d lies outside the model's vocabulary of %d; use the tokenizer that belongs to the model"
                .formatted(id, config.vocabulary()));
      }
    }
  }

  /// Adds the gradients of `upstream·Σ loss` to the parameters' gradients and leaves each trained
  /// row's loss in the batch's outputs.
  ///
  /// @param upstream F32 `[1]` in the backend's memory
  public void forwardBackward(DeviceBatch batch, Tensor upstream) {
    if (!parameters.isTrainable()) {
      throw new IllegalStateException("a frozen model has no backward pass");
    }
    refresh();
    Pass whole = pass(batch.tokens(), true, null, Probe.NONE);
    long start = arenas.activations().mark();
    Tensor wide = LinearGroup.allocate(config.hidden() + stack.gradientRoom(), whole);
    Tensor gradient = wide.columns(0, config.hidden());
    Pass pass = whole.withGradientRoom(wide.columns(config.hidden(), stack.gradientRoom()));
    Tensor x = pass.activation(batch.tokenCount(), config.hidden());
    embedding.forward(x, pass);
    DecoderStack.Kept kept = stack.forward(x, pass);
    head.forwardBackward(gradient, batch, kept.output(), upstream, pass);
    stack.backward(gradient, kept, pass);
    embedding.backward(gradient, pass);
    arenas.activations().release(start);
  }

  /// Leaves each trained row's loss in the batch's outputs; no dropout.
  public void evaluate(DeviceBatch batch) {
    evaluate(batch, pass(batch.tokens(), false, null, Probe.NONE));
  }

  private void evaluate(DeviceBatch batch, Pass pass) {
    refresh();
    long start = arenas.activations().mark();
    Tensor x = pass.activation(batch.tokenCount(), config.hidden());
    embedding.forward(x, pass);
    stack.infer(x, pass);
    head.evaluate(batch, x, pass);
    arenas.activations().release(start);
  }

  /// Runs new tokens of several sequences and returns the logits of each sequence's last one.
  ///
  /// @param newTokens for every slot of the cache the ids to append: a whole prompt, then one at a
  ///   time; an empty array leaves a slot out
  /// @return F32 `[sequences, V]` in the order of the slots that had tokens; valid until the
  ///   model's next pass
  public Tensor decode(KvCache cache, int[][] newTokens) {
    for (int[] ids : newTokens) {
      requireIds(ids);
    }
    return decode(cache.append(newTokens));
  }

  private Tensor decode(KvCache.Step step) {
    refresh();
    TensorArena arena = arenas.activations();
    long start = arena.mark();
    int rows = step.segments().size();
    Tensor logits = arena.allocate(DType.F32, Shape.of(rows, config.vocabulary()));
    Uploads uploads = new Uploads(backend, arena, null);
    Tokens tokens = step.upload(uploads, tables).planned(backend, arena, config, false);
    Pass pass = pass(tokens, false, step, Probe.NONE);
    Tensor x = pass.activation(tokens.count(), config.hidden());
    embedding.forward(x, pass);
    stack.infer(x, pass);
    Tensor last = pass.activation(rows, config.hidden());
    Tensor lastRows = uploads.ints(step.lastRows());
    backend.embedding().gather(last, x, lastRows, 1);
    head.norm().forward(last, null, last, pass);
    head.logits(logits, last, pass);
    arena.release(start);
    return logits;
  }

  /// Hidden states and logits of a batch, for comparison with another implementation.
  ///
  /// @param hidden host tensors `[T, H]`: the embedding, the output of every layer but the last,
  ///   and the final norm's output
  /// @param logits host tensor F32 `[T, V]`
  public record Inspection(List<Tensor> hidden, Tensor logits) {}

  /// Runs a batch without dropout and keeps what [Inspection] holds, in memory of its own.
  public Inspection inspect(DeviceBatch batch) {
    refresh();
    long rows = batch.tokenCount();
    long bytes =
        TensorArena.sizeOf(DType.F32, rows * config.vocabulary()) + head.logitsBytes(rows, backend);
    try (TensorArena extra = backend.arena("inspection", bytes)) {
      Tensor logits = extra.allocate(DType.F32, Shape.of(rows, config.vocabulary()));
      Pass pass = pass(batch.tokens(), false, null, Probe.NONE);
      long start = arenas.activations().mark();
      Tensor x = pass.activation(batch.tokenCount(), config.hidden());
      embedding.forward(x, pass);
      List<Tensor> hidden = new ArrayList<>();
      for (int i = 0; i < stack.size(); i++) {
        hidden.add(backend.download(x));
        stack.infer(i, x, pass);
      }
      head.norm().forward(x, null, x, pass);
      hidden.add(backend.download(x));
      head.logits(logits, x, pass.in(extra));
      arenas.activations().release(start);
      return new Inspection(hidden, backend.download(logits));
    }
  }

  /// Names the first tensor with a NaN or an infinity: a parameter, a gradient, or what the forward
  /// pass over `batch` makes, in the order of computation. Slow: waits after every op.
  public Optional<String> firstNonFinite(DeviceBatch batch) {
    try (TensorArena extra = backend.arena("non-finite", TensorArena.ALIGNMENT)) {
      Tensor flag = NonFinite.flag(extra);
      Optional<String> weight = parameters.firstNonFiniteMaster(flag);
      if (weight.isPresent()) {
        return weight;
      }
      NonFinite probe = new NonFinite(backend, flag);
      evaluate(batch, pass(batch.tokens(), false, null, probe));
      return probe.first().isPresent() ? probe.first() : parameters.firstNonFiniteGradient(flag);
    }
  }

  private Pass pass(Tokens tokens, boolean training, KvCache.@Nullable Step cache, Probe probe) {
    return new Pass(backend, arenas.activations(), tokens, training, cache, probe, null);
  }

  /// The highest use of the activation arena so far, in bytes.
  public long activationPeakBytes() {
    return arenas.activations().peakBytes();
  }

  @Override
  public void close() {
    stack.close();
    arenas.close();
  }
}
