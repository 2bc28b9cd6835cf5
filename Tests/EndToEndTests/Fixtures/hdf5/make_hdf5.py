"""Makes HDF5 files as other programs write them, and expected.json with the values in them: for each file and dataset
the type and shape that ckpt gives it, and its little-endian bytes in hexadecimal.

    KERAS_BACKEND=torch python make_hdf5.py        needs h5py, keras and torch

crash.h5 is not made here: it is keras.weights.h5 with some bytes changed at random, and libhdf5 1.10.8 reads past its
memory when it reads an attribute of it.
"""

import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np

HERE = pathlib.Path(__file__).parent
RANDOM = np.random.default_rng(7)
expected = {}


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def expect(file, path, dtype, values):
    values = np.asarray(values)
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    expected.setdefault(file, {})[path] = dict(dtype=dtype, shape=list(values.shape), bytes=little.tobytes().hex())


def add(group, name, values, dtype=None, **options):
    group.create_dataset(name, data=values, **options)
    file = os.path.basename(group.file.filename)
    expect(file, f"{group.name}/{name}".strip("/"), dtype or np.asarray(values).dtype.name, values)


def add_bfloat16(group, name, values, big=False):
    """float32 values that bfloat16 holds exactly, stored as 16-bit floats with 8 bits of exponent."""
    kind = h5py.h5t.IEEE_F16LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_ebias(127)
    kind.set_order(h5py.h5t.ORDER_BE if big else h5py.h5t.ORDER_LE)
    bits = (values.view(np.uint32) >> 16).astype(">u2" if big else "<u2")
    dataset = h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(values.shape))
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=kind)
    expect(os.path.basename(group.file.filename), f"{group.name}/{name}".strip("/"), "bfloat16", bits.astype("<u2"))


def types():
    with h5py.File(HERE / "types.h5", "w") as file:
        file.attrs["title"] = "numbers of every type"
        for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]:
            for order in "<>" if kind[1] != "1" else "<":
                values = (numbers(3, 5) * 50).astype(kind[:1] + "8" if kind[0] != "f" else "f8")
                values = np.abs(values) if kind[0] == "u" else values
                add(file, f"{'big' if order == '>' else 'little'}/{kind}", values.astype(order + kind))
        add(file, "bool", RANDOM.integers(0, 2, (4, 3)).astype(bool))
        add(file, "scalar", np.float32(2.5))
        add(file, "empty", np.zeros((0, 4), np.float32))
        exact = (numbers(4, 6).view(np.uint32) & 0xFFFF0000).view(np.float32)
        add_bfloat16(file, "bfloat16", exact)
        add_bfloat16(file, "bfloat16-big", exact, big=True)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        values = numbers(2, 3)
        dataset = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((2, 3)), plist)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
        expect("types.h5", "compact", "float32", values)


def filters():
    with h5py.File(HERE / "filters.h5", "w") as file:
        values = numbers(13, 7)
        for name, options in {
            "plain": {}, "gzip": dict(compression="gzip"), "lzf": dict(compression="lzf"),
            "gzip-shuffle-fletcher": dict(compression="gzip", compression_opts=9, shuffle=True, fletcher32=True),
            "lzf-shuffle": dict(compression="lzf", shuffle=True),
        }.items():
            add(file, name, values, chunks=(4, 3), **options)
        # Long runs, whose lengths LZF stores in three bytes.
        add(file, "lzf-runs", np.repeat(np.arange(5, dtype=np.int32), 700).reshape(70, 50), chunks=(35, 50),
            compression="lzf")
        add(file, "szip", numbers(32, 16), chunks=(16, 16), compression="szip")
        add(file, "three-dimensional", numbers(3, 5, 4), chunks=(2, 3, 4), compression="gzip")


def latest():
    # The newest formats that HDF5 1.10 reads; those of 2.0 need a newer library.
    with h5py.File(HERE / "latest.h5", "w", libver=("v110", "v110")) as file:
        values = numbers(9, 8)
        add(file, "single-chunk", values, chunks=(9, 8), compression="gzip")
        add(file, "fixed-array", values, chunks=(2, 3))
        add(file, "extensible-array", values, chunks=(2, 3), maxshape=(None, 8))
        add(file, "b-tree", values, chunks=(2, 3), maxshape=(None, None))
        group = file.create_group("many")
        for index in range(20):
            add(group, f"tensor.{index}", numbers(3))
        for index in range(12):
            group.attrs[f"attribute {index}"] = index


def keras_files():
    keras.utils.set_random_seed(5)
    model = keras.Sequential([
        keras.Input((3,)), keras.layers.Dense(4), keras.layers.LayerNormalization(),
        keras.layers.Dense(2, dtype="bfloat16")])
    model.compile("adam", "mse")
    model.save_weights(HERE / "keras.weights.h5")
    model.save(HERE / "keras.keras")
    with h5py.File(HERE / "keras.weights.h5") as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                brain = item.attrs.get("dtype") == "bfloat16"
                values = item[()].view(np.uint16) if brain else item[()]
                for place in ["keras.weights.h5", "keras.keras"]:
                    expect(place, name, "bfloat16" if brain else item.dtype.name, values)
        file.visititems(visit)


def links():
    """What is not read, and must not lead to other files."""
    with h5py.File(HERE / "links.h5", "w") as file:
        add(file, "group/tensor", numbers(2, 2))
        file["again"] = file["group/tensor"]
        file["group/cycle"] = file["group"]
        file["soft"] = h5py.SoftLink("/group/tensor")
        file["outside"] = h5py.ExternalLink("types.h5", "/scalar")
        file.create_dataset("external", (4,), "f4", external=[("/etc/passwd", 0, 16)])
        layout = h5py.VirtualLayout((3, 5), "f4")
        layout[:] = h5py.VirtualSource("types.h5", "little/f4", (3, 5))
        file.create_virtual_dataset("virtual", layout)
        file["text"] = "words"
        file["compound"] = np.zeros(2, [("a", "f4"), ("b", "i4")])
        file["type"] = np.dtype("f4")
        file.create_dataset("nothing", data=h5py.Empty("f4"))
        file.attrs["long"] = "x" * 1000
        file.attrs["numbers"] = np.arange(5, dtype=">i2")


if __name__ == "__main__":
    types()
    filters()
    latest()
    keras_files()
    links()
    with open(HERE / "expected.json", "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")
