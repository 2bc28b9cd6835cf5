"""The valid files that attacks start from, made by the program under attack and by h5py."""

import os
import shutil
import subprocess

FIXTURES = os.path.abspath("Tests")
SHAPE = ["--hidden-size", "32", "--layers", "1", "--heads", "2"]
SFT = ["--steps", "3", "--save-every", "1", "--batch-pairs", "2"]
RL = ["--steps", "2", "--save-every", "1", "--prompts", "2", "--samples", "2", "--max-new-tokens", "8"]


def make(setup, build):
    """Makes the seeds, once for each binary, and returns their paths by name."""
    binary = os.stat(setup["ckpt"])
    final = os.path.join(build, f"seeds-{binary.st_size}-{binary.st_mtime_ns}")
    if not os.path.isdir(final):
        folder = f"{final}.{os.getpid()}"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        fill(setup, folder)
        os.rename(folder, final)
    return paths(final)


def fill(setup, folder):

    def ckpt(*arguments):
        done = subprocess.run(
            [setup["ckpt"], *arguments], cwd=folder, env=setup["environment"], capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"ckpt {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")

    ckpt("init", "-o", "init.h5", *SHAPE, "--seed", "1")
    ckpt("add-tokens", "init.h5", "-o", "model.h5", "--report", "fast")
    ckpt("init", "-o", "other.h5", *SHAPE, "--seed", "2")
    ckpt("add-tokens", "other.h5", "-o", "donor.h5", "--report", "fast")
    ckpt("init", "-o", "large.h5", "--hidden-size", "256", "--layers", "4", "--heads", "4", "--seed", "3")
    ckpt("make-task", "-o", "task", "--train", "12", "--rl", "12", "--dev", "2", "--test", "2", "--probe", "1")
    # A single-character vocabulary reads fast; answers of a random model are malformed, and graded all the same.
    ckpt("train-sft", "model.h5", "--data", "task/train.jsonl", "-o", "sft", *SFT)
    ckpt("train-rl", "model.h5", "--data", "task/rl.jsonl", "-o", "rl", *RL, "--probe", "task/probe.jsonl")
    ckpt("export", "model.h5", "-o", "hf")
    with open(os.path.join(folder, "responses.jsonl"), "w") as target:
        for name in sorted(os.listdir(os.path.join(folder, "rl/rollouts"))):
            with open(os.path.join(folder, "rl/rollouts", name)) as source:
                target.write(source.read())
    with open(os.path.join(folder, "good-responses.jsonl"), "w") as target:
        for number in range(4):
            target.write(
                '{"id":"%d","problem":"1+%d?","answer":"%d","response":"<short>\\\\boxed{%d}"}\n'
                % (number, number, number + 1, number + 1)
            )


def paths(folder):
    seeds = {name: os.path.join(folder, name) for name in os.listdir(folder)}
    seeds["sft.h5"] = os.path.join(folder, "sft/step-000003.h5")
    seeds["sft-old.h5"] = os.path.join(folder, "sft/step-000001.h5")
    seeds["rl.h5"] = os.path.join(folder, "rl/step-000002.h5")
    seeds["companions"] = FIXTURES + "/FuzzTargetsTests/Fixtures/companions"
    seeds["corpus"] = FIXTURES + "/FuzzTargetsTests/Fixtures/corpus"
    seeds["foreign"] = [
        FIXTURES + f"/CheckpointIOTests/Fixtures/h5py-{name}.h5"
        for name in ("odd-chunks", "plain", "shuffle-zstd", "zstd")
    ]
    seeds["small"] = [
        f"{seeds['corpus']}/checkpoint/seed-{name}"
        for name in ("chunks", "odd-chunks", "plain", "probe", "tokenizer", "training")
    ]
    return seeds
