#!/usr/bin/env python3
"""Asks other readers about flipped bits in the structure of a checkpoint that `ckpt verify` does not call damaged.

    bench/damage/stock.py DAMAGE-BENCH FILE FLIPS [SEED]

DAMAGE-BENCH is the built program, which flips FLIPS bits of structure and metadata, one at a time, and prints those
that verify passes. For each of these, `h5ls -r`, `h5dump -H` (from hdf5-tools) and h5py with hdf5plugin read the
damaged file, and everything they show must be as in FILE: names, types, shapes, attributes and every value. Only the
label that says whether a text is ASCII or UTF-8 may differ, since verify ignores it. Exit status 1 if anything else
does.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile

import h5py
import hdf5plugin  # noqa: F401, registers the filters


def fingerprint(path):
    """A hash of all objects, attributes and values that h5py reads, or the error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # A process of its own, since a damaged file can crash or hang libhdf5.
        signal.alarm(60)
        os.close(reading)
        try:
            os.write(writing, read_all(path).encode())
        except BaseException as error:  # noqa: BLE001
            os.write(writing, f"{type(error).__name__}: {error}"[:2000].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return result if status == 0 else f"ended by status {status}"


def read_all(path):
    digest = hashlib.sha256()
    with h5py.File(path) as file:
        def visit(name, item):
            digest.update(f"{name} {type(item).__name__}\n".encode())
            for key in sorted(item.attrs):
                value = item.attrs[key]
                digest.update(f"{key} {getattr(value, 'dtype', '')} {value!r}\n".encode())
            if isinstance(item, h5py.Dataset):
                digest.update(f"{item.dtype} {item.shape} {item.maxshape}\n".encode())
                digest.update(item[()].tobytes())

        visit("/", file)
        file.visititems(visit)
    return digest.hexdigest()


def command(*arguments):
    try:
        result = subprocess.run(arguments, capture_output=True, timeout=60)
        return result.returncode, result.stdout.replace(b"CSET H5T_CSET_ASCII", b"CSET H5T_CSET_UTF8"), result.stderr
    except subprocess.TimeoutExpired:
        return "hangs"


READERS = {
    "h5ls -r": lambda path: command("h5ls", "-r", path),
    "h5dump -H": lambda path: command("h5dump", "-H", path),
    "h5py": fingerprint,
}


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    bench, file, flips, *seed = sys.argv[1:]
    listing = subprocess.run([bench, file, flips, "0", *(seed or ["1"]), "--structure"], capture_output=True, text=True)
    passed = [tuple(map(int, match)) for match in re.findall(r"passes: byte (\d+) bit (\d+)", listing.stdout)]
    print("".join(line for line in listing.stdout.splitlines(True) if not line.startswith("passes:")), end="")
    if listing.returncode != 0:
        sys.exit(listing.stderr or "damage-bench missed a flip")

    with open(file, "rb") as source:
        sound = source.read()
    wrong = {name: 0 for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.h5")

        def answers(content):
            with open(path, "wb") as target:
                target.write(content)
            return {name: reader(path) for name, reader in READERS.items()}

        expected = answers(sound)
        for byte, bit in sorted(set(passed)):
            damaged = bytearray(sound)
            damaged[byte] ^= 1 << bit
            for name, answer in answers(bytes(damaged)).items():
                if answer != expected[name]:
                    wrong[name] += 1
                    print(f"{name} reads otherwise: byte {byte} bit {bit}")
    print(f"{len(passed)} of {flips} flips are not found by verify; of these")
    for name, count in wrong.items():
        print(f"    {count}  change what {name} reads")
    sys.exit(1 if any(wrong.values()) else 0)


if __name__ == "__main__":
    main()
