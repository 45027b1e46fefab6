package dev.gatun.conformance;

import dev.gatun.InputException;
import dev.gatun.UnsupportedException;
import dev.gatun.optim.Schedule;
import dev.gatun.optim.Schedules;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/// `optim/`: optimiser trajectories, learning-rate schedules and gradient clipping.
public final class OptimPart implements Part {
  private static final String SCHEDULES = "lr_schedules.json";
  private static final String CLIPPING = "clip_grad_norm.json";

  @Override
  public String name() {
    return "optim";
  }

  @Override
  public List<Case> cases(Path kit) {
    List<Case> cases = new ArrayList<>();
    for (Path file : KitFiles.files(kit.resolve(name()), ".json")) {
      String fileName = file.getFileName().toString();
      String label = fileName.substring(0, fileName.length() - ".json".length());
      Path tensors = file.resolveSibling(label + ".safetensors");
      switch (fileName) {
        case SCHEDULES -> schedules(file, cases);
        case CLIPPING ->
            KitFiles.json(file)
                .forEach(clip ->
                    cases.add(
                        Part.named(
                            label + " " + clip.path("name").stringValue(),
                            (c, e) -> Trajectory.clip(clip, tensors, c, e))));
        default -> {
          if (Files.isRegularFile(tensors)) {
            cases.add(
                Part.named(label, (c, e) -> Trajectory.run(KitFiles.json(file), tensors, c, e)));
          }
        }
      }
    }
    return cases;
  }

  /// One case for each kind of schedule.
  private static void schedules(Path file, List<Case> cases) {
    Map<String, List<JsonNode>> byType = new LinkedHashMap<>();
    for (JsonNode entry : KitFiles.json(file)) {
      byType.computeIfAbsent(entry.path("type").stringValue(), _ -> new ArrayList<>()).add(entry);
    }
    byType.forEach((type, entries) ->
        cases.add(Part.named("schedule " + type, (c, _) -> schedule(entries, c))));
  }

  private static void schedule(List<JsonNode> entries, Checks checks) {
    double worst = 0;
    String where = "";
    int compared = 0;
    for (JsonNode entry : entries) {
      String label =
          "warmup %d of %d %s"
              .formatted(
                  entry.path("warmup").asLong(),
                  entry.path("steps").asLong(),
                  entry.path("kwargs"));
      double error;
      try {
        error = worstError(entry);
      } catch (UnsupportedException e) {
        checks.notSupported(e.getMessage());
        return;
      } catch (InputException e) {
        if (!entry.has("error")) {
          checks.that(label + " is accepted", false, e.getMessage());
        }
        continue;
      }
      if (entry.has("error")) {
        checks.that(label + " is refused", false, "accepted");
      }
      compared++;
      if (!(error <= worst)) {
        worst = error;
        where = label;
      }
    }
    checks.atMost(
        "rates rel, worst of %d: %s".formatted(compared, where), compared == 0 ? 1 : worst, 1e-12);
  }

  private static double worstError(JsonNode entry) {
    double rate = entry.path("lr").doubleValue();
    Schedules.Run run =
        new Schedules.Run(rate, entry.path("warmup").asLong(), entry.path("steps").asLong());
    Map<String, Object> arguments = new LinkedHashMap<>();
    entry
        .path("kwargs")
        .properties()
        .forEach(property ->
            arguments.put(
                property.getKey(),
                property.getValue().isNumber()
                    ? property.getValue().numberValue()
                    : property.getValue().asString()));
    Schedule schedule = Schedules.named(entry.path("type").stringValue(), run, arguments);
    double worst = 0;
    int step = 0;
    for (JsonNode expected : entry.path("lr_used_by_update")) {
      double actual = rate * schedule.factor(step++);
      double difference = Math.abs(actual - expected.doubleValue());
      double error = difference == 0 ? 0 : difference / Math.abs(expected.doubleValue());
      worst = error <= worst ? worst : error;
    }
    return worst;
  }
}
