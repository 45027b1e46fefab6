"""Evaluation losses of adapters that Gatun trained, by Gatun and by PEFT in float32 on the CPU.

./gatun quickstart
pip install peft transformers torch
python benchmarks/adapters_in_peft.py WORKDIR [case ...]

Every case trains the quickstart's model for a few updates in WORKDIR, evaluates it with `gatun evaluate`, loads
the folder with PEFT and computes the mean loss of the same rows without any code of Gatun's: tokenisation, mask, NF4
and the model are transformers', PEFT's or written out below.
"""

import json
import pathlib
import shutil
import subprocess
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

HOME = pathlib.Path(__file__).resolve().parent.parent
QUICKSTART = HOME / "quickstart"
WORK = pathlib.Path(sys.argv[1]).resolve()

BOTH = "[embed_tokens, lm_head]"
ROWS = 'added_special_tokens: ["<json>", "</json>"]\n'
# name: (model, keys)
CASES = {
    "lora": ("tied", "lora_target_modules: all-linear"),
    "lora, 4-bit base": ("tied", "lora_target_modules: all-linear\nload_in_4bit: true"),
    "rslora, patterns": (
        "tied",
        "use_rslora: true\nlora_target_modules: [q_proj, v_proj, down_proj]\n"
        "rank_pattern: {q_proj: 4}\nalpha_pattern: {v_proj: 5}",
    ),
    "dora": ("tied", "use_dora: true\nlora_target_modules: all-linear"),
    "dora, 4-bit base": ("tied", "use_dora: true\nlora_target_modules: all-linear\nload_in_4bit: true"),
    "pissa": ("tied", "init_lora_weights: pissa_niter_4\nlora_target_modules: all-linear"),
    "pissa, rslora": ("tied", "init_lora_weights: pissa\nuse_rslora: true\nlora_target_modules: all-linear"),
    "pissa, 4-bit base": (
        "tied",
        "init_lora_weights: pissa\nlora_target_modules: all-linear\nload_in_4bit: true",
    ),
    "loftq": ("tied", "init_lora_weights: loftq\nload_in_4bit: true\nlora_target_modules: all-linear"),
    "modules_to_save, untied": ("untied", f"modules_to_save: {BOTH}"),
    "modules_to_save, tied model": ("tied", f"modules_to_save: {BOTH}"),
    "modules_to_save, kept tied": ("tied", f"modules_to_save: {BOTH}\nensure_weight_tying: true"),
    "modules_to_save, head alone": ("untied", "modules_to_save: [lm_head]"),
    "embed_tokens and lm_head as targets": ("untied", "lora_target_modules: [embed_tokens, lm_head, v_proj]"),
    "added_tokens, modules_to_save": ("untied", f"{ROWS}modules_to_save: {BOTH}"),
    "added_tokens, modules_to_save, tied": (
        "tied",
        f"{ROWS}modules_to_save: {BOTH}\nensure_weight_tying: true",
    ),
    "added_tokens, their rows": ("untied", f"{ROWS}trainable_token_indices: added_tokens"),
    "added_tokens, their rows, tied": ("tied", f"{ROWS}trainable_token_indices: added_tokens"),
    "trainable_token_indices": (
        "untied",
        "trainable_token_indices: {embed_tokens: [266, 15, 45], lm_head: [0, 278]}",
    ),
    "trainable_token_indices, tied": ("tied", "trainable_token_indices: [0, 266, 15, 45]"),
}
LEVELS = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0])  # fmt: skip


def nf4(weight):
    """The weight after 4 bits: the nearest level in blocks of 64, in float32."""
    blocks = weight.reshape(-1, 64)
    scale = blocks.abs().amax(1, keepdim=True)
    nearest = torch.bucketize(blocks / scale, (LEVELS[1:] + LEVELS[:-1]) / 2)
    return (LEVELS[nearest] * scale).reshape(weight.shape)


def gatun(*arguments):
    done = subprocess.run([str(HOME / "gatun"), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def models():
    """The quickstart's model as it is, tied, and once more with a head of its own."""
    folder = WORK / "untied"
    if not folder.exists():
        model = AutoModelForCausalLM.from_pretrained(QUICKSTART / "model", dtype=torch.bfloat16)
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        model.save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(QUICKSTART / "model" / file, folder)
    return {"tied": QUICKSTART / "model", "untied": folder}


def rows(file, marks):
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        completion = row["completion"]
        yield row["prompt"], f" <json>{completion}</json>" if marks else completion


@torch.no_grad()
def loss(model, tokenizer, data):
    total, count = 0.0, 0
    for prompt, completion in data:
        start = len(tokenizer(prompt).input_ids)
        ids = torch.tensor([tokenizer(prompt + completion + tokenizer.eos_token).input_ids])
        logits = model(input_ids=ids).logits[0, start - 1 : -1].double()
        total += torch.nn.functional.cross_entropy(logits, ids[0, start:], reduction="sum").item()
        count += ids.shape[1] - start
    return total / count


def case(name, base, keys):
    folder = WORK / name.replace(",", "").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    marks = "added_special_tokens" in keys
    for part in ("train", "eval"):
        with open(folder / f"{part}.jsonl", "w", encoding="utf-8") as lines:
            for prompt, completion in list(rows(QUICKSTART / f"{part}.jsonl", marks))[:160]:
                lines.write(json.dumps({"prompt": prompt, "completion": completion}) + "\n")
    config, out = folder / "config.yaml", folder / "out"
    config.write_text(
        f"model_name_or_path: {base}\ndataset_path: {folder}/train.jsonl\n"
        f"eval_dataset_path: {folder}/eval.jsonl\noutput_dir: {out}\noverwrite_output_dir: true\n"
        "lora_r: 8\nlora_alpha: 12\nlora_dropout: 0.05\nlearning_rate: 2.0e-3\nmax_steps: 15\n"
        f"lr_scheduler_type: constant\nper_device_train_batch_size: 8\nmax_length: 128\n{keys}\n"
    )
    gatun("train", config)
    own = json.loads(gatun("evaluate", config, "--json"))["loss"]

    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    if marks:
        model.resize_token_embeddings(len(tokenizer))
    if "load_in_4bit" in keys:
        for path, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and path != "lm_head":
                module.weight.data = nf4(module.weight.data)
    data = list(rows(QUICKSTART / "eval.jsonl", marks))[:160]
    before = loss(model.eval(), tokenizer, data)
    peft = loss(PeftModel.from_pretrained(model, out).eval(), tokenizer, data)
    print(f"| {name} | {before:.4f} | {own:.7f} | {peft:.7f} | {abs(own - peft):.1e} |", flush=True)


torch.manual_seed(0)
folders = models()
print("| adapter | base | `gatun evaluate` | PEFT | difference |\n| --- | --- | --- | --- | --- |", flush=True)
for name in sys.argv[2:] or CASES:
    case(name, folders[CASES[name][0]], CASES[name][1])
