"""What `gatun bench tokenize` times, with Hugging Face's tokenizers and datasets, as TRL uses them.

pip install datasets tokenizers
RAYON_NUM_THREADS=N python tokenize_peer.py FILE.jsonl TOKENIZER_DIR [samples]
"""

import json
import os
import sys
import tempfile
import time

import datasets
import tokenizers

file, folder = sys.argv[1], sys.argv[2]
samples = int(sys.argv[3]) if len(sys.argv) > 3 else 7
datasets.disable_progress_bars()
datasets.disable_caching()
tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as config:
    eos = json.load(config)["eos_token"]
with open(file, encoding="utf-8") as lines:
    rows = [json.loads(line) for line in lines if line.strip()]
texts = [row["text"] if "text" in row else row["prompt"] + row["completion"] for row in rows]
size = sum(len(text.encode()) for text in texts)
print(f"{len(texts)} texts, {size / 1e6:.2f} MB of UTF-8, tokenizers {tokenizers.__version__}, datasets {datasets.__version__}")


def one_by_one():
    return sum(len(tokenizer.encode(text).ids) for text in texts)


def batch():
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))


def batch_fast():
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts))


def tokenise(row):
    """TRL's rule: prompt, and prompt with completion and end token, are tokenised apart."""
    if "text" in row:
        ids = tokenizer.encode(row["text"] + eos).ids
        return {"input_ids": ids, "labels": ids}
    prompt = tokenizer.encode(row["prompt"]).ids
    ids = tokenizer.encode(row["prompt"] + row["completion"] + eos).ids
    return {"input_ids": ids, "labels": [-100] * len(prompt) + ids[len(prompt) :]}


def file_to_rows():
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
        data = data.map(tokenise, remove_columns=data.column_names)
        return sum(len(ids) for ids in data.with_format("numpy")["input_ids"])


for work in [one_by_one, batch, batch_fast, file_to_rows]:
    tokens = work()
    seconds = []
    cpu = float("inf")
    for _ in range(samples):
        start, cpu_start = time.perf_counter(), time.process_time()
        work()
        seconds.append(time.perf_counter() - start)
        cpu = min(cpu, time.process_time() - cpu_start)
    seconds.sort()
    best = seconds[0]
    print(
        f"{work.__name__:20s} best {best:.3f} s, median {seconds[len(seconds) // 2]:.3f} s: "
        f"{len(texts) / best:.0f} rows/s, {size / 1e6 / best:.2f} MB/s, {tokens / 1e6 / best:.2f} M tokens/s; "
        f"processor {cpu:.3f} s: {len(texts) / cpu:.0f} rows/s, {size / 1e6 / cpu:.2f} MB/s a core",
        flush=True,
    )
