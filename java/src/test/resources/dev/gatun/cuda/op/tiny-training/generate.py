"""Losses of CudaTrainingTest's run as PyTorch, transformers and PEFT compute them, in float32 and in bfloat16.

  python generate.py QUICKSTART_FOLDER ADAPTER_FOLDER MAP_FILE > losses.json

ADAPTER_FOLDER: the adapter that the run starts from (the same configuration with learning_rate 0 and max_steps 1 saves it).
MAP_FILE: a safetensors file with `nested_quant_map`, bitsandbytes' signed dynamic 8-bit code book.
The bfloat16 run holds the base model and all activations in bfloat16 and the adapter's masters in float32, as a GPU does. Its distance
from the float32 run is what that precision costs on this model and these data.
"""
import json, sys
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

quickstart, adapter, map_file = sys.argv[1:]
STEPS, BATCH, ACCUMULATION, RATE = 20, 4, 2, 5e-4
torch.manual_seed(0)
torch.set_num_threads(2)
CODE = torch.tensor([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434,
    0.5626170039176941, 0.7229568362236023, 1.0])
MAP = load_file(map_file)["nested_quant_map"].float()


def nf4(weight):
    """Quantised and dequantised with double quantisation, bitsandbytes' rules."""
    blocks = weight.float().reshape(-1, 64)
    absmax = blocks.abs().amax(1)
    middle = (CODE[1:] + CODE[:-1]) / 2
    codes = torch.bucketize(blocks * (1 / absmax)[:, None], middle)
    offset = absmax.mean()
    shifted = absmax - offset
    padded = torch.nn.functional.pad(shifted, (0, -shifted.numel() % 256)).reshape(-1, 256)
    nested = padded.abs().amax(1)
    scaled = padded * (1 / nested)[:, None]
    high = torch.bucketize(scaled, MAP).clamp(1, 255)
    nearest = torch.where(MAP[high] - scaled < scaled - MAP[high - 1], high, high - 1)
    restored = (MAP[nearest] * nested[:, None]).reshape(-1)[: absmax.numel()] + offset
    return (CODE[codes] * restored[:, None]).reshape(weight.shape)


def rows():
    tokenizer = Tokenizer.from_file(f"{quickstart}/model/tokenizer.json")
    config = json.load(open(f"{quickstart}/model/tokenizer_config.json"))
    eos = config["eos_token"] if isinstance(config["eos_token"], str) else config["eos_token"]["content"]
    result = []
    for line in open(f"{quickstart}/train.jsonl"):
        row = json.loads(line)
        completion = row["completion"] if row["completion"].endswith(eos) else row["completion"] + eos
        prompt = tokenizer.encode(row["prompt"]).ids
        ids = tokenizer.encode(row["prompt"] + completion).ids
        result.append((ids, [-100] * len(prompt) + ids[len(prompt):]))
    return result


def losses(dtype):
    model = AutoModelForCausalLM.from_pretrained(f"{quickstart}/model", dtype=torch.float32, attn_implementation="eager")
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.weight.data = nf4(module.weight.data)
    model.to(dtype)
    model = PeftModel.from_pretrained(model, adapter, is_trainable=True, autocast_adapter_dtype=False)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    masters = {name: p.detach().float().clone() for name, p in trained.items()}
    stored = {k.replace(".weight", ".default.weight"): v for k, v in load_file(f"{adapter}/adapter_model.safetensors").items()}
    assert stored.keys() == masters.keys(), sorted(stored.keys() ^ masters.keys())[:4]
    masters = {name: stored[name].float().clone().requires_grad_() for name in masters}
    optimizer = torch.optim.AdamW(masters.values(), lr=RATE, weight_decay=0)
    data = rows()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(42)).tolist()
    result = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (STEPS - step) / STEPS
        for name, p in trained.items():
            p.data = masters[name].detach().to(dtype)
            p.grad = None
        first = step * BATCH * ACCUMULATION
        batch = [data[i] for i in order[first : first + BATCH * ACCUMULATION]]
        targets = sum(sum(l != -100 for l in labels[1:]) for _, labels in batch)
        total = 0.0
        for master in masters.values():
            master.grad = torch.zeros_like(master)
        for ids, labels in batch:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].float()
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[1:]), reduction="sum") / targets
            loss.backward()
            total += loss.item()
            for name, p in trained.items():
                masters[name].grad += p.grad.float()
                p.grad = None
        torch.nn.utils.clip_grad_norm_(masters.values(), 1.0)
        optimizer.step()
        result.append(total)
    return result


print(json.dumps({"float32": losses(torch.float32), "bfloat16": losses(torch.bfloat16)}, indent=1))
