#!/usr/bin/env python3
"""Checks the results of scripts/real-model against transformers and h5py; exits with 1 if anything differs.

Usage: scripts/check/real-model.py FOLDER
"""

import json
import subprocess
import sys

import h5py
import hdf5plugin  # registers the zstd filter
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "What is 17+25?",
    "Name the capital of France.",
    "Write a short poem about rain.",
    "Explain in one sentence why the sky is blue.",
    "List three prime numbers.",
]
failures = []


def check(name, holds, detail):
    print(f"{'ok  ' if holds else 'FAIL'} {name}: {detail}")
    if not holds:
        failures.append(name)


def ckpt(*arguments):
    return subprocess.run(["ckpt", *arguments], check=True, capture_output=True, text=True).stdout


def generation(folder):
    """Greedy text of the imported model from ckpt and from transformers, with the same fp32 weights."""
    ckpt("export", f"{folder}/base.h5", "-o", f"{folder}/base-hf", "--force")
    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/base-hf")
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/base-hf", dtype=torch.float32).eval()
    for prompt in PROMPTS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        with torch.no_grad():
            output = model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1] :]
        end = tokenizer.eos_token_id
        expected = tokenizer.decode([i for i in output.tolist() if i != end])
        row = ckpt("generate", f"{folder}/base.h5", "--prompt", prompt, "--temperature", "0", "--max-new-tokens", "40", "--json")
        found = json.loads(row)["completion"]
        check(f"greedy generation, {prompt!r}", found == expected, repr(found[:60]) if found == expected else f"{found!r} against {expected!r}")
    return tokenizer, model


def logits(folder, tokenizer, model):
    """The largest difference between the logits of a text of 200 tokens, relative to the largest logit."""
    text = "The tide comes in twice a day, since the earth turns once under the two bulges that the moon raises. " * 12
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:200]
    output = f"{folder}/logits.f32"
    subprocess.run(
        ["engine-bench", "logits", "--file", f"{folder}/base.h5", "--tokens", ",".join(map(str, ids)), "--output", output],
        check=True,
    )
    found = np.fromfile(output, dtype="<f4").reshape(len(ids), -1)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    check(f"logits of {len(ids)} tokens", len(ids) == 200 and error < 1e-4, f"largest relative error {error:.1e}")


def stock_reading(folder):
    """h5py + hdf5plugin reads the same numbers as transformers loads from the export."""
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/out", dtype=torch.float32)
    state = model.state_dict()
    with h5py.File(f"{folder}/rl/step-000005.h5") as file:
        worst = 0.0
        for name, tensor in state.items():
            path = "/weights/" + name.replace(".", "/")
            if path not in file:
                check(f"tensor {name}", name == "lm_head.weight", "not stored, tied")
                continue
            worst = max(worst, float(np.abs(file[path][...].astype(np.float32) - tensor.numpy()).max()))
        check("h5py reads the weights that transformers loads", worst == 0, f"largest difference {worst}")
        steps = file["/history/rl/step"][...]
        check("one row of history per step", steps.tolist() == [1, 2, 3, 4, 5], steps.tolist())


def warm_up(folder):
    with h5py.File(f"{folder}/sft/step-000020.h5") as file:
        think = file["/probe/p_think"][-1].mean()
        short = file["/probe/p_short"][-1].mean()
    check("both modes after SFT", min(think, short) >= 0.2, f"P(<think>) {think:.3f}, P(<short>) {short:.3f} on held-out prompts")


folder = sys.argv[1]
logits(folder, *generation(folder))
stock_reading(folder)
warm_up(folder)
sys.exit(1 if failures else 0)
