#!/usr/bin/env python3
"""Measures SFT on two MPI ranks of one thread beside one process of one and of two threads, in turns.

Usage: bench/scaling/compare.py MODEL [--pairs N] [--steps N] [--mpirun PROGRAM]

MODEL is a checkpoint with control tokens, such as SmolLM2-135M-Instruct after `ckpt add-tokens`. Every rank, and the
process of one thread, gets 4 sequences of 256 tokens an update; the process of two threads gets 8. Needs two
processors, the MPI plugin (scripts/install-mpi) and taskset. Prints the tokens a second of each run, the ratios of
each turn and their medians, and the time of the sum of gradients.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "the of and to in is that it was for on are with as his they at be this from have or by one had not".split()


def rows(count):
    """Pairs whose halves have about 256 tokens each: a word is a token."""
    for number in range(count):
        generator = random.Random(number)
        text = lambda length: " ".join(generator.choice(WORDS) for _ in range(length))
        yield {"id": str(number), "problem": text(20), "think": f"{text(200)}</think> \\boxed{{1}}", "short": f"{text(200)} \\boxed{{1}}"}


def rate(command, folder):
    """The tokens a second of a run's last steps."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    steps = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(row["tokens_per_second"] for row in steps[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--ckpt", default=str(ROOT / ".build" / "release" / "ckpt"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--mpirun", default="mpirun.openmpi")
    options = parser.parse_args()
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(64)))
        base = [
            options.ckpt, "train-sft", options.model.resolve(), "--data", "pairs.jsonl", "-o", "run", "--force",
            "--steps", options.steps, "--eval-problems", "0", "--save-every", "1000000", "--overlong", "clip",
            "--max-length", "256"]
        runs = {
            "one rank, one thread": ["taskset", "-c", "0", *base, "--batch-pairs", "2"],
            "two ranks, one thread": [
                options.mpirun, "--bind-to", "core", "-n", "2", *base, "--batch-pairs", "4", "--slices", "2"],
            "one rank, two threads": ["taskset", "-c", "0,1", *base, "--batch-pairs", "4"],
        }
        ratios = {name: [] for name in runs}
        for turn in range(options.pairs):
            rates = {name: rate([str(word) for word in command], folder) for name, command in runs.items()}
            two = rates["two ranks, one thread"]
            for name, value in rates.items():
                ratios[name].append(two / value)
            print(f"turn {turn + 1}: " + ", ".join(f"{name} {value:.0f} tokens/s" for name, value in rates.items()), flush=True)
        for name in ["one rank, one thread", "one rank, two threads"]:
            values = ratios[name]
            print(f"two ranks, one thread, beside {name}: {statistics.median(values):.2f} times "
                  f"({min(values):.2f} to {max(values):.2f})")


main()
