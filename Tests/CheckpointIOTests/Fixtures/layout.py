"""Writes checkpoints of format version 1 with h5py, following docs/checkpoint-format.md.

This is independent of the code under test, so that both are checked against the description. Used by make_fixtures.py.
"""

import hashlib

import h5py
import hdf5plugin
import numpy as np

BFLOAT16 = h5py.h5t.IEEE_F32LE.copy()
BFLOAT16.set_fields(15, 7, 8, 0, 7)
BFLOAT16.set_size(2)
BFLOAT16.set_ebias(127)

TYPE_NAMES = {
    "f4": "float32", "f2": "float16", "f8": "float64", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64",
    "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64", "b1": "bool",
}


def line(path, kind, shape, content):
    return f"{path}\t{kind}\t{','.join(map(str, shape))}\t{hashlib.sha256(content).hexdigest()}\n"


def digest_of(lines):
    text = "".join(lines[path] for path in sorted(lines, key=lambda path: path.encode()))
    return hashlib.sha256(text.encode()).hexdigest()


def text(value):
    return np.bytes_(value.encode())


def record(value):
    """Type name, shape and canonical bytes of a value that is not a tensor."""
    value = np.asarray(value)
    if value.dtype.kind == "S":
        return "string", value.shape, b"".join(element + b"\0" for element in value.ravel().tolist())
    return TYPE_NAMES[value.dtype.kind + str(value.dtype.itemsize)], value.shape, value.tobytes()


class Writer:
    """Writes datasets and attributes, and collects the lines of both digests."""

    def __init__(self, path):
        self.file = h5py.File(path, "w")
        self.tensors = {}
        self.records = {}

    def attribute(self, path, name, value):
        self.file[path].attrs[name] = value
        key = f"{path}@{name}"
        self.records[key] = line(key, *record(value))

    def dataset(self, path, value, **options):
        self.file.create_dataset(path, data=value, **options)
        self.records[path] = line(path, *record(value))

    def tensor(self, name, values, dtype=None, group="/weights", **options):
        """Writes an array; for bfloat16, `values` has the bits as uint16, and dtype="bfloat16"."""
        path = f"{group}/" + name.replace(".", "/")
        if dtype == "bfloat16":
            space = h5py.h5s.create_simple(values.shape)
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            if options.get("chunks"):
                properties.set_chunk(options["chunks"])
                properties.set_shuffle()
                properties.set_filter(32015, 0, (3,))
            parents = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            parents.set_create_intermediate_group(True)
            dataset = h5py.h5d.create(self.file.id, path.encode(), BFLOAT16, space, properties, parents)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=BFLOAT16)
        else:
            dtype = TYPE_NAMES[values.dtype.kind + str(values.dtype.itemsize)]
            self.file.create_dataset(path, data=values, **options)
        self.tensors[path] = line(path, dtype, values.shape, values.tobytes())
        self.attribute(path, "dtype", text(dtype))
        self.attribute(path, "sha256", text(hashlib.sha256(values.tobytes()).hexdigest()))

    def root(self):
        self.attribute("/", "format", text("ckpt"))
        self.attribute("/", "format_version", np.int64(1))
        self.attribute("/", "kind", text("model"))
        self.attribute("/", "created_by", text(f"h5py {h5py.__version__}, hdf5plugin {hdf5plugin.version}"))
        self.attribute("/", "step", np.int64(0))
        self.dataset("/config", text('{"model_type": "llama"}'))

    def finish(self):
        self.file.require_group("/weights")
        self.attribute("/", "digest", text(digest_of(self.tensors)))
        self.file.attrs["record_digest"] = text(digest_of(self.records))
        self.file.close()
