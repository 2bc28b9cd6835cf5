#!/usr/bin/env python3
"""Compares the engine with PyTorch (transformers) and llama.cpp: same weights, tokens and number of threads.

    swift build -c release --product ckpt && swift build -c release --product engine-bench
    python bench/engine/compare.py MODEL.h5 [--pairs 3] [--part train|bfloat16|generate|llama|wheel|growth …]

MODEL.h5 is an imported model such as SmolLM2-135M-Instruct in fp32 (scripts/real-model makes one). train, bfloat16 and
generate need torch and transformers, llama needs llama-cpp-python (which pip compiles for this machine), and wheel
needs xllamacpp (a binary of llama.cpp for many machines). Each measurement runs in a new process, which loads the
model, warms up once and measures once; ckpt and the peer alternate. The output has medians, the median and the range of
the ratios, and peak memory.

- train: one training step (forward, backward, clipping, AdamW) in fp32.
- bfloat16: the same with bfloat16 products, compared with PyTorch's autocast and with a model entirely in bfloat16.
- generate: 64 samples of 64 tokens, each after its own prompt of 64 tokens, and 8 groups of 8 samples after prompts of
  512 tokens shared by a group.
- llama, wheel: 1, 8 and 64 streams of 64 tokens after 64, in fp32, bfloat16 and q8_0.
- growth: ckpt alone, over batch size, sequence length and model size.

All times include the prompts.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = ROOT / ".build" / "release"
ALL = ["train", "bfloat16", "generate", "llama", "wheel", "growth"]


def tokens(rows, length, vocabulary):
    return [[(i * 7919 + row * 104729 + i * i * 31) % vocabulary for i in range(length)] for row in range(rows)]


def finish(count, start):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"tokens_per_second": count / (time.perf_counter() - start), "peak_megabytes": peak}))


# MARK: peers, each in a new process


def torch_model(folder, threads, dtype="float32"):
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
    return torch, transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))


def torch_train(folder, threads, batch, length, dtype="float32", autocasts=False):
    torch, model = torch_model(folder, threads, dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    ids = torch.tensor(tokens(batch, length, model.config.vocab_size))
    for _ in range(2):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocasts):
            loss = model(ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    finish(ids.numel(), start)


def torch_autocast(*arguments):
    torch_train(*arguments, autocasts=True)


def torch_bfloat16(*arguments):
    torch_train(*arguments, dtype="bfloat16")


def torch_generate(folder, threads, rows, group, prompt, new):
    torch, model = torch_model(folder, threads)
    model.eval()
    ids = torch.tensor(tokens(rows // group, prompt, model.config.vocab_size)).repeat_interleave(group, 0)
    with torch.no_grad():
        model.generate(ids[:1], max_new_tokens=2, do_sample=False, pad_token_id=0)
        start = time.perf_counter()
        model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=new, min_new_tokens=new,
            pad_token_id=0)
    finish(rows * new, start)


def llama_generate(file, threads, rows, prompt, new):
    import ctypes

    import llama_cpp as llama
    import numpy

    quiet = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(file.encode(), llama.llama_model_default_params())
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    settings = llama.llama_context_default_params()
    settings.n_seq_max, settings.n_ctx = rows, rows * (prompt + new + 32)
    settings.n_batch = settings.n_ubatch = 512
    settings.n_threads = settings.n_threads_batch = threads
    context = llama.llama_init_from_model(model, settings)
    batch = llama.llama_batch_init(512, 0, 1)

    def run(entries):
        """Decodes (token, position, sequence, wants logits) entries and gives the most probable tokens."""
        found = []
        for first in range(0, len(entries), 512):
            part = entries[first : first + 512]
            batch.n_tokens = len(part)
            for index, (token, position, sequence, wants) in enumerate(part):
                batch.token[index], batch.pos[index] = token, position
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, sequence
                batch.logits[index] = wants
            if llama.llama_decode(context, batch) != 0:
                sys.exit("llama_decode failed")
            for index, entry in enumerate(part):
                if entry[3]:
                    row = llama.llama_get_logits_ith(context, index)
                    found.append(int(numpy.ctypeslib.as_array(row, shape=(vocabulary,)).argmax()))
        return found

    prompts = tokens(rows, prompt, vocabulary)
    for repeat in range(2):
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        start = time.perf_counter()
        # The last token of each prompt belongs to the first step, so that every step has one row per stream.
        run([(token, i, row, 0) for row in range(rows) for i, token in enumerate(prompts[row][:-1])])
        last = [row[-1] for row in prompts]
        for step in range(new):
            last = run([(last[row], prompt - 1 + step, row, 1) for row in range(rows)])
    finish(rows * new, start)


def wheel_generate(file, threads, rows, prompt, new):
    import threading

    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = file
    settings.n_parallel, settings.n_ctx = rows, rows * (prompt + new + 32)
    settings.n_batch = settings.n_ubatch = 512
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.cache_prompt, settings.cache_ram_mib, settings.verbosity = False, 0, -1
    server = xllamacpp.Server(settings)
    produced = []

    def complete(row):
        answer = server.handle_completions(
            {"prompt": row, "n_predict": new, "temperature": 0, "top_k": 1, "ignore_eos": True, "cache_prompt": False})
        produced.append(answer["usage"]["completion_tokens"])

    for repeat in range(2):
        produced.clear()
        streams = [threading.Thread(target=complete, args=(row,)) for row in tokens(rows, prompt, 49152)]
        start = time.perf_counter()
        for stream in streams:
            stream.start()
        for stream in streams:
            stream.join()
    if sum(produced) != rows * new:
        sys.exit(f"{sum(produced)} tokens instead of {rows * new}")
    finish(rows * new, start)


# MARK: driving


def measured(command):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def ours(threads, *arguments):
    return measured([BINARIES / "engine-bench", *arguments, "--threads", threads, "--json"])


def theirs(kind, *arguments):
    return measured([sys.executable, __file__, "--peer", kind, *arguments])


def compare(title, first, second, pairs):
    mine, other = [], []
    for _ in range(pairs):
        mine.append(first())
        other.append(second())
    rate = lambda rows: statistics.median(row["tokens_per_second"] for row in rows)
    peak = lambda rows: max(row["peak_megabytes"] for row in rows)
    ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(mine, other)]
    share = ""
    if "sgemm_share" in mine[0]:
        share = f"  {100 * statistics.median(row['sgemm_share'] for row in mine):.0f} % of sgemm"
    print(f"{title:64} {rate(mine):8.1f} {rate(other):8.1f} {statistics.median(ratios):6.2f} "
          f"({min(ratios):.2f}–{max(ratios):.2f})  {peak(mine):6.0f} {peak(other):6.0f}{share}", flush=True)


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--peer":
        kind, place, *numbers = sys.argv[2:]
        return {"train": torch_train, "autocast": torch_autocast, "bfloat16": torch_bfloat16,
                "generate": torch_generate, "llama": llama_generate,
                "wheel": wheel_generate}[kind](place, *map(int, numbers))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", action="append", choices=ALL)
    options = parser.parse_args()
    parts = options.part or ALL
    threads, pairs, model = options.threads, options.pairs, options.model
    print(subprocess.run([BINARIES / "engine-bench", "limits"], capture_output=True, text=True).stdout.strip())
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'tokens/s':64} {'ckpt':>8} {'peer':>8}  ratio (range)          MB     MB")
        if {"train", "bfloat16", "generate"} & set(parts):
            hf = os.path.join(folder, "hf")
            subprocess.run([BINARIES / "ckpt", "export", model, "-o", hf], check=True, capture_output=True)
        if "train" in parts:
            for batch, length in [(4, 256), (2, 1024)]:
                compare(f"training step {batch}×{length}, PyTorch",
                        lambda: ours(threads, "train", "--file", model, "--batch", batch, "--length", length,
                                     "--repeats", 2),
                        lambda: theirs("train", hf, threads, batch, length), pairs)
        if "bfloat16" in parts:
            for batch, length in [(4, 256), (2, 1024)]:
                for kind, name in [("autocast", "PyTorch's autocast"), ("bfloat16", "PyTorch's bfloat16 model")]:
                    compare(f"training step {batch}×{length}, {name}",
                            lambda: ours(threads, "train", "--file", model, "--batch", batch, "--length", length,
                                         "--repeats", 2, "--bfloat16-products"),
                            lambda: theirs(kind, hf, threads, batch, length), pairs)
        if "generate" in parts:
            for rows, group, prompt, new in [(64, 1, 64, 64), (64, 8, 512, 64)]:
                compare(f"{rows} × {new} after {prompt}, groups of {group}, transformers",
                        lambda: ours(threads, "decode", "--file", model, "--rows", rows, "--groups", group,
                                     "--prompt", prompt, "--new", new, "--repeats", 2),
                        lambda: theirs("generate", hf, threads, rows, group, prompt, new), pairs)
        for peer in [part for part in parts if part in ("llama", "wheel")]:
            narrow = ["--bfloat16", "--bfloat16-products"]
            for dtype, note, flags in [("float32", "", []), ("bfloat16", "; ckpt with fp32 products", narrow[:1]),
                                       ("bfloat16", "", narrow), ("q8_0", "; ckpt in bfloat16", narrow)]:
                gguf = os.path.join(folder, dtype + ".gguf")
                if not os.path.exists(gguf):
                    subprocess.run(
                        [BINARIES / "ckpt", "export", model, "--dtype", dtype, "-o", gguf], check=True,
                        capture_output=True)
                for rows in (1, 8, 64):
                    compare(f"{rows} streams, llama.cpp ({peer}) {dtype}{note}",
                            lambda: ours(threads, "decode", "--file", model, "--rows", rows, "--groups", 1,
                                         "--prompt", 64, "--new", 64, "--repeats", 2, *flags),
                            lambda: theirs(peer, gguf, threads, rows, 64, 64), pairs)
    if "growth" in parts:
        growth(threads, model)


def growth(threads, model):
    def row(title, *arguments):
        figures = ours(threads, *arguments, "--repeats", 1)
        share = f"  {100 * figures['sgemm_share']:.0f} % of sgemm" if "sgemm_share" in figures else ""
        print(f"{title:64} {figures['tokens_per_second']:8.1f} tokens/s  {figures['peak_megabytes']:6.0f} MB{share}",
              flush=True)

    for batch in (1, 2, 4, 8, 16, 32, 64, 128):
        row(f"training step, {batch}×64", "train", "--file", model, "--batch", batch, "--length", 64)
    for length in (128, 512, 2048, 8192):
        row(f"training step, 1×{length}", "train", "--file", model, "--batch", 1, "--length", length)
    for rows in (1, 2, 4, 8, 16, 32, 64, 128):
        row(f"generating, {rows} streams, 64 after 64", "decode", "--file", model, "--rows", rows, "--groups", 1,
            "--prompt", 64, "--new", 64)
    for length in (128, 512, 2048, 8192):
        row(f"log-probabilities, 1×{length}", "score", "--file", model, "--batch", 1, "--length", length)
    for shape, title in [("256,128,352,4,4,4", "1M"), ("4096,256,704,8,8,4", "8M"), ("49152,384,1024,12,6,2", "37M"),
                         ("49152,576,1536,30,9,3", "135M"), ("49152,960,2560,32,15,5", "362M"),
                         ("49152,1088,2944,36,17,17", "0.5B")]:
        row(f"training step, {title} parameters, 4×128", "train", "--shape", shape, "--batch", 4, "--length", 128)


if __name__ == "__main__":
    main()
