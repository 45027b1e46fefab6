package dev.gatun.train;

import dev.gatun.data.ChatOptions;
import dev.gatun.data.TrainOn;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The keys of conversations and of what is trained in them. The bottom layer of
/// [SftConfigBuilder].
public abstract sealed class ChatSettings permits DataSettings {
  private boolean assistantOnlyLoss = false;
  private @Nullable TrainOn trainOn;
  private @Nullable Path chatTemplatePath;
  private @Nullable String instructionPart;
  private @Nullable String responsePart;
  private Map<String, String> roleMapping = ChatOptions.SHAREGPT_ROLES;

  ChatSettings() {}

  abstract SftConfigBuilder self();

  public SftConfigBuilder assistantOnlyLoss(boolean value) {
    assistantOnlyLoss = value;
    return self();
  }

  public SftConfigBuilder trainOn(@Nullable TrainOn value) {
    trainOn = value;
    return self();
  }

  public SftConfigBuilder chatTemplatePath(@Nullable Path value) {
    chatTemplatePath = value;
    return self();
  }

  public SftConfigBuilder instructionPart(@Nullable String value) {
    instructionPart = value;
    return self();
  }

  public SftConfigBuilder responsePart(@Nullable String value) {
    responsePart = value;
    return self();
  }

  public SftConfigBuilder roleMapping(Map<String, String> value) {
    roleMapping = value;
    return self();
  }

  final boolean isAssistantOnlyLoss() {
    return assistantOnlyLoss;
  }

  final ChatOptions chat() {
    return new ChatOptions(chatTemplatePath, trainOn, instructionPart, responsePart, roleMapping);
  }
}
