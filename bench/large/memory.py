#!/usr/bin/env python3
"""Measures the memory of training a model in the shapes of DeepSeek-R1-Distill-Qwen-1.5B, beside the estimate.

Usage: bench/large/memory.py TOKENIZER [--ckpt PROGRAM] [--layers N] [--only NAME…] [--products bf16] [--folder FOLDER]

TOKENIZER is a folder that `ckpt export` wrote, such as that of SmolLM2-135M-Instruct. Makes the model (model.py) and
pairs of one length, trains one step in each configuration, and prints the estimate that ckpt gives before it starts,
the peak of resident memory that the system reports for the process, and their ratio; then the time of a step that
--dry-run prints, the time of the step, and their ratio. With --layers 4 it takes minutes
and 2 GB; all 28 layers take 8 GB of disk, up to 13 GB of memory, and an hour or more on two cores. Needs NumPy.
"""
import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SFT = ["--steps", "1", "--warmup", "0", "--eval-problems", "0", "--max-length", "40000", "--batch-pairs", "1"]
RL = ["--steps", "1", "--prompts", "4", "--samples", "4", "--max-new-tokens", "512", "--answer", "any",
      "--kl-coefficient", "0.01"]
LORA = ["--lora", "r=16"]
CONFIGURATIONS = {
    "sft-lora-2k": ("train-sft", 2000, [*SFT, *LORA, "--recompute", "always"]),
    "sft-lora-8k": ("train-sft", 8000, [*SFT, *LORA, "--recompute", "always"]),
    "sft-lora-16k": ("train-sft", 16000, [*SFT, *LORA, "--recompute", "always"]),
    "sft-lora-16k-bf16": (
        "train-sft", 16000, [*SFT, *LORA, "--recompute", "always", "--activations", "bf16"]),
    "sft-8bit-2k": ("train-sft", 2000, [*SFT, "--moments", "8bit", "--recompute", "always"]),
    "sft-bf16-2k": ("train-sft", 2000, [*SFT, "--weights", "bf16", "--moments", "8bit", "--recompute", "always"]),
    "rl-lora": ("train-rl", 0, [*RL, *LORA, "--recompute", "always"]),
}
WORDS = "the of and to in is that it was for on are with as his they at be this from have or by one had not".split()


def pairs(tokens, count=24):
    """Pairs whose think answers have about this many tokens: each word is one token of an English tokenizer."""
    for number in range(count):
        generator = random.Random(number)
        work = " ".join(generator.choice(WORDS) for _ in range(max(8, tokens - 60)))
        a, b = generator.randrange(10, 99), generator.randrange(10, 99)
        yield {
            "id": str(number), "problem": f"What is {a} + {b}?", "answer": str(a + b),
            "think": f"{work}</think> so \\boxed{{{a + b}}}", "short": f"\\boxed{{{a + b}}}"}


def measured(command, folder):
    """Runs a command; what it writes, the peak of its resident memory in bytes, and the seconds it takes."""
    start = time.monotonic()
    with open(folder / "log", "w+b") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = (folder / "log").read_text(errors="replace")
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{text[-2000:]}")
    return text, usage.ru_maxrss * 1024, time.monotonic() - start


def duration(text):
    """The seconds in a duration as ckpt prints it: 14 s, 1 min 5 s, 2 h 3 min."""
    units = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
    return sum(float(number.replace(",", "")) * units[unit] for number, unit in re.findall(r"([\d.,]+) (ms|s|min|h|d)\b", text))


def step_seconds(folder):
    """The seconds of the run's step, without saving and probe."""
    row = json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    return row.get("seconds_step") or row["tokens"] / row["tokens_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("--ckpt", default=str(ROOT / ".build" / "release" / "ckpt"))
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--only", nargs="+", choices=sorted(CONFIGURATIONS), default=list(CONFIGURATIONS))
    parser.add_argument("--products", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / ".build" / "bench-large")
    options = parser.parse_args()
    folder = options.folder / f"layers-{options.layers}"
    folder.mkdir(parents=True, exist_ok=True)
    ckpt = os.path.abspath(options.ckpt)
    model = folder / "tokens.h5"
    if not model.exists():
        subprocess.run(
            [sys.executable, HERE / "model.py", options.tokenizer, folder / "model", "--layers", str(options.layers)],
            check=True)
        measured([ckpt, "import", "model", "-o", "base.h5", "--force"], folder)
        measured([ckpt, "add-tokens", "base.h5", "-o", "tokens.h5", "--init", "normal", "--report", "fast"], folder)
        (folder / "base.h5").unlink()
    print(f"{'configuration':17} {'estimate':>9} {'measured':>9} {'ratio':>6} {'dry run':>8} {'step':>8} {'ratio':>6}")
    for name in options.only:
        command, tokens, flags = CONFIGURATIONS[name]
        # So few pairs leave none for a probe, whose evaluation would take as long as the step.
        rows = list(pairs(tokens, count=4 if command == "train-sft" else 24))
        (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        arguments = [ckpt, command, str(model), "--data", "pairs.jsonl", "-o", "run", "--force", *flags]
        arguments += ["--products", options.products]
        trial = measured([*arguments, "--dry-run"], folder)[0]
        # The random model of train-rl never ends an answer, so every answer has the largest length.
        expected = duration(
            re.search(r"\((.*) if every answer had|the run, 1 step: (.*?), without", trial).group(0).split(":")[-1])
        text, peak, _ = measured(arguments, folder)
        seconds = step_seconds(folder)
        number, unit = re.search(r"memory: about ([\d.,]+) (MB|GB)", text).groups()
        estimate = float(number.replace(",", "")) * (1e9 if unit == "GB" else 1e6)
        print(
            f"{name:17} {estimate / 1e9:6.2f} GB {peak / 1e9:6.2f} GB {estimate / peak:6.2f} {expected:6.0f} s "
            f"{seconds:6.0f} s {expected / seconds:6.2f}", flush=True)


main()
