"""Measures `ckpt diff` and `ckpt verify` on models of other formats, read in place, for docs/benchmarks.md.

    swift build -c release
    python bench/diff/formats.py MODEL.h5 FOLDER [--runs 5]

Makes in FOLDER, from a checkpoint: a Hugging Face folder in bf16, a copy whose elements differ in the lowest bit, and a
GGUF file in Q8_0; and removes them at the end. --gguf names another GGUF file of the model, for example in Q4_K. GB/s count
two bytes an element for each of the two models of a diff, and the bytes of the files for verify. Each command runs once
before it is timed, so files are read from the page cache. Needs Python's standard library only.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

CKPT = pathlib.Path(__file__).resolve().parents[2] / ".build" / "release" / "ckpt"


def timed(command):
    """Seconds, seconds of processor time and peak resident bytes of the process."""
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > 1:
        sys.exit(f"{command[0]} ended with {process.returncode}: {errors.decode()[-500:]}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def row(name, byte_count, runs, command):
    timed(command)
    results = [timed(command) for _ in range(runs)]
    seconds = [result[0] for result in results]
    median = statistics.median(seconds)
    processor = statistics.median(result[1] for result in results)
    memory = max(result[2] for result in results) / 1e6
    print(
        f"| {name} | {median:.3g} s | {byte_count / median / 1e9:.2f} | {processor:.3g} s | {memory:.0f} MB "
        f"| {min(seconds):.3g}–{max(seconds):.3g} s |",
        flush=True,
    )


def perturb(path):
    """Flips the lowest bit of every bf16 element of a safetensors file."""
    with open(path, "r+b") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        # In pieces: a process that is started counts the memory of this one as its own.
        while piece := file.read(1 << 20):
            flipped = int.from_bytes(piece, "little") ^ int.from_bytes(b"\x01\x00" * (len(piece) // 2), "little")
            file.seek(-len(piece), 1)
            file.write(flipped.to_bytes(len(piece), "little"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gguf", action="append", type=pathlib.Path, default=[])
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    folder = arguments.folder / "formats-bench"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        a, b, gguf = folder / "a", folder / "b", folder / "q8_0.gguf"
        for command in [
            ["export", arguments.model, "-o", a, "--dtype", "bfloat16", "--force"],
            ["export", arguments.model, "-o", gguf, "--dtype", "q8_0", "--force"],
        ]:
            subprocess.run([str(part) for part in [CKPT, *command]], check=True, capture_output=True)
        shutil.rmtree(b, ignore_errors=True)
        shutil.copytree(a, b)
        perturb(b / "model.safetensors")
        size = (a / "model.safetensors").stat().st_size
        print("| what | median | GB/s | processor | most resident | range |\n|---|---|---|---|---|---|", flush=True)
        row("`ckpt diff`, two bf16 folders", 2 * size, arguments.runs, [CKPT, "diff", a, b])
        row("`ckpt diff`, a bf16 folder and its checkpoint", 2 * size, arguments.runs, [CKPT, "diff", a, arguments.model])
        for path in [gguf, *arguments.gguf]:
            row(f"`ckpt diff`, a bf16 folder and {path.name}", 2 * size, arguments.runs, [CKPT, "diff", a, path])
        weights = a / "model.safetensors"
        manifest = folder / "manifest.txt"
        row("`ckpt verify`, safetensors", size, arguments.runs, [CKPT, "verify", weights])
        row("`ckpt verify`, Q8_0", gguf.stat().st_size, arguments.runs, [CKPT, "verify", gguf])
        row("`ckpt verify --manifest`, the folder", size, arguments.runs, [CKPT, "verify", a, "--manifest", manifest])
        row("`sha256sum`", size, arguments.runs, ["sha256sum", weights])
    finally:
        shutil.rmtree(folder)


main()
