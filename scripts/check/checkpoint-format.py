#!/usr/bin/env python3
"""Checks a checkpoint using only h5py and what docs/checkpoint-format.md says; exits with 1 if anything differs.

Usage: scripts/check/checkpoint-format.py MODEL.h5 [MODEL.safetensors]

Runs the page's examples on the file. Then recomputes every sha256 and both digests as the page describes them. If the
checkpoint has an adapter, checks its tensors, and that the weights are the base with the adapter merged. If a
safetensors file of the same model is given, compares the bytes of every tensor with it. Tested with h5py 3.16.0 and
hdf5plugin 7.1.0.
"""

import hashlib
import json
import pathlib
import re
import sys
import time

import h5py
import hdf5plugin  # registers the zstd filter
import numpy as np

failures = []


def check(name, holds, detail):
    print(f"{'ok  ' if holds else 'FAIL'} {name}: {detail}")
    if not holds:
        failures.append(name)


def examples(path):
    """The Python blocks of the page, in order, in one namespace."""
    page = pathlib.Path(__file__).resolve().parents[2] / "docs" / "checkpoint-format.md"
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    for block in blocks:
        exec(block.replace('"model.h5"', repr(str(path))), names)
    return len(blocks), names


# A reader written from the page alone.

INTEGERS = {f"{sign}{size}": f"{'u' if sign == 'u' else ''}int{8 * size}" for sign in "iu" for size in (1, 2, 4, 8)}


def raw(dataset):
    """Logical little-endian bytes, without conversion."""
    if dataset.dtype.kind == "S" or dataset.attrs.get("dtype") != b"bfloat16":
        return dataset[()].tobytes()
    bits = np.empty(dataset.shape, np.uint16)
    dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=dataset.id.get_type())
    return bits.tobytes()


def line(path, kind, shape, sha256):
    return f"{path}\t{kind}\t{','.join(map(str, shape))}\t{sha256}\n"


def record(path, value):
    value = np.asarray(value)
    if value.dtype.kind == "S":
        content = b"".join(element + b"\0" for element in value.ravel().tolist())
        return line(path, "string", value.shape, hashlib.sha256(content).hexdigest())
    kind = {"f8": "float64", "b1": "bool", **INTEGERS}[value.dtype.kind + str(value.dtype.itemsize)]
    return line(path, kind, value.shape, hashlib.sha256(value.tobytes()).hexdigest())


def digest(lines):
    text = "".join(lines[path] for path in sorted(lines, key=str.encode))
    return hashlib.sha256(text.encode()).hexdigest()


def read(path):
    """Tensors by path, and the paths that do not match their digests."""
    tensors, state, records, wrong = {}, {}, {}, []

    def visit(name, item):
        path = "/" + name if name else "/"
        for key, value in item.attrs.items():
            if (path, key) != ("/", "record_digest"):
                records[f"{path}@{key}"] = record(f"{path}@{key}", value)
        if not isinstance(item, h5py.Dataset):
            return
        if path.startswith(("/weights/", "/optimizer/m/", "/optimizer/v/", "/adapter/", "/base/")):
            content = raw(item)
            sha256 = item.attrs["sha256"].decode()
            if hashlib.sha256(content).hexdigest() != sha256:
                wrong.append(path)
            tensors[path] = item.attrs["dtype"].decode(), item.shape, content
            state[path] = line(path, item.attrs["dtype"].decode(), item.shape, sha256)
        else:
            records[path] = record(path, item[()])

    with h5py.File(path) as file:
        assert file.attrs["format"] == b"ckpt" and file.attrs["format_version"] == 1
        visit("", file)
        file.visititems(visit)
        if digest(state) != file.attrs["digest"].decode():
            wrong.append("digest")
        if digest(records) != file.attrs["record_digest"].decode():
            wrong.append("record_digest")
    return tensors, wrong


def floats(tensor):
    dtype, shape, content = tensor
    if dtype == "bfloat16":
        bits = np.frombuffer(content, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(shape).astype(np.float64)
    return np.frombuffer(content, dtype).reshape(shape).astype(np.float64)


# Bits of the mantissa, without the leading one.
PRECISION = {"bfloat16": 7, "float16": 10, "float32": 23, "float64": 52}


def check_adapter(path, tensors):
    """Checks /adapter_config, /adapter and /base against the page."""
    with h5py.File(path) as file:
        config = json.loads(file["adapter_config"][()])
    keys = "r lora_alpha use_rslora lora_dropout target_modules trainable_token_indices base_digest base_path".split()
    check("keys of adapter_config", list(config) == keys, " ".join(config))
    rank, rows = config["r"], config["trainable_token_indices"]
    scaling = config["lora_alpha"] / (rank ** 0.5 if config["use_rslora"] else rank)
    names = {name for name in tensors if name.startswith("/adapter/")}
    modules = sorted({name.removeprefix("/adapter/").rsplit("/", 2)[0] for name in names})
    targets = {module.rsplit("/", 1)[-1] for module in modules}
    check("targets", targets == set(config["target_modules"]), f"{len(modules)} modules of {sorted(targets)}")
    expected = {f"/adapter/{module}/lora_{side}/weight" for module in modules for side in "AB"}
    base = {name for name in tensors if name.startswith("/base/")}
    changed = {f"/base/{module}/weight" for module in modules}
    whole = names == expected and base >= changed and len(base - changed) <= (2 if rows else 0)
    check("pairs and base", whole, f"{len(names)} matrices, {len(base)} tensors of the base")
    worst = 0
    for module in modules:
        a, b, origin, merged = (
            tensors[name.format(module)]
            for name in ("/adapter/{}/lora_A/weight", "/adapter/{}/lora_B/weight", "/base/{}/weight", "/weights/{}/weight")
        )
        exact = floats(origin) + scaling * (floats(b) @ floats(a))
        # A unit of the last place, with room for the float32 sum of the product.
        unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(exact), 1e-30))) - PRECISION[merged[0]])
        slack = 1e-6 * np.abs(floats(b)) @ np.abs(floats(a)) * scaling
        worst = max(worst, float(np.max(np.abs(floats(merged) - exact) / (unit + slack), initial=0)))
    check("weights are base + scaling * B A", worst <= 1, f"at most {worst:.2f} units of the last place")


def main():
    path = pathlib.Path(sys.argv[1])
    count, names = examples(path)
    check("examples of the page", names["config"]["model_type"] and names["norm"].size, f"{count} blocks ran")
    with h5py.File(path) as file:
        found = []
        file.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) and item.attrs.get("dtype") == b"bfloat16" else None)
        if found:
            largest = max(found, key=lambda dataset: dataset.size)
            started = time.perf_counter()
            bits = names["read_bfloat16"](largest)
            seconds = time.perf_counter() - started
            few = largest[:1] if largest.ndim else largest[()]
            same = np.array_equal((bits[:1].astype(np.uint32) << 16).view(np.float32), few.astype(np.float32), equal_nan=True)
            check("bfloat16 as stored", same, f"{largest.name}, {bits.nbytes / seconds / 1e6:.0f} MB/s")
    tensors, wrong = read(path)
    check("sha256 of every tensor, digest and record_digest", not wrong, f"{len(tensors)} tensors" if not wrong else wrong)
    if any(name.startswith("/adapter/") for name in tensors):
        check_adapter(path, tensors)
    if len(sys.argv) > 2:
        content = pathlib.Path(sys.argv[2]).read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        expected = {
            "/weights/" + name.replace(".", "/"): content[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]]
            for name, entry in header.items()
        }
        own = {name: value[2] for name, value in tensors.items() if name.startswith("/weights/")}
        check("tensors of the safetensors file", own == expected, f"{len(own)} byte-identical")
    sys.exit(1 if failures else 0)


main()
