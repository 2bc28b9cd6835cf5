"""Measures deltas between the states of a training run: bytes, beside other forms, and the speed of delta and apply.

    swift build -c release --product ckpt
    python bench/delta/compare.py BASE.h5 [--work FOLDER] [--types bf16 fp32] [--rates 1e-6 2e-5 3e-4] [--steps 3]

Needs h5py, hdf5plugin, numpy and zstandard. Trains BASE.h5 (SmolLM2-135M-Instruct as `ckpt import` gives it) for a few
steps of `ckpt train-sft` on word problems that the script makes, at each learning rate and with weights of each type, and
compares each state with the one before.

"TRL raw" and "TRL gaps" are the sizes of the sparse forms of TRL's delta weight sync: an index of 4 bytes, or a gap of 2,
and the value, for each element that changes. "zstd of XOR" is libzstd's level 1 or 3 for each tensor, the better of the bits
as they are and byte planes.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

import h5py
import hdf5plugin
import numpy as np
import zstandard

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CKPT = os.path.join(ROOT, ".build", "release", "ckpt")
WORDS = {2: np.uint16, 4: np.uint32}


def ckpt(*arguments):
    start = time.monotonic()
    result = subprocess.run([CKPT, *arguments], capture_output=True, text=True)
    if result.returncode not in (0, 1):
        sys.exit(result.stderr)
    return result.stdout, time.monotonic() - start


def tensors_of(path):
    """Yields the path of each tensor and its bits."""
    with h5py.File(path) as file:
        found = []
        file["weights"].visititems(lambda name, item: found.append(name) if "sha256" in item.attrs else None)
        for name in found:
            item = file["weights"][name]
            raw = np.empty(item.shape, WORDS[item.id.get_type().get_size()])
            item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, mtype=item.id.get_type())
            yield name, raw.ravel()


def peers(old, new):
    """The bytes of other forms of what changed, and the elements that changed."""
    compressors = [zstandard.ZstdCompressor(level=level) for level in (1, 3)]
    sizes = {"zstd of XOR": 0, "TRL raw": 0, "TRL gaps": 0}
    changed = total = count = 0
    for (name, a), (_, b) in zip(tensors_of(old), tensors_of(new)):
        xor = a ^ b
        planes = np.ascontiguousarray(xor.view(np.uint8).reshape(-1, xor.itemsize).T)
        sizes["zstd of XOR"] += min(
            len(compressor.compress(data.tobytes())) for compressor in compressors for data in (xor, planes)
        )
        differ = int(np.count_nonzero(xor))
        # A gap above 65,535 takes several numbers; there are hardly any.
        sizes["TRL raw"] += differ * (4 + xor.itemsize)
        sizes["TRL gaps"] += differ * (2 + xor.itemsize)
        changed += differ
        total += a.size
        count += a.nbytes
    return sizes, changed, total, count


def write_pairs(path, count):
    numbers = random.Random(7)
    with open(path, "w") as file:
        for index in range(count):
            a, b, c = (numbers.randint(2, 99) for _ in range(3))
            answer = str(a * b + c)
            file.write(
                json.dumps(
                    {
                        "id": f"p{index}",
                        "problem": f"A shop has {a} boxes of {b} apples and {c} single ones. How many apples?",
                        "think": f"{a} boxes of {b} are {a * b} apples, and {c} more make {answer}.</think>There are {answer} apples.",
                        "short": f"There are {answer} apples.",
                        "answer": answer,
                    }
                )
                + "\n"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("--work", default="delta-bench")
    parser.add_argument("--types", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--rates", nargs="+", default=["1e-6", "2e-5", "3e-4"])
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    work = lambda name: os.path.join(options.work, name)
    write_pairs(work("pairs.jsonl"), 64)
    if not os.path.exists(work("tokens.h5")):
        ckpt("add-tokens", options.base, "-o", work("tokens.h5"))
    print("weights  lr    step  changed   delta   zstd of XOR  TRL raw  TRL gaps   delta GB/s  apply GB/s  read GB/s")
    for weights in options.types:
        for rate in options.rates:
            run = work(f"{weights}-{rate}")
            if not os.path.exists(run):
                ckpt(
                    "train-sft", work("tokens.h5"), "--data", work("pairs.jsonl"), "-o", run, "--lr", rate,
                    "--schedule", "constant", "--warmup", "0", "--weights", weights, "--steps", str(options.steps),
                    "--batch-pairs", "2", "--save-every", "1", "--eval-problems", "0", "--control-lr-scale", "1",
                )
            for step in range(2, options.steps + 1):
                old, new = (os.path.join(run, f"step-{number:06d}.h5") for number in (step - 1, step))
                report, delta_time = ckpt("delta", "--model", old, new, "-o", work("d.h5"), "--force", "--json")
                report = json.loads(report)
                _, apply_time = ckpt("apply", old, work("d.h5"), "-o", work("b.h5"), "--force")
                _, read_time = ckpt("verify", work("d.h5"))
                given, expected = (json.loads(ckpt("inspect", "--json", path)[0]) for path in (work("b.h5"), new))
                assert given["weights_digest"] == expected["weights_digest"], "the state was not given back"
                sizes, changed, total, count = peers(old, new)
                assert changed == report["elements_changed"] and count == report["state_bytes"]
                shares = [report["file_bytes"] / count] + [
                    sizes[name] / count for name in ("zstd of XOR", "TRL raw", "TRL gaps")
                ]
                print(
                    f"{weights:8} {rate:5} {step:4}  {changed / total:7.2%}  "
                    + "  ".join(f"{share:8.2%}" for share in shares)
                    + "  "
                    + "  ".join(f"{count / seconds / 1e9:9.2f}" for seconds in (delta_time, apply_time, read_time)),
                    flush=True,
                )


if __name__ == "__main__":
    main()
