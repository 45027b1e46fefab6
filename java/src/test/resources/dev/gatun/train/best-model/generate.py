"""Writes cases.json: what transformers' Trainer does with given evaluations.

Needs transformers 5 with torch and accelerate. The model is one weight; evaluations are scripted,
so that every decision is the Trainer's own: when it evaluates and saves, which evaluation is the
best, which checkpoints it keeps, when it stops, and which model it ends with.
"""

import contextlib
import io
import json
import pathlib
import tempfile

import torch
import transformers
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

FALLING = [5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.4, 0.3]
VALLEY = [3.0, 2.0, 2.5, 2.6, 2.7, 2.8, 2.9, 3.1]
ZIGZAG = [3.0, 2.9, 3.2, 2.5, 2.6, 2.45, 2.44, 2.7]
STEPS = dict(eval_strategy="steps", save_strategy="steps")
EPOCH = dict(eval_strategy="epoch", save_strategy="epoch")
BEST = dict(load_best_model_at_end=True)

# name, scripted values, arguments of the trainer, patience, threshold
CASES = [
    ("falling", FALLING, dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=5), None, 0),
    ("valley", VALLEY, dict(**STEPS, **BEST, eval_steps=2, save_steps=2, max_steps=9), None, 0),
    ("limit 1", VALLEY, dict(**STEPS, **BEST, eval_steps=2, save_steps=2, max_steps=9, save_total_limit=1), None, 0),
    ("limit 2", ZIGZAG, dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=8, save_total_limit=2), None, 0),
    ("limit 3", VALLEY, dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=8, save_total_limit=3), None, 0),
    ("only tracked", ZIGZAG, dict(**STEPS, metric_for_best_model="loss", eval_steps=1, save_steps=1, max_steps=6, save_total_limit=1), None, 0),
    ("not tracked", VALLEY, dict(**STEPS, eval_steps=1, save_steps=1, max_steps=4, save_total_limit=2), None, 0),
    ("nothing saved", VALLEY, dict(eval_strategy="steps", save_strategy="no", metric_for_best_model="loss", eval_steps=1, max_steps=8), 3, 0),
    ("saved and evaluated apart", ZIGZAG, dict(eval_strategy="steps", save_strategy="epoch", metric_for_best_model="loss", eval_steps=2, max_steps=9, save_total_limit=1), None, 0),
    ("best between saves", ZIGZAG, dict(**STEPS, **BEST, eval_steps=1, save_steps=3, max_steps=8), None, 0),
    ("patience 1", ZIGZAG, dict(**STEPS, **BEST, eval_steps=2, save_steps=2, max_steps=12), 1, 0),
    ("patience 2", VALLEY, dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=8, save_total_limit=1), 2, 0),
    ("patience 3 with saves between", VALLEY, dict(**STEPS, **BEST, eval_steps=1, save_steps=2, max_steps=8), 3, 0),
    ("threshold", [3.0, 2.95, 2.9, 2.85, 2.8], dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=5), 3, 0.06),
    ("threshold reached", [3.0, 2.75, 2.7, 2.5, 2.25, 2.3], dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=6), 2, 0.25),
    ("equal", [2.0, 2.0, 2.0, 2.0], dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=4), 2, 0),
    ("greater is better", [0.1, 0.4, 0.3, 0.2, 0.5], dict(**STEPS, **BEST, metric_for_best_model="mean_token_accuracy", eval_steps=1, save_steps=1, max_steps=5), 2, 0),
    ("named with its prefix", [0.1, 0.4, 0.3, 0.2, 0.5], dict(**STEPS, **BEST, metric_for_best_model="eval_mean_token_accuracy", eval_steps=1, save_steps=1, max_steps=5), None, 0),
    ("entropy, less is better", VALLEY, dict(**STEPS, **BEST, metric_for_best_model="entropy", greater_is_better=False, eval_steps=1, save_steps=1, max_steps=4), None, 0),
    ("entropy by default", VALLEY, dict(**STEPS, **BEST, metric_for_best_model="entropy", eval_steps=1, save_steps=1, max_steps=4), None, 0),
    ("token loss by default", VALLEY, dict(**STEPS, **BEST, metric_for_best_model="token_loss", eval_steps=1, save_steps=1, max_steps=4), None, 0),
    ("delay", VALLEY, dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=6, eval_delay=3), None, 0),
    ("on start", [1.0, 3.0, 2.0, 2.5, 2.6, 2.7], dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=5, eval_on_start=True), 2, 0),
    ("delay past the end", VALLEY, dict(**STEPS, **BEST, eval_steps=1, save_steps=1, max_steps=3, eval_delay=9), None, 0),
    ("only on start", VALLEY, dict(**STEPS, **BEST, eval_steps=2, save_steps=2, max_steps=4, eval_on_start=True), None, 0),
    ("epochs", VALLEY, dict(**EPOCH, **BEST, num_train_epochs=4), None, 0),
    ("epochs with patience", VALLEY, dict(**EPOCH, **BEST, num_train_epochs=6), 2, 0),
    ("epochs with delay", VALLEY, dict(**EPOCH, **BEST, num_train_epochs=4, eval_delay=2.0), None, 0),
    ("epochs cut short", ZIGZAG, dict(**EPOCH, **BEST, max_steps=8), None, 0),
]
ROWS = 3


class OneWeight(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, labels=None):
        return {"loss": ((self.weight * x - labels) ** 2).mean()}


def best(checkpoint):
    return checkpoint and pathlib.Path(checkpoint).name


def run(name, values, arguments, patience, threshold):
    events = []
    script = iter(values)

    class Scripted(Trainer):
        loaded = None

        def evaluate(self, *_, **__):
            value = next(script)
            metric = (arguments.get("metric_for_best_model") or "loss").removeprefix("eval_")
            metrics = {"eval_" + metric: value}
            events.append({"kind": "evaluation", "step": self.state.global_step, "value": value})
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

        def _save_checkpoint(self, model, trial):
            super()._save_checkpoint(model, trial)
            step = self.state.global_step
            folder = pathlib.Path(self.args.output_dir)
            state = json.loads((folder / f"checkpoint-{step}" / "trainer_state.json").read_text())
            events.append({
                "kind": "save",
                "step": step,
                "best_global_step": state["best_global_step"],
                "best_metric": state["best_metric"],
                "best_model_checkpoint": best(state["best_model_checkpoint"]),
                "early_stopping_callback": state["stateful_callbacks"].get("EarlyStoppingCallback"),
                "checkpoints": sorted(int(p.name.split("-")[1]) for p in folder.glob("checkpoint-*")),
            })

        def _load_best_model(self):
            self.loaded = pathlib.Path(self.state.best_model_checkpoint).name
            super()._load_best_model()

    rows = [{"x": torch.tensor([float(i)]), "labels": torch.tensor([1.0])} for i in range(ROWS)]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = Scripted(
            model=OneWeight(),
            args=TrainingArguments(folder, per_device_train_batch_size=1, use_cpu=True,
                                   report_to="none", disable_tqdm=True, **arguments),
            train_dataset=rows,
            eval_dataset=rows,
            callbacks=[EarlyStoppingCallback(patience, threshold)] if patience else [],
        )
        trainer.train()
    return {
        "name": name,
        "arguments": arguments,
        "patience": patience,
        "threshold": threshold,
        "events": events,
        "end": {
            "best_global_step": trainer.state.best_global_step,
            "best_metric": trainer.state.best_metric,
            "best_model_checkpoint": best(trainer.state.best_model_checkpoint),
        },
        "steps": trainer.state.global_step,
        "loaded": trainer.loaded,
    }


if __name__ == "__main__":
    cases = ",\n".join(json.dumps(run(*case)) for case in CASES)
    path = pathlib.Path(__file__).with_name("cases.json")
    path.write_text(
        f'{{"transformers": "{transformers.__version__}", "rows": {ROWS}, "cases": [\n{cases}\n]}}\n'
    )
