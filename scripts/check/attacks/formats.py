"""Mutations of safetensors, indexes and GGUF; documents.py has those of texts."""

import functools
import json
import os
import struct

from attacks import documents, hostile, reference
from attacks.inputs import content, copy_model, imports, model

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TYPES = {0: ("F32", 4), 1: ("F16", 2), 30: ("BF16", 2)}


def attack(case):
    kind = case.random.choices(
        ["safetensors", "index", "gguf", "tokenizer", "config", "texts", "template", "data", "options"],
        [5, 2, 6, 5, 4, 2, 2, 4, 2],
    )[0]
    (globals().get(kind) or getattr(documents, kind))(case)


def compare(case, stated):
    """`stated`: name → (dtype, shape, bytes) as the mutated file says; only those types that are stored unchanged."""
    kind, stored = reference.in_child(reference.weights, case.path("a.h5"))
    if kind == "error":
        return case.fail("silent wrong", f"h5py cannot read the import: {stored}")
    for name, (dtype, shape, data) in stated.items():
        if dtype in ("F32", "F16", "BF16") and name in stored and stored[name] != (tuple(shape), data):
            return case.fail("silent wrong", f"{name} was imported otherwise than the file states")
    missing = stated.keys() - stored.keys()
    if missing - {"lm_head.weight"}:
        case.fail("silent wrong", f"not imported: {sorted(missing)[:3]}")


# safetensors


def edit_header(random, header, size):
    """Changes a safetensors header: types, shapes, offsets, overlaps, names."""
    names = [name for name in header if name != "__metadata__"]
    name, other = random.choice(names), random.choice(names)
    entry, action = header[name], random.randrange(12)
    if action == 0:
        entry["dtype"] = random.choice(
            ["F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "f32", "", 3, None]
        )
    elif action == 1:
        entry["shape"] = random.choice(
            [
                [],
                [0],
                [-1],
                [2**63],
                [2**32, 2**32],
                entry["shape"][::-1],
                entry["shape"] + [1],
                [1] * 100,
                None,
                "x",
                [1.5],
            ]
        )
    elif action == 2:
        entry["data_offsets"] = header[other]["data_offsets"]
    elif action == 3:
        header[name], header[other] = header[other], header[name]
    elif action == 4:
        entry["data_offsets"], header[other]["data_offsets"] = header[other]["data_offsets"], entry["data_offsets"]
    elif action == 5:
        shift = random.choice([1, 4, -4, 8, 2**40, -(2**40)])
        entry["data_offsets"] = [offset + shift for offset in entry["data_offsets"]]
    elif action == 6:
        entry["data_offsets"] = random.choice(
            [[0, 0], entry["data_offsets"][::-1], [0, 2**63], [2**64 - 1, 2**64], [-1, 4], [], [0], None, [0, size]]
        )
    elif action == 7:
        header[random.choice(hostile.STRINGS)] = header.pop(name)
    elif action == 8:
        del header[name]
    elif action == 9:
        header["__metadata__"] = random.choice([{"a": 1}, [], {"x" * 10: "y" * 500_000}, {"\x1b": "\u202e"}, None])
    elif action == 10:
        header[name + "2"] = dict(entry)
    else:
        return hostile.edit(random, json.dumps(header))
    return json.dumps(header)


def safetensors(case):
    random = case.random
    source = model(case)
    original = content(os.path.join(source, "model.safetensors"))
    length = struct.unpack("<Q", original[:8])[0]
    text = original[8 : 8 + length].decode()
    if random.random() < 0.85:
        text = edit_header(random, json.loads(text), len(original) - 8 - length)
    header = text.encode("utf-8", "surrogateescape")
    data = original[8 + length :]
    if random.random() < 0.1:
        data = hostile.spoil(random, data)
    if random.random() < 0.2:
        header += b" " * random.choice([1, 7, 8])
    stated = (
        len(header)
        if random.random() < 0.9
        else random.choice([0, 1, len(header) - 1, len(header) + 1, 2**32, 2**63, 2**64 - 1, 10**8])
    )
    result = struct.pack("<Q", stated) + header + data
    if random.random() < 0.1:
        result = hostile.spoil(random, result)
    copy_model(case, source, ["model.safetensors"])
    path = case.write("m/model.safetensors", result)
    if imports(case):
        try:
            compare(case, reference.safetensors(path))
        except (ValueError, KeyError, TypeError, struct.error) as error:
            case.fail("silent wrong", f"imported, but the file is not safetensors: {error}")


def index(case):
    random = case.random
    source = case.seeds["companions"]
    copy_model(case, source, ["model.safetensors"])
    text = content(case.seeds["corpus"] + "/index/seed-two-shards.json").decode()
    if random.random() < 0.5:
        tree = json.loads(text)
        mapping = tree["weight_map"]
        name = random.choice(list(mapping))
        mapping[name] = random.choice(
            [
                "../m/shard-1.safetensors",
                "/etc/passwd",
                "shard-3.safetensors",
                "config.json",
                ".",
                "",
                "shard-1.safetensors",
                "shard-2.safetensors",
                "\x1b[2J",
                "a" * 5000,
                "tokenizer.json",
                "shard-1.safetensors\0",
                "model.safetensors.index.json",
            ]
        )
        text = json.dumps(tree)
    else:
        text = hostile.edit(random, text)
    case.write("m/model.safetensors.index.json", text.encode("utf-8", "surrogateescape"))
    if random.random() < 0.3:
        name = random.choice(["shard-1", "shard-2"])
        case.write(f"m/{name}.safetensors", hostile.spoil(random, content(f"{source}/{name}.safetensors")))
    if imports(case, random.choice(["m", "m/model.safetensors.index.json"])):
        try:
            compare(case, reference.safetensors(case.path("m")))
        except (ValueError, KeyError, TypeError, struct.error) as error:
            case.fail("silent wrong", f"imported, but a shard is not safetensors: {error}")


# GGUF


class GGUF:
    """Parses a GGUF file and lists its fields as (offset, size, kind)."""

    def __init__(self, data):
        self.data, self.at, self.fields, self.metadata, self.tensors = data, 0, [], {}, {}
        if data[:4] != b"GGUF":
            raise ValueError("magic")
        self.field(4, "magic")
        self.field(4, "version")
        tensors, pairs = self.field(8, "count"), self.field(8, "count")
        for _ in range(pairs):
            key = self.string()
            self.metadata[key] = self.value(self.field(4, "type"))
        infos = []
        for _ in range(tensors):
            name = self.string()
            rank = self.field(4, "count")
            shape = [self.field(8, "length") for _ in range(rank)]
            infos.append((name, shape, self.field(4, "type"), self.field(8, "offset")))
        alignment = self.metadata.get("general.alignment", 32)
        start = (self.at + alignment - 1) // alignment * alignment
        for name, shape, kind, offset in infos:
            if kind in TYPES:
                count = TYPES[kind][1]
                for extent in shape:
                    count *= extent
                self.tensors[name] = (
                    TYPES[kind][0],
                    tuple(reversed(shape)),
                    data[start + offset : start + offset + count],
                )

    def field(self, size, kind):
        part = self.data[self.at : self.at + size]
        if len(part) != size:
            raise ValueError("beyond the end")
        self.fields.append((self.at, size, kind))
        self.at += size
        return int.from_bytes(part, "little")

    def string(self):
        length = self.field(8, "length")
        if self.at + length > len(self.data):
            raise ValueError("beyond the end")
        if length:
            self.fields.append((self.at, min(length, 64), "text"))
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.field(4, "type"), self.field(8, "count")
            if count > len(self.data):
                raise ValueError("count")
            return [self.value(element) for _ in range(count)]
        if kind not in SCALARS:
            raise ValueError("type")
        size = struct.calcsize(SCALARS[kind])
        self.field(size, "value")
        return struct.unpack(SCALARS[kind], self.data[self.at - size : self.at])[0]


@functools.lru_cache(maxsize=8)
def gguf_fields(path):
    kinds = {}
    for field in GGUF(content(path)).fields:
        kinds.setdefault(field[2], []).append(field)
    return kinds


def gguf(case):
    random = case.random
    path = f"{case.seeds['corpus']}/gguf/seed-" + random.choice(["llama-q4_0", "llama-q8_0", "qwen2-f16"])
    fields, data = gguf_fields(path), bytearray(content(path))
    for _ in range(random.choice([1, 1, 2, 3])):
        kind = random.choices(
            list(fields),
            [{"length": 5, "count": 3, "offset": 4, "type": 4, "value": 5, "text": 4}.get(kind, 1) for kind in fields],
        )[0]
        at, size, kind = random.choice(fields[kind])
        old = int.from_bytes(data[at : at + size], "little")
        if kind == "text":
            if random.random() < 0.5:
                data[at + random.randrange(size)] = random.choice([0, 10, 27, 0xFF, 0xC0, 65, 0xED])
            else:
                source, length, _ = random.choice(fields["text"])
                data[at : at + min(size, length)] = data[source : source + min(size, length)]
            continue
        action = random.randrange(4)
        if action == 0:
            new = old ^ 1 << random.randrange(size * 8)
        elif action == 1:
            other = random.choice(fields[kind])
            new = int.from_bytes(data[other[0] : other[0] + other[1]], "little")
        else:
            new = random.choice(
                [
                    0,
                    1,
                    2,
                    3,
                    8,
                    9,
                    10,
                    30,
                    old + 1,
                    old - 1,
                    old * 2,
                    old + 32,
                    2**31,
                    2**32 - 1,
                    2**40,
                    2**63 - 1,
                    2**63,
                    2**64 - 1,
                    0x7FC00000,
                ]
            )
        data[at : at + size] = (new % 256**size).to_bytes(size, "little")
    if random.random() < 0.1:
        data = hostile.spoil(random, data)
    path = case.write("m.gguf", bytes(data))
    if imports(case, "m.gguf"):
        try:
            parsed = GGUF(bytes(data))
        except (ValueError, ZeroDivisionError, struct.error, MemoryError) as error:
            return case.fail("silent wrong", f"imported, but the file is not GGUF: {error}")
        compare(case, renamed(parsed))


def renamed(parsed):
    """Tensors under Hugging Face's names; those of Llama's that are permuted are left out."""
    parts = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
    }
    outer = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    found, is_llama = {}, parsed.metadata.get("general.architecture") == "llama"
    for name, tensor in parsed.tensors.items():
        pieces = name.split(".")
        if name in outer:
            found[outer[name]] = tensor
        elif (
            len(pieces) == 4
            and pieces[0] == "blk"
            and pieces[2] in parts
            and not (is_llama and pieces[2] in ("attn_q", "attn_k"))
        ):
            found[f"model.layers.{pieces[1]}.{parts[pieces[2]]}.{pieces[3]}"] = tensor
    return found
