"""Mutations of a checkpoint's HDF5 structure; in half of them the digests are made right again."""

import functools
import hashlib

from attacks import hdf5, reference

STRUCTURE = (
    "address",
    "count",
    "length",
    "type",
    "version",
    "level",
    "key",
    "size",
    "flags",
    "signature",
    "byte",
    "reserved",
)
WEIGHTS = (8, 5, 6, 3, 2, 1, 4, 1, 2, 1, 5, 2)


@functools.lru_cache(maxsize=32)
def walked(path):
    with open(path, "rb") as file:
        content = file.read()
    fields = {}
    for field in hdf5.Walker(content).fields:
        fields.setdefault(field.kind, []).append(field)
    read = reference.read_all(path)
    tokenizer = read.get("tokenizer/json")
    return content, fields, read, tokenizer and hashlib.sha256(tokenizer[2]).hexdigest()


def number(content, field):
    return int.from_bytes(content[field.offset : field.offset + field.size], "little")


def put(content, field, value):
    content[field.offset : field.offset + field.size] = (value % 256**field.size).to_bytes(field.size, "little")


def mutate(random, content, fields):
    """Makes one change."""
    action = random.randrange(20)
    kinds = [kind for kind in STRUCTURE if kind in fields]
    kind = random.choices(kinds, [WEIGHTS[STRUCTURE.index(kind)] for kind in kinds])[0]
    field = random.choice(fields[kind])
    old, size = number(content, field), len(content)
    if action < 4:
        content[field.offset + random.randrange(field.size)] ^= 1 << random.randrange(8)
    elif action < 9:
        put(
            content,
            field,
            random.choice(
                [
                    0,
                    1,
                    2,
                    8,
                    old + 1,
                    old - 1,
                    old + 8,
                    old - 8,
                    old * 2,
                    old // 2,
                    2**16 - 1,
                    2**31 - 1,
                    2**31,
                    2**32 - 1,
                    2**63 - 1,
                    2**63,
                    2**64 - 2,
                    2**64 - 1,
                    size,
                    size - 1,
                    size - 8,
                    size + 8,
                    field.offset,
                    random.randrange(2**64),
                ]
            ),
        )
    elif action < 12:  # Swapped addresses, cycles, chunks that overlap.
        other = random.choice(fields["address"])
        field = random.choice(fields["address"])
        old = number(content, field)
        put(content, field, number(content, other))
        if random.random() < 0.5:
            put(content, other, old)
    elif action == 12:  # An object copied to the end, to which an address points.
        field = random.choice(fields["address"])
        start = number(content, field)
        if start < size:
            put(content, field, size)
            content += content[start : start + random.choice([32, 96, 328, 544, 2096])]
            content += bytes(-len(content) % 8)
            content[40:48] = len(content).to_bytes(8, "little")
    elif action == 13:  # Two fields of a kind exchanged.
        other = random.choice(fields[field.kind])
        value = number(content, other)
        put(content, other, old)
        put(content, field, value)
    elif action == 14:
        del content[random.randrange(size) :]
        if random.random() < 0.7 and len(content) > 48:
            content[40:48] = len(content).to_bytes(8, "little")
    elif action == 15:
        content += random.randbytes(random.choice([1, 8, 4096]))
        if random.random() < 0.7:
            content[40:48] = len(content).to_bytes(8, "little")
    elif action == 16:  # A range copied over another.
        start, length = random.randrange(size), random.choice([8, 24, 40, 328])
        content[field.offset : field.offset + length] = content[start : start + length]
        del content[size:]
    else:
        field = random.choice(fields.get("value", fields["byte"]))
        content[field.offset] = random.choice(
            [0, 1, 0x7F, 0x80, 0xFF, 0xF0, 0x20, content[field.offset] ^ 1 << random.randrange(8)]
        )
    return content


def attack(case):
    random = case.random
    sources = [*case.seeds["small"], *case.seeds["foreign"]] + [
        case.seeds["model.h5"],
        case.seeds["sft.h5"],
        case.seeds["rl.h5"],
    ]
    content, fields, original, tokenizer = walked(random.choice(sources))
    content = bytearray(content)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        if len(content) < 100:
            break
        try:
            mutate(random, content, fields)
        except (IndexError, ValueError):
            continue
    right = False
    if random.random() < 0.5:
        try:
            hdf5.digest_again(content, tokenizer)
            right = True
        except (hdf5.Broken, KeyError, IndexError, OverflowError, MemoryError, UnicodeError, ValueError):
            pass
    case.write("a.h5", content)
    result = case.run("verify", "a.h5")
    whole = result.status == 0
    other = random.choice(["inspect", "export", "cast", "tensors"])
    if whole or other == "export":
        result = case.run("export", "a.h5", "-o", "out", outputs=["out"], judged=False)
        if whole and result.status == 0:
            compare(case, right, original)
    if whole or other == "cast":
        case.run("cast", "a.h5", "--dtype", "float32", "-o", "b.h5", outputs=["b.h5"], judged=False)
        if whole:  # Tensors that are not changed are copied with their damage and their digests, for verify to find.
            case.verify_written("b.h5")
    if other == "inspect":
        case.run("inspect", "a.h5", "--json", judged=False)
    elif other == "tensors":
        case.run("inspect", "a.h5", "--tensors", judged=False)
    if whole:
        kind, read = reference.in_child(reference.read_all, case.path("a.h5"))
        if kind == "error":
            case.fail("silent wrong", f"verify passes, h5py: {read}")
        elif not right and read != original:
            different = [path for path in read.keys() | original.keys() if read.get(path) != original.get(path)]
            # The label of a text (ASCII or UTF-8) is not compared; it does not reach these values.
            case.fail("silent wrong", f"verify passes, h5py reads otherwise: {sorted(different)[:5]}")


def compare(case, right, original):
    """The exported tensors are those that h5py reads."""
    kind, read = reference.in_child(reference.weights, case.path("a.h5"))
    if kind == "error":
        return case.fail("silent wrong", f"export succeeds, h5py: {read}")
    exported = reference.safetensors(case.path("out"))
    for name, (_, shape, content) in exported.items():
        if name in read and read[name] != (shape, content):
            return case.fail("silent wrong", f"{name} is exported otherwise than h5py reads it")
    if not exported.keys() <= read.keys() | {"lm_head.weight"}:
        case.fail("silent wrong", f"exported tensors {sorted(exported.keys() - read.keys())[:3]} are not in the file")
