"""Compares saving, loading and copying in ckpt with other formats, on one machine in one run.

    swift build -c release --product io-bench
    python bench/io/compare.py CHECKPOINT.h5 [--pairs 5] [--folder FOLDER]

Needs h5py, hdf5plugin, safetensors, torch and zipnn (without zipnn its rows are missing). Measurements of ckpt and its
peer alternate; the table has the median of the ratios and their range. CHECKPOINT is any checkpoint of ckpt whose tensors
have one floating-point type. ckpt's times include the digests.

Each program loads in a separate process, whose memory is fresh: the first load is "fresh", and the second, into the
tensors of the first, is "reused". Memory is what the system gives by default; for ckpt also huge pages, which its engine
asks for.
"""

import argparse
import json
import os
import pickle
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
    """Name -> the tensor's bits as words, which the peers get without conversion."""
    tensors = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and "sha256" in item.attrs:
            raw = np.empty(item.shape, WORDS[item.id.get_type().get_size()])
            item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, raw, mtype=item.id.get_type())
            tensors[name.replace("/", ".")] = raw

    with h5py.File(path) as file:
        file["weights"].visititems(visit)
    return tensors


def stored_bytes(path):
    """The bytes that a checkpoint's tensors take in the file."""
    sizes = []

    def visit(_, item):
        if isinstance(item, h5py.Dataset):
            sizes.append(item.id.get_storage_size())

    with h5py.File(path) as file:
        file["weights"].visititems(visit)
    return sum(sizes)


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


def load_h5py(path, tensors=None):
    """Loads into the given arrays, or into new ones."""
    loaded = {}

    def visit(name, item):
        if not isinstance(item, h5py.Dataset):
            return
        if tensors is None:
            loaded[name] = item[()]
        elif item.shape == ():
            tensors[name] = item[()]
        else:
            item.read_direct(tensors[name])

    with h5py.File(path) as file:
        file.visititems(visit)
    return loaded


def load_safetensors(path, tensors=None):
    """Copies out of the memory map; without that, loading would only map the file."""
    if tensors is None:
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    for name, tensor in load_file(path).items():
        tensors[name].copy_(tensor)


def unpack_zipnn(path):
    """Fresh if all results are kept; reused if the memory of each is freed before the next."""
    with open(path, "rb") as file:
        parts = pickle.load(file)

    def unpack(content, kind):
        return zipnn.ZipNN(input_format="byte", bytearray_dtype=kind, threads=os.cpu_count()).decompress(content)

    fresh, kept = timed(lambda: [unpack(content, kind) for content, kind in parts])
    del kept
    reused = 0.0
    for content, kind in parts:
        seconds, result = timed(lambda: unpack(content, kind))
        reused += seconds
        del result
    return fresh, reused


def loaded_by_peer(kind, path):
    """Seconds for loading into fresh and into reused memory, in a separate process."""
    result = subprocess.run([sys.executable, __file__, "--peer", kind, path], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return json.loads(result.stdout)


def load_as_peer(kind, path):
    if kind == "zipnn":
        fresh, reused = unpack_zipnn(path)
    else:
        load = {"h5py": load_h5py, "safetensors": load_safetensors}[kind]
        fresh, tensors = timed(lambda: load(path))
        reused, _ = timed(lambda: load(path, tensors))
    print(json.dumps([fresh, reused]))


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
        f"{statistics.median(ratios):6.2f}x  ({min(ratios):.2f}–{max(ratios):.2f})", flush=True)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return load_as_peer(*sys.argv[2:])
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

        compare_loads("load, h5py default chunks", ours, "h5py", plain, options.pairs)
        compare_loads("load in huge pages, h5py default chunks", ours, "h5py", plain, options.pairs, "huge")
        compare_loads("load, h5py 1 MiB chunks", ours, "h5py", chunked, options.pairs)
        compare_loads("load, safetensors, copied", ours, "safetensors", safe, options.pairs)

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
        # The file also holds the tokenizer, digests and an index; the other formats hold only tensors.
        print(f"    {'ckpt, tensors alone':24} {stored_bytes(ours) / raw:.4f}")
        if zipnn is not None:
            compare_zipnn(tensors, raw, options.pairs, source, ours, folder)


def compare_loads(title, ours, kind, path, pairs, *pages):
    fresh, reused = [], []
    for _ in range(pairs):
        loaded = ckpt("load", ours, *pages)
        peer = loaded_by_peer(kind, path)
        fresh.append((loaded["fresh_seconds"], peer[0]))
        reused.append((loaded["reused_seconds"], peer[1]))
    row(title + ", fresh memory", *zip(*fresh))
    row(title + ", reused memory", *zip(*reused))


def compare_zipnn(tensors, raw, pairs, source, ours, folder):
    """ZipNN packs bytes in memory, without file or digest; ckpt's times are for saving and loading files."""
    kinds = {2: "bfloat16", 4: "float32"}
    contents = [(values.tobytes(), kinds[values.itemsize]) for values in tensors.values()]
    saves, packs = [], []
    for _ in range(pairs):
        saves.append(ckpt("save", source, ours)["seconds"])
        packed, pack = [], 0.0
        for content, kind in contents:
            # ZipNN changes its input.
            content = bytearray(content)
            codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=kind, threads=os.cpu_count())
            seconds, result = timed(lambda: codec.compress(content))
            pack += seconds
            packed.append((result, kind))
        packs.append(pack)
    for (content, kind), (part, _) in zip(contents, packed):
        codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=kind, threads=os.cpu_count())
        assert bytes(codec.decompress(part)) == content
    print(f"    {'ZipNN':24} {sum(len(part) for part, _ in packed) / raw:.4f}")
    row("save, ZipNN packing in memory", saves, packs)
    path = os.path.join(folder, "zipnn")
    with open(path, "wb") as file:
        pickle.dump(packed, file)
    del contents, packed
    compare_loads("load, ZipNN unpacking in memory", ours, "zipnn", path, pairs)


if __name__ == "__main__":
    main()
