"""Consistent lies: one record of a checkpoint says something else, and all digests are right."""

import functools
import hashlib
import json

import h5py
import hdf5plugin  # noqa: F401, registers the filters
import numpy as np

from attacks import hostile, writers

NAMES = {
    "f4": "float32",
    "f2": "float16",
    "f8": "float64",
    "i8": "int64",
    "u1": "uint8",
    "b1": "bool",
    "i4": "int32",
    "u8": "uint64",
}
INTEGERS = [-1, 0, 1, 2, 257, 2**31, 2**32 - 1, 2**40, 2**40 + 1, 2**53, 2**62, 2**63 - 1, -(2**63)]
FLOATS = [-1.0, 1.0000001, 2.0, 1e18, 1e19, 1e300, float("nan"), float("inf"), -float("inf"), 5e-324, -0.0, 9.3e18]


@functools.lru_cache(maxsize=8)
def read(path):
    """(records, tensors): values by path, attributes as PATH@NAME; tensors with their raw content."""
    records, tensors = {}, {}
    with h5py.File(path) as file:

        def visit(name, item):
            name = "/" + name
            is_tensor = name.startswith(("/weights/", "/optimizer/m/", "/optimizer/v/")) and isinstance(
                item, h5py.Dataset
            )
            if is_tensor:
                tensors[name] = (item.dtype, item[()])
                return
            for key in item.attrs:
                records[f"{name}@{key}"] = np.asarray(item.attrs[key])
            if isinstance(item, h5py.Dataset):
                records[name] = np.asarray(item[()])

        visit("", file)
        file.visititems(visit)
    for path in ("/@digest", "/@record_digest"):
        records.pop(path, None)
    return records, tensors


def line(path, value):
    if value.dtype.kind == "S":
        name, content = "string", b"".join(element.rstrip(b"\0") + b"\0" for element in value.ravel().tolist())
    else:
        name, content = NAMES.get(f"{value.dtype.kind}{value.dtype.itemsize}", "int64"), value.tobytes()
    return f"{path}\t{name}\t{','.join(map(str, value.shape))}\t{hashlib.sha256(content).hexdigest()}\n"


def digest(lines):
    return np.bytes_(
        hashlib.sha256("".join(lines[path] for path in sorted(lines, key=str.encode)).encode()).hexdigest()
    )


def write(path, records, tensors):
    record_lines, tensor_lines = {}, {}
    with h5py.File(path, "w") as file:
        file.create_group("weights")
        for name, (dtype, values) in tensors.items():
            file.create_dataset(name, data=values, dtype=dtype)
            content = hashlib.sha256(values.tobytes()).hexdigest()
            for key, text in [("dtype", NAMES[f"{dtype.kind}{dtype.itemsize}"]), ("sha256", content)]:
                file[name].attrs[key] = np.bytes_(text)
                record_lines[f"{name}@{key}"] = line(f"{name}@{key}", np.asarray(np.bytes_(text)))
            tensor_lines[name] = (
                f"{name}\t{NAMES[f'{dtype.kind}{dtype.itemsize}']}\t{','.join(map(str, values.shape))}\t{content}\n"
            )
        for name, value in records.items():
            if "@" not in name:
                kind = h5py.special_dtype(enum=("i1", {"FALSE": 0, "TRUE": 1})) if value.dtype == bool else None
                if value.dtype.kind == "S" and value.dtype.itemsize == 0:
                    value = value.astype("S1")
                file.create_dataset(name, data=value.astype("i1") if kind else value, dtype=kind)
                record_lines[name] = line(name, value)
        for name, value in records.items():
            if "@" in name:
                owner, key = name.rsplit("@", 1)
                owner = owner or "/"
                file.require_group(owner) if owner not in file else None
                if value.dtype.kind == "S" and value.dtype.itemsize == 0:
                    value = value.astype("S1")
                file[owner].attrs.create(key, value)
                record_lines[name] = line(name, value)
        file.attrs["digest"] = digest(tensor_lines)
        record_lines["/@digest"] = line("/@digest", np.asarray(digest(tensor_lines)))
        file.attrs["record_digest"] = digest(record_lines)


def lie(random, name, value):
    """A wrong value for a record; None removes it."""
    action = random.randrange(12)
    if action == 0:
        return None
    if action == 1:
        return np.asarray(
            random.choice(
                [
                    np.int64(7),
                    np.float64(0.5),
                    np.bytes_(b"text"),
                    np.uint8(1),
                    np.float32(2),
                    np.zeros((2, 2)),
                    np.array([b"a", b"bc"]),
                    np.arange(3),
                    np.zeros(0),
                ]
            )
        )
    if value.dtype.kind == "S" and value.ndim == 0:
        text = value.item().decode("utf-8", "surrogateescape")
        if text.lstrip()[:1] in ("{", "["):
            try:
                return np.asarray(np.bytes_(hostile.edit(random, text).encode("utf-8", "surrogateescape")))
            except json.JSONDecodeError:
                pass
        if action < 4:
            return np.asarray(np.bytes_(hostile.spoil(random, value.item())))
        return np.asarray(
            np.bytes_(random.choice(hostile.STRINGS + hostile.NUMBERS).encode("utf-8", "surrogateescape"))
        )
    if value.ndim == 0:
        choices = INTEGERS if value.dtype.kind in "iu" else FLOATS
        return np.asarray(random.choice(choices)).astype(value.dtype, copy=False)
    if action == 2:
        return value[: random.randrange(len(value) + 1)]
    if action == 3:
        return np.concatenate([value, value]) if len(value) < 10000 else value[::-1]
    if action == 4 and value.ndim == 1:
        return np.resize(value, random.choice([1, 1000, 100_000])) if value.size else np.zeros(5, value.dtype)
    if action == 5 and value.ndim == 2:
        return value.T.copy()
    changed = value.copy()
    if not changed.size:
        return np.ones(1, value.dtype)
    at = random.randrange(changed.size)
    if value.dtype.kind == "S":
        texts = [text for text in changed.ravel().tolist()]
        texts[at] = random.choice(hostile.STRINGS).encode("utf-8", "surrogateescape")[:100_000]
        return np.array(texts, dtype=bytes).reshape(changed.shape)
    if value.dtype.kind == "f":
        changed.ravel()[at : at + random.choice([1, 1, 10**6])] = random.choice(FLOATS)
    elif value.dtype == np.uint8:
        return np.frombuffer(
            hostile.edit(random, value.tobytes().decode()).encode("utf-8", "surrogateescape"), np.uint8
        )
    elif value.dtype == bool:
        changed = ~changed
    else:
        changed.ravel()[at] = random.choice(INTEGERS)
    return changed


def commands(case, stage):
    """Commands that use the lying file, by the stage of its run."""
    data = case.seeds["task"] + ("/train.jsonl" if stage == "sft" else "/rl.jsonl")
    resumed = (f"train-{stage}", "--resume", "run", "--data", data)
    more = resumed + ("--steps", "4")
    sound = case.seeds[f"{stage}.h5"]
    return [
        ["verify", "a.h5"],
        ["verify", "--json", "a.h5"],
        ["inspect", "a.h5"],
        ["inspect", "a.h5", "--json"],
        ["inspect", "a.h5", "training"],
        ["inspect", "a.h5", "lineage"],
        ["inspect", "a.h5", "history"],
        ["inspect", "a.h5", "probe"],
        ["inspect", "a.h5", "tokenizer"],
        ["inspect", "a.h5", "--tensors"],
        ["diff", sound, "a.h5"],
        ["diff", "a.h5", sound],
        ["diff", "--json", sound, "a.h5"],
        ["diff", "a.h5", sound, "--html", "page.html"],
        ["diff", "run"],
        resumed,
        more,
        resumed,
        more,
        ["eval", "a.h5", "--data", case.seeds["task"] + "/dev.jsonl", "--max-new-tokens", "4", "--limit", "1"],
        ["generate", "a.h5", "--prompt", "1+2?", "--max-new-tokens", "4"],
        ["tokenize", "a.h5", "1+2 <think>"],
        ["tokenize", "a.h5", "--chat", "hello"],
        ["export", "a.h5", "-o", "out"],
        ["export", "a.h5", "-o", "out.gguf"],
        ["strip", "a.h5", "-o", "b.h5"],
        ["cast", "a.h5", "--dtype", "bfloat16", "-o", "b.h5"],
        ["add-tokens", "a.h5", "-o", "b.h5", "--token", "<new>"],
        ["resize-vocab", "a.h5", "--pad-to-multiple-of", "64", "-o", "b.h5"],
        ["merge", "a.h5", sound, "--method", "linear", "-o", "b.h5"],
        ["graft", "a.h5", sound, "--tensor", "*norm*", "-o", "b.h5"],
        writers.small_training("sft", "a.h5", case.seeds["task"] + "/train.jsonl", "new"),
        writers.small_training("rl", "a.h5", case.seeds["task"] + "/rl.jsonl", "new"),
        ["check-data", data, "--model", "a.h5"],
    ]


def attack(case):
    random = case.random
    stage = random.choice(["sft", "rl"])
    records, tensors = read(case.seeds[f"{stage}.h5"])
    records = dict(records)
    if case.number:  # The first attack is the unchanged content, which must be accepted.
        for _ in range(random.choice([1, 1, 1, 2])):
            # Every record is as likely as another, but for the two long ones, which hold most members.
            name = random.choice([*records, *["/training/state"] * 40, *["/config"] * 15, "/lineage/0001"])
            if name in records:
                value = lie(random, name, records[name])
                if value is None:
                    del records[name]
                elif value.nbytes < 30_000_000:
                    records[name] = value
    try:
        write(case.path("a.h5"), records, tensors)
    except (
        TypeError,
        ValueError,
        OSError,
        RuntimeError,
        KeyError,
        UnicodeError,
    ):  # Longer than HDF5 allows, for example.
        case.write("a.h5", b"")
    arguments = list(random.choice(commands(case, stage)))
    if not case.number:
        arguments = ["verify", "a.h5"]
    if "run" in arguments:
        case.write("run/step-000003.h5", open(case.path("a.h5"), "rb").read())
    folder = "run" if "--resume" in arguments else "new" if "new" in arguments else None
    statuses = (0,) if not case.number else (0, 1, 2) if arguments[0] in ("diff", "verify") else (0, 2)
    result = case.run(
        *arguments, outputs=["out", "out.gguf", "b.h5", "page.html"], run_folder=folder, statuses=statuses
    )
    if result.status == 0:
        case.verify_written("b.h5")
