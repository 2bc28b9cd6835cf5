"""Compares the speed of `ckpt diff` with h5diff, numpy and modeldelta, for docs/benchmarks.md.

    swift build -c release
    python bench/diff/compare.py FOLDER [--model MODEL.h5] [--pairs 3] [--skip NAME,…]

Makes two random bf16 models in FOLDER in the shapes of DeepSeek-R1-Distill-Qwen-1.5B (3.55 GB of tensors, files of 2.4 GB)
with `io-bench model`, and removes them at the end. h5diff and numpy read the same files, through scripts/install-filter and
hdf5plugin. modeldelta, which computes the singular values of every matrix, reads two models in the shapes of SmolLM2-135M
as Hugging Face folders. --model names a checkpoint with a tokenizer, which is compared with its add-tokens result. Bytes are
the logical bytes of both models. Each command runs once before it is timed, so files are read from the page cache.

Needs h5py, hdf5plugin, numpy, and modeldelta (seen with 3.16.0, 7.1.0, 2.4.6, 0.4.4).
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build" / "release"

NUMPY = """
import sys, h5py, hdf5plugin, numpy as np
def values(dataset):
    bits = np.empty(dataset.shape, np.uint16)
    dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=dataset.id.get_type())
    return (bits.astype(np.uint32) << 16).view(np.float32).ravel()
with h5py.File(sys.argv[1]) as a, h5py.File(sys.argv[2]) as b:
    names = []
    a["weights"].visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in names:
        x, y = values(a["weights"][name]), values(b["weights"][name])
        d = y - x
        np.linalg.norm(d), np.linalg.norm(x), np.linalg.norm(y), x @ y, np.abs(d).argmax(), (x == y).sum(), (x * y < 0).sum()
        np.isfinite(x).all(), np.isfinite(y).all()
"""


def timed(command, environment=None):
    """Seconds and peak resident bytes of the process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > 1:
        sys.exit(f"{command[0]} ended with {process.returncode}: {errors.decode()[-500:]}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def row(name, command, byte_count, pairs, environment=None):
    runs = [timed(command, environment) for _ in range(pairs)]
    seconds = statistics.median(run[0] for run in runs)
    rate = f"{byte_count / seconds / 1e9:.2f}" if byte_count else "–"
    memory = max(run[1] for run in runs) / 1e6
    print(f"| {name} | {seconds:.3g} s | {rate} | {memory:.0f} MB | {min(r[0] for r in runs):.3g}–{max(r[0] for r in runs):.3g} s |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--model")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--skip", default="")
    arguments = parser.parse_args()
    skipped = arguments.skip.split(",")
    folder = arguments.folder / "diff-bench"
    folder.mkdir(parents=True, exist_ok=True)
    a, b, same = folder / "a.h5", folder / "b.h5", folder / "same.h5"
    ckpt = BUILD / "ckpt"
    try:
        for seed, path in [("1", a), ("2", b)]:
            if not path.exists():
                subprocess.run([BUILD / "io-bench", "model", path, seed], check=True, stdout=subprocess.DEVNULL)
        large = 2 * 3_554_176_000
        print("| what | median | GB/s | most resident | range |\n|---|---|---|---|---|", flush=True)
        if "ckpt" not in skipped:
            timed([ckpt, "diff", a, b])
            row("`ckpt diff`, two unrelated models", [ckpt, "diff", a, b], large, arguments.pairs)
            if not same.exists():
                os.link(a, same)
            row("`ckpt diff`, identical models", [ckpt, "diff", a, same], None, arguments.pairs)
        if arguments.model and "child" not in skipped:
            child = folder / "child.h5"
            subprocess.run([ckpt, "add-tokens", arguments.model, "-o", child, "--report", "fast", "--force"], check=True, capture_output=True)
            row("`ckpt diff`, a model and its add-tokens child", [ckpt, "diff", arguments.model, child], None, arguments.pairs)
        if "h5diff" not in skipped:
            plugins = folder / "plugins"
            subprocess.run([ROOT / "scripts" / "install-filter", plugins], check=True, stdout=subprocess.DEVNULL)
            row("`h5diff -d 9`", ["h5diff", "-d", "9", a, b, "/weights"], large, 1, {"HDF5_PLUGIN_PATH": str(plugins)})
        if "numpy" not in skipped:
            row("numpy, h5py and hdf5plugin", [sys.executable, "-c", NUMPY, a, b], large, 1)
        if "modeldelta" not in skipped:
            folders = []
            for seed in ["1", "2"]:
                small, exported = folder / f"small{seed}.h5", folder / f"small{seed}"
                subprocess.run(
                    [ckpt, "init", "-o", small, "--force", "--seed", seed, "--hidden-size", "576", "--layers", "30", "--heads", "9",
                     "--key-value-heads", "3", "--intermediate-size", "1536"], check=True, capture_output=True)
                subprocess.run([ckpt, "export", small, "-o", exported, "--force", "--dtype", "bfloat16"], check=True, capture_output=True)
                folders.append(exported)
            byte_count = 2 * sum(path.stat().st_size for path in folders[0].glob("*.safetensors"))
            print(f"two models of {byte_count / 2e6:.0f} MB:", flush=True)
            row("`ckpt diff`", [ckpt, "diff", folder / "small1.h5", folder / "small2.h5"], 2 * byte_count, arguments.pairs)
            row("modeldelta", [sys.executable, "-m", "modeldelta", "-q", *folders], byte_count, 1)
    finally:
        shutil.rmtree(folder)


main()
