"""Compares saving, loading and copying by ckpt with other formats, on one machine in one run.

    swift build -c release --product io-bench
    python bench/io/compare.py CHECKPOINT.h5 [--pairs 5] [--folder FOLDER]

Needs h5py, hdf5plugin, safetensors, torch and zipnn (where it is missing, its lines are left out). Each measurement
alternates ckpt and the peer; the table has the median of the ratios and their range. CHECKPOINT is any checkpoint of
ckpt; its tensors must be of one floating-point type. The digests are included in ckpt's times.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import hdf5plugin
import numpy as np
import torch
from safetensors.torch import load_file, save_file

try:
    import zipnn
except ImportError:
    zipnn = None

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BENCH = os.path.join(ROOT, ".build", "release", "io-bench")
WORDS = {2: np.uint16, 4: np.uint32}


def ckpt(*arguments):
    result = subprocess.run([BENCH, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return json.loads(result.stdout)


def tensors_of(path):
    """Name -> words of the tensor's bits: what the peers are given, without any conversion."""
    tensors = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and "sha256" in item.attrs:
            raw = np.empty(item.shape, WORDS[item.id.get_type().get_size()])
            item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, mtype=item.id.get_type())
            tensors[name.replace("/", ".")] = raw

    with h5py.File(path) as file:
        file["weights"].visititems(visit)
    return tensors


def flush(path):
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)


def save_h5py(tensors, path, chunked=False):
    with h5py.File(path, "w") as file:
        for name, values in tensors.items():
            options = {}
            if values.ndim > 0 and values.size > 16384:
                options = dict(shuffle=True, **hdf5plugin.Zstd())
                if chunked:
                    row = values.nbytes // values.shape[0]
                    options["chunks"] = (max(1, min(values.shape[0], (1 << 20) // row)),) + values.shape[1:]
            file.create_dataset(name.replace(".", "/"), data=values, **options)
    flush(path)


def load_h5py(path):
    tensors = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: tensors.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return tensors


def as_torch(tensors):
    kinds = {2: torch.bfloat16, 4: torch.float32}
    return {name: torch.from_numpy(values).view(kinds[values.itemsize]) for name, values in tensors.items()}


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def row(title, ours, theirs):
    ratios = [their / our for our, their in zip(ours, theirs)]
    print(
        f"{title:44} {statistics.median(ours):8.3f} {statistics.median(theirs):8.3f} "
        f"{statistics.median(ratios):6.2f}x  ({min(ratios):.2f}–{max(ratios):.2f})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder")
    options = parser.parse_args()
    source = os.path.abspath(options.checkpoint)
    tensors = tensors_of(source)
    raw = sum(values.nbytes for values in tensors.values())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ours, plain, chunked = (os.path.join(folder, name) for name in ("ckpt.h5", "h5py.h5", "chunked.h5"))
        safe = os.path.join(folder, "model.safetensors")
        torch_tensors = as_torch(tensors)

        print(f"{raw / 1e6:.0f} MB in {len(tensors)} tensors; {os.cpu_count()} cores; {options.pairs} pairs")
        print(f"{'':44} {'ckpt s':>8} {'peer s':>8} {'median':>7}  (range)")
        peers = [
            ("save, h5py + hdf5plugin (shuffle, zstd)", lambda: save_h5py(tensors, plain)),
            ("save, the same with 1 MiB chunks", lambda: save_h5py(tensors, chunked, chunked=True)),
            ("save, safetensors + fsync", lambda: (save_file(torch_tensors, safe), flush(safe))),
        ]
        saved = None
        for title, peer in peers:
            pairs = []
            for _ in range(options.pairs):
                saved = ckpt("save", source, ours)
                pairs.append((saved["seconds"], timed(peer)[0]))
            row(title, *zip(*pairs))
        print(f"{'':4}peak resident memory while saving, tensors included: {saved['peak_resident_bytes'] / 1e6:.0f} MB")

        for title, path in [("load, h5py default chunks", plain), ("load, h5py 1 MiB chunks", chunked)]:
            fresh, reused, peer = [], [], []
            for _ in range(options.pairs):
                loaded = ckpt("load", ours)
                fresh.append(loaded["fresh_seconds"])
                reused.append(loaded["reused_seconds"])
                peer.append(timed(lambda: load_h5py(path))[0])
            row(title + " (fresh memory)", fresh, peer)
            row(title + " (ckpt: reused memory)", reused, peer)
        fresh, peer = [], []
        for _ in range(options.pairs):
            fresh.append(ckpt("load", ours)["fresh_seconds"])
            peer.append(timed(lambda: {n: t.clone() for n, t in load_file(safe).items()})[0])
        row("load, safetensors (copied out of the map)", fresh, peer)

        copies, plains, memory = [], [], 0
        for _ in range(options.pairs):
            copied = ckpt("copy", ours, os.path.join(folder, "copy.h5"))
            copies.append(copied["seconds"])
            memory = max(memory, copied["peak_resident_bytes"])
            other = os.path.join(folder, "cp.h5")
            plains.append(timed(lambda: (subprocess.run(["cp", ours, other], check=True), flush(other)))[0])
        row("copy with one tensor changed, cp + fsync", copies, plains)
        print(f"{'':4}peak resident memory while copying: {memory / 1e6:.0f} MB")

        print("size, share of raw:")
        sizes = [("ckpt", ours), ("h5py + hdf5plugin", plain), ("h5py, 1 MiB chunks", chunked), ("safetensors", safe)]
        for title, path in sizes:
            print(f"    {title:24} {os.path.getsize(path) / raw:.4f}")
        if zipnn is not None:
            compare_zipnn(tensors, raw, options.pairs, source, ours)


def compare_zipnn(tensors, raw, pairs, source, ours):
    """ZipNN packs bytes in memory: no file, no digest. ckpt's times are those of saving and loading files."""
    kinds = {2: "bfloat16", 4: "float32"}
    contents = [(values.tobytes(), kinds[values.itemsize]) for values in tensors.values()]
    saves, packs, fresh, reused, unpacks = [], [], [], [], []
    for _ in range(pairs):
        saves.append(ckpt("save", source, ours)["seconds"])
        packed, pack = [], 0.0
        for content, kind in contents:
            # It changes what it is given.
            content = bytearray(content)
            codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=kind, threads=os.cpu_count())
            seconds, result = timed(lambda: codec.compress(content))
            pack += seconds
            packed.append(result)
        packs.append(pack)
        loaded = ckpt("load", ours)
        fresh.append(loaded["fresh_seconds"])
        reused.append(loaded["reused_seconds"])
        # Each tensor's memory is given back before the next, so ZipNN's is memory used before.
        unpack = 0.0
        for (content, kind), part in zip(contents, packed):
            codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=kind, threads=os.cpu_count())
            seconds, result = timed(lambda: codec.decompress(part))
            unpack += seconds
            assert bytes(result) == content
        unpacks.append(unpack)
    print(f"    {'ZipNN':24} {sum(len(part) for part in packed) / raw:.4f}")
    row("save, ZipNN packing in memory", saves, packs)
    row("load, ZipNN unpacking (fresh memory)", fresh, unpacks)
    row("load, ZipNN unpacking (ckpt: reused memory)", reused, unpacks)


if __name__ == "__main__":
    main()
