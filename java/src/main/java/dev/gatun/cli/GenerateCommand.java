package dev.gatun.cli;

import dev.gatun.InputException;
import dev.gatun.generate.Generator;
import dev.gatun.generate.LanguageModel;
import dev.gatun.generate.Sampler;
import dev.gatun.io.AdapterFiles;
import dev.gatun.io.JsonObject;
import dev.gatun.io.PathText;
import dev.gatun.io.WeightFormat;
import dev.gatun.op.Backend;
import dev.gatun.quant.Nf4Codec;
import dev.gatun.text.chat.ChatTemplate;
import dev.gatun.text.chat.ChatTemplateFiles;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.databind.json.JsonMapper;

/// `gatun generate`.
@Command(name = "generate", description = "Continues prompts with a checkpoint and an adapter.")
final class GenerateCommand implements Callable<Integer> {
  @Parameters(
      paramLabel = "MODEL",
      description = "A checkpoint's folder, or an adapter's: then the base it names is loaded.")
  private Path model;

  @Option(names = "--adapter", paramLabel = "DIR", description = "A PEFT adapter for MODEL.")
  private @Nullable Path adapter;

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      description = "The text to continue; repeatable.")
  private List<String> prompts = List.of();

  @Option(
      names = "--prompts",
      paramLabel = "FILE",
      description = "A data file with a column messages, prompt or text; results are JSON lines.")
  private @Nullable Path promptFile;

  @Option(
      names = "--chat",
      description =
          "Prompts are messages of a user: the chat template makes the text. A column messages is"
              + " always rendered.")
  private boolean chat;

  @Option(names = "--system", paramLabel = "TEXT", description = "The system message of --chat.")
  private @Nullable String system;

  @Option(
      names = "--chat-template",
      paramLabel = "FILE",
      description = "A chat template instead of the adapter's or the checkpoint's own.")
  private @Nullable Path chatTemplate;

  @Option(
      names = "--max-new-tokens",
      paramLabel = "N",
      description = "Most tokens to add to a prompt (default: ${DEFAULT-VALUE}).")
  private int maxNewTokens = 128;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description = "0 takes the most likely token (default: 0, or 1 with --top-k or --top-p).")
  private @Nullable Double temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Draw from the K most likely tokens only; 0 for all.")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description = "Draw from the fewest most likely tokens that hold this probability.")
  private double topP = 1;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Seed of the draws (default: ${DEFAULT-VALUE}).")
  private long seed = 42;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      description = "Prompts continued together (default: ${DEFAULT-VALUE}).")
  private int batchSize = 16;

  @Option(
      names = "--load-in-4bit",
      description = "Quantise the linear layers to NF4 while loading, as in QLoRA training.")
  private boolean loadIn4bit;

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      description = "Where to compute (default: ${DEFAULT-VALUE}).")
  private String device = "auto";

  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    if (prompts.isEmpty() == (promptFile == null)) {
      throw new ParameterException(spec.commandLine(), "Give either --prompt or --prompts");
    }
    Generator.Settings settings = settings(Set.of());
    Prompts given = promptFile == null ? Prompts.ofTexts(prompts) : Prompts.read(promptFile);
    if (chat && !given.isChat()) {
      given = Prompts.ofUserMessages(given.texts(), system);
    } else if (system != null) {
      throw new ParameterException(spec.commandLine(), "--system needs --chat and plain prompts");
    }
    WeightFormat format =
        loadIn4bit ? new WeightFormat.Nf4(Nf4Codec.BLOCK, false) : new WeightFormat.Operand();
    resolveBase();
    try (Backend backend = Device.open(device);
        LanguageModel loaded = LanguageModel.open(backend, model, adapter, format)) {
      Generator generator = new Generator(loaded);
      if (given.isChat()) {
        ChatTemplate template = ChatTemplateFiles.open(loaded.tokenizer(), chatTemplate);
        List<String> texts = given.rendered(template);
        Set<Integer> ends = given.endsOfTurns(template, loaded.tokenizer());
        print(texts, generator.continueRendered(texts, settings(ends)));
      } else {
        print(given.texts(), generator.continueTexts(given.texts(), settings));
      }
    }
    return 0;
  }

  private Generator.Settings settings(Set<Integer> stops) {
    return new Generator.Settings(maxNewTokens, batchSize, sampler(), stops);
  }

  private Sampler sampler() {
    boolean filtered = topK != 0 || topP != 1;
    double chosen = temperature == null ? (filtered ? 1 : 0) : temperature;
    return new Sampler(chosen, topK, topP, seed);
  }

  /// An adapter's folder stands for its base and itself.
  private void resolveBase() {
    Path config = model.resolve(AdapterFiles.CONFIG);
    if (adapter != null || Files.exists(model.resolve("config.json")) || !Files.exists(config)) {
      return;
    }
    String base = JsonObject.read(config).optionalString("base_model_name_or_path");
    Path folder = base == null ? null : PathText.parse(base);
    if (folder == null || !Files.isDirectory(folder)) {
      throw new InputException(
          "%s names the base model %s, which is no folder here; give the checkpoint's folder and --adapter %s"
              .formatted(config, base, model));
    }
    adapter = model;
    model = folder;
  }

  private void print(List<String> texts, List<String> completions) {
    PrintWriter out = spec.commandLine().getOut();
    if (texts.size() == 1 && promptFile == null) {
      out.println(completions.getFirst());
      return;
    }
    for (int i = 0; i < texts.size(); i++) {
      Map<String, String> line = new LinkedHashMap<>();
      line.put("prompt", texts.get(i));
      line.put("completion", completions.get(i));
      out.println(JsonMapper.shared().writeValueAsString(line));
    }
  }
}
