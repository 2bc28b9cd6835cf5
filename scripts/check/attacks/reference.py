"""What h5py reads in a checkpoint, and what a safetensors file states; the reference for "silent wrong"."""

import json
import os
import pickle
import select
import signal
import struct

import h5py
import hdf5plugin  # noqa: F401, registers the filters
import numpy as np


def read_all(path):
    """Every object's type, shape, attributes and content, by path; texts without their padding."""
    found = {}
    with h5py.File(path) as file:

        def visit(name, item):
            for key in sorted(item.attrs):
                attribute = np.asarray(item.attrs[key])
                found[f"{name}@{key}"] = (attribute.dtype.kind, attribute.shape, attribute.tobytes())
            if isinstance(item, h5py.Dataset):
                found[name] = (item.dtype.kind, item.shape, raw(item))
            else:
                found[name] = "group"

        visit("", file)
        file.visititems(visit)
    return found


def raw(dataset):
    """The stored bytes of a dataset; bfloat16 is not converted."""
    kind = dataset.id.get_type()
    if kind.get_class() == h5py.h5t.FLOAT and kind.get_size() == 2:
        values = np.empty(dataset.shape, np.uint16)
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=kind)
        return values.tobytes()
    return np.asarray(dataset[()]).tobytes()


def in_child(function, *arguments, limit=20):
    """Calls a function in a process of its own, since a damaged file can crash or hang libhdf5."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = ("value", function(*arguments))
        except BaseException as error:  # noqa: BLE001
            answer = ("error", f"{type(error).__name__}: {error}"[:500])
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        if not select.select([pipe], [], [], limit)[0]:
            os.kill(child, signal.SIGKILL)
        content = pipe.read()
    status = os.waitpid(child, 0)[1]
    return pickle.loads(content) if status == 0 and content else ("error", f"h5py ended with status {status}")


def safetensors(path):
    """Tensors of a safetensors file or of the shards of a folder: name → (dtype, shape, bytes)."""
    if os.path.isdir(path):
        found = {}
        for name in sorted(os.listdir(path)):
            if name.endswith(".safetensors"):
                found.update(safetensors(os.path.join(path, name)))
        return found
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    start = 8 + length
    return {
        name: (
            entry["dtype"],
            tuple(entry["shape"]),
            content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]],
        )
        for name, entry in header.items()
        if name != "__metadata__"
    }


def weights(path):
    """Tensors under /weights as h5py reads them: name → (shape, bytes)."""
    with h5py.File(path) as file:
        found = {}
        file["weights"].visititems(
            lambda name, item: (
                found.__setitem__(name.replace("/", "."), (item.shape, raw(item)))
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
        return found
