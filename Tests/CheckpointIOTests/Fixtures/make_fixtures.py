"""Makes the HDF5 fixtures of CheckpointIOTests: valid files written by h5py, and hostile files.

    python make_fixtures.py

Made with h5py 3.16.0 (HDF5 2.0.0), hdf5plugin 7.1.0 and numpy 2.4.6; each file records the versions in `created_by`.
"""

import os
import struct

import h5py
import hdf5plugin
import numpy as np

from layout import BFLOAT16, Writer, text

HERE = os.path.dirname(os.path.abspath(__file__))


def bfloat16_bits(values):
    return (np.asarray(values, "f4").view("u4") >> 16).astype("u2")


def values(count):
    """The numbers that StockToolTests expects."""
    return (np.arange(count) % 251 - 125).astype("f4") / 64


def friendly(name, **options):
    writer = Writer(os.path.join(HERE, name))
    writer.root()
    writer.tensor("model.embed.weight", values(120 * 100).reshape(120, 100), **options)
    writer.tensor("model.half.weight", values(900).reshape(30, 30).astype("f2"), **options)
    writer.tensor(
        "model.brain.weight", bfloat16_bits(values(70 * 64)).reshape(70, 64), "bfloat16",
        chunks=(33, 17) if options else None)
    writer.tensor("model.mask", np.arange(10) % 2 == 0)
    writer.tensor("model.ids", np.arange(5000), **options)
    writer.finish()


def hostile(name, change):
    """Writes a valid checkpoint after `change(writer)` has modified it."""
    writer = Writer(os.path.join(HERE, "hostile", name))
    writer.root()
    writer.tensor("model.weight", values(64).reshape(8, 8))
    change(writer)
    writer.finish()


def frame(content_size, blocks):
    """A zstd frame without checksum: a header with `content_size`, then the bytes of the blocks."""
    return b"\x28\xb5\x2f\xfd" + bytes([0b1110_0000]) + struct.pack("<Q", content_size) + blocks


def claims_terabyte(writer):
    dataset = writer.file.create_dataset("tokenizer/json", (4096,), "u1", chunks=(4096,), **hdf5plugin.Zstd())
    # One RLE block, the last of the frame.
    dataset.id.write_direct_chunk((0,), frame(1 << 40, struct.pack("<I", 1 | 1 << 1 | 4096 << 3)[:3] + b"A"))


def cumulative_bomb(writer):
    for number in range(3):
        path = f"weights/bomb/{number}"
        dataset = writer.file.create_dataset(path, (25 * (16 << 20),), "f4", chunks=(16 << 20,), **hdf5plugin.Zstd())
        run = struct.pack("<I", 1 << 1 | (128 << 10) << 3)[:3] + b"\0"
        last = struct.pack("<I", 1 | 1 << 1 | (128 << 10) << 3)[:3] + b"\0"
        for chunk in range(25):
            dataset.id.write_direct_chunk((chunk * (16 << 20),), frame(64 << 20, run * 511 + last))
        dataset.attrs["dtype"] = text("float32")
        dataset.attrs["sha256"] = text("0" * 64)


def unwritten(path, shape, dtype="f4", **options):
    return lambda writer: writer.file.create_dataset(path, shape, dtype, **options)


def virtual(writer):
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (8,))
    writer.file.create_virtual_dataset("weights/virtual", layout)


def main():
    friendly("h5py-plain.h5")
    friendly("h5py-zstd.h5", **hdf5plugin.Zstd(clevel=5))
    friendly("h5py-shuffle-zstd.h5", shuffle=True, **hdf5plugin.Zstd())
    friendly("h5py-odd-chunks.h5", shuffle=True, chunks=None, **hdf5plugin.Zstd(clevel=-5))

    os.makedirs(os.path.join(HERE, "hostile"), exist_ok=True)

    def assign(path, value):
        return lambda writer: writer.file.__setitem__(path, value)

    hostile("external-link.h5", assign("weights/other", h5py.ExternalLink("/etc/hostname", "/")))
    hostile("soft-link.h5", assign("weights/other", h5py.SoftLink("/weights/model/weight")))
    hostile("dangling-soft-link.h5", assign("config2", h5py.SoftLink("/nowhere")))
    hostile(
        "external-storage.h5",
        lambda writer: writer.file.create_dataset(
            "weights/outside", (16,), "u1", external=[("/etc/hostname", 0, 16)]))
    hostile("virtual-dataset.h5", virtual)
    hostile("gzip.h5", unwritten("weights/gzip", (64,), chunks=(64,), compression="gzip"))
    hostile("fletcher.h5", unwritten("weights/fletcher", (64,), chunks=(64,), fletcher32=True))
    hostile("unknown-object.h5", assign("extra", np.zeros(3)))
    hostile("unknown-attribute.h5", lambda writer: writer.file.attrs.__setitem__("extra", 1))
    hostile("compound.h5", assign("weights/compound", np.zeros(3, [("a", "f4"), ("b", "i4")])))
    hostile("opaque.h5", assign("weights/opaque", np.zeros(3, "V2")))
    hostile("big-endian.h5", assign("weights/big", np.zeros(3, ">f4")))
    hostile("variable-text.h5", assign("chat_template", "a text of variable length"))
    hostile("config-is-number.h5", assign("generation_config", 3))
    hostile("tensor-of-text.h5", assign("weights/text", text("abc")))
    hostile("no-sha256.h5", assign("weights/bare", np.zeros(3, "f4")))
    hostile("cycle.h5", lambda writer: writer.file["weights"].__setitem__("loop", writer.file["/"]))
    hostile("twice-linked.h5", lambda writer: writer.file.__setitem__("weights/again", writer.file["weights/model/weight"]))
    hostile("deep.h5", unwritten("weights/" + "/".join(["a"] * 60), (3,)))
    hostile("dotdot.h5", assign("weights/../up", np.zeros(3, "f4")))
    hostile("dotted-part.h5", assign("weights/a.b", np.zeros(3, "f4")))
    hostile("shape-bomb.h5", unwritten("weights/bomb", (1 << 45,), chunks=(1 << 20,), **hdf5plugin.Zstd()))
    hostile("chunk-bomb.h5", unwritten("weights/bomb", (1 << 30,), chunks=(1 << 29,), **hdf5plugin.Zstd()))
    hostile("contiguous-bomb.h5", unwritten("weights/bomb", (1 << 45,)))
    hostile("cumulative-bomb.h5", cumulative_bomb)
    hostile("frame-claims-terabyte.h5", claims_terabyte)
    hostile("missing-chunk.h5", unwritten("weights/hole", (64,), chunks=(8,)))

    newer = Writer(os.path.join(HERE, "hostile", "newer-version.h5"))
    newer.root()
    newer.attribute("/", "format_version", np.int64(2))
    newer.file["from_the_future"] = np.zeros(3)
    newer.finish()
    with h5py.File(os.path.join(HERE, "hostile", "not-ckpt.h5"), "w") as file:
        file["weights/a"] = np.zeros(3)
    with h5py.File(os.path.join(HERE, "hostile", "latest-format.h5"), "w", libver="latest") as file:
        file.attrs["format"] = text("ckpt")
    with open(os.path.join(HERE, "hostile", "empty.h5"), "wb"):
        pass
    with open(os.path.join(HERE, "hostile", "text.h5"), "w") as file:
        file.write("This is not an HDF5 file, but it is longer than a superblock, so that the signature is looked at.\n" * 2)

    # A name with a control character, which no library writes.
    with open(os.path.join(HERE, "hostile", "no-sha256.h5"), "rb") as file:
        content = file.read()
    with open(os.path.join(HERE, "hostile", "control-character.h5"), "wb") as file:
        file.write(content.replace(b"bare\0", b"b\1re\0"))


if __name__ == "__main__":
    main()
