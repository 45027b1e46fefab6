"""Gradients of PEFT's modules_to_save on a model whose embedding and head are tied.

python generate.py ../../../../conformance/models/llama_tied_mha/model > golden.json
(torch 2.13, transformers 5.18, peft 0.21)

Parameters start from formulas, so that no tensors need to be kept:
element i of a parameter has the value (base model's value, or 0 for a LoRA factor) + scale * sin(0.7 i + phase).
"""
import json
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

IDS = [[5, 17, 42, 17, 99, 3, 250, 42, 5, 371, 1, 0]]
LABELS = [[-100, -100, 42, 17, 99, 3, 250, 42, -100, 371, 1, 0]]
SCALES = {"lora_A": (0.1, 1.0), "lora_B": (0.2, 2.0), "embed_tokens": (0.05, 3.0), "lm_head": (0.05, 4.0)}
CASES = {
    "both": (["embed_tokens", "lm_head"], False),
    "embedding": (["embed_tokens"], False),
    "head": (["lm_head"], False),
    "tied": (["embed_tokens"], True),
}


def run(modules, tied):
    base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager")
    config = LoraConfig(
        r=2, lora_alpha=3, target_modules=["q_proj"], modules_to_save=list(modules),
        ensure_weight_tying=tied, task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config).train()
    for name, p in model.named_parameters():
        if p.requires_grad:
            scale, phase = next(v for k, v in SCALES.items() if k in name)
            wave = scale * torch.sin(0.7 * torch.arange(p.numel(), dtype=torch.float64) + phase)
            start = 0 if "lora_" in name else p.data.double().flatten()
            p.data.copy_((start + wave).float().view_as(p))
    ids = torch.tensor(IDS)
    out = model(input_ids=ids, labels=torch.tensor(LABELS))
    out.loss.backward()
    gradients = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            g = p.grad.double()
            gradients[name.replace(".default", "")] = {
                "norm": g.norm().item(),
                "rows": {str(r): g[r, :6].tolist() for r in (0, 1)} if "lora_" in name
                else {str(r): g[r, :6].tolist() for r in (0, 3, 5, 17, 42, 371, 372)},
            }
    return {"modules_to_save": modules, "ensure_weight_tying": tied, "loss": out.loss.item(), "gradients": gradients}


print(json.dumps({"ids": IDS[0], "labels": LABELS[0], "cases": {k: run(*v) for k, v in CASES.items()}}, indent=None))
