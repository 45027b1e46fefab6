package dev.gatun.optim;

/// A learning-rate schedule: the factor of every group's base rate for each update, in the plain
/// double arithmetic of transformers (`optimization.py`). With a warm-up the first update has
/// factor 0.
public sealed interface Schedule {
  /// Factor for update `step`, counted from 0.
  double factor(long step);

  /// Warm-up updates from `warmup_steps`: below 1 it is a ratio of all updates, rounded up.
  static long warmupSteps(double warmup, long totalSteps) {
    return warmup < 1 ? (long) Math.ceil(totalSteps * warmup) : (long) warmup;
  }

  /// `constant`.
  record Constant() implements Schedule {
    @Override
    public double factor(long step) {
      return 1;
    }
  }

  /// `constant_with_warmup`.
  record ConstantWithWarmup(long warmup) implements Schedule {
    @Override
    public double factor(long step) {
      return step < warmup ? ramp(step, warmup) : 1;
    }
  }

  /// `linear`: falls to 0 at `total`.
  record Linear(long warmup, long total) implements Schedule {
    @Override
    public double factor(long step) {
      return step < warmup
          ? ramp(step, warmup)
          : Math.max(0, (double) (total - step) / Math.max(1, total - warmup));
    }
  }

  /// `cosine` and `cosine_with_min_lr`.
  ///
  /// @param cycles waves; ½ falls once from 1 to the minimum
  /// @param minimum lowest factor after the warm-up
  record Cosine(long warmup, long total, double cycles, double minimum) implements Schedule {
    @Override
    public double factor(long step) {
      return step < warmup
          ? ramp(step, warmup)
          : Math.max(0, raised(wave(cycles * 2 * progress(step, warmup, total)), minimum));
    }
  }

  /// `cosine_with_restarts`: `cycles` half waves, each from 1 to 0.
  record CosineWithRestarts(long warmup, long total, long cycles) implements Schedule {
    @Override
    public double factor(long step) {
      if (step < warmup) {
        return ramp(step, warmup);
      }
      double progress = progress(step, warmup, total);
      return progress >= 1 ? 0 : Math.max(0, wave(cycles * progress % 1));
    }
  }

  /// `cosine_warmup_with_min_lr`: as [Cosine], but counted so that the first update already moves.
  ///
  /// @param start factor of the first update; NaN for one part of the warm-up
  record CosineFromStart(long warmup, long total, double cycles, double minimum, double start)
      implements Schedule {
    @Override
    public double factor(long step) {
      if (step < warmup) {
        return Double.isNaN(start)
            ? (step + 1.0) / Math.max(1, warmup)
            : start + (1 - start) * step / Math.max(1, warmup - 1);
      }
      double progress = (step - warmup + 1.0) / Math.max(1, total - warmup);
      return Math.max(0, raised(wave(cycles * 2 * progress), minimum));
    }
  }

  /// `polynomial`: from the base rate to `end`.
  ///
  /// @param rate base learning rate, which the end is relative to
  record Polynomial(long warmup, long total, double rate, double end, double power)
      implements Schedule {
    @Override
    public double factor(long step) {
      if (step < warmup) {
        return ramp(step, warmup);
      }
      if (step > total || total == warmup) {
        return end / rate;
      }
      double remaining = 1 - (double) (step - warmup) / (total - warmup);
      return ((rate - end) * Math.pow(remaining, power) + end) / rate;
    }
  }

  /// `inverse_sqrt`.
  record InverseSqrt(long warmup, long timescale) implements Schedule {
    @Override
    public double factor(long step) {
      return step < warmup
          ? ramp(step, warmup)
          : 1 / Math.sqrt((double) (step + (timescale - warmup)) / timescale);
    }
  }

  /// `warmup_stable_decay`: rises from the minimum, stays, falls back.
  ///
  /// @param cycles waves of a cosine decay
  record WarmupStableDecay(
      long warmup,
      long stable,
      long decay,
      Shape warmupShape,
      Shape decayShape,
      double minimum,
      double cycles)
      implements Schedule {
    @Override
    public double factor(long step) {
      if (step < warmup) {
        double progress = ramp(step, warmup);
        double rise =
            switch (warmupShape) {
              case LINEAR -> progress;
              case COSINE -> 0.5 * (1 - Math.cos(Math.PI * progress));
              case ONE_MINUS_SQRT -> 1 - Math.sqrt(1 - progress);
            };
        return Math.max(0, raised(rise, minimum));
      }
      if (step < warmup + stable) {
        return 1;
      }
      if (step >= warmup + stable + decay) {
        return minimum;
      }
      double progress = (double) (step - warmup - stable) / Math.max(1, decay);
      double fall =
          switch (decayShape) {
            case LINEAR -> 1 - progress;
            case COSINE -> wave(cycles * 2 * progress);
            case ONE_MINUS_SQRT -> 1 - Math.sqrt(progress);
          };
      return Math.max(0, raised(fall, minimum));
    }

    /// Form of a rise or a fall.
    public enum Shape {
      LINEAR,
      COSINE,
      ONE_MINUS_SQRT
    }
  }

  private static double ramp(long step, long warmup) {
    return (double) step / Math.max(1, warmup);
  }

  private static double progress(long step, long warmup, long total) {
    return (double) (step - warmup) / Math.max(1, total - warmup);
  }

  /// Half a cosine wave: 1 at 0, 0 at 1.
  private static double wave(double progress) {
    return 0.5 * (1 + Math.cos(Math.PI * progress));
  }

  private static double raised(double factor, double minimum) {
    return factor * (1 - minimum) + minimum;
  }
}
