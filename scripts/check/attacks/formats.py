"""Mutations of safetensors, indexes, GGUF, tokenizers, configurations and chat templates."""

import functools
import json
import os
import struct

from attacks import hostile, reference

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TYPES = {0: ("F32", 4), 1: ("F16", 2), 30: ("BF16", 2)}
TEMPLATES = [
    "{% for a in range(100000000) %}x{% endfor %}", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "{{ 'a' * 10000000000 }}", "{{ messages | tojson * 99999999 }}", "{{ 9 ** 9 ** 9 }}",
    "{% set x = 'aaaaaaaaaaaaaaaa' %}" + "{% set x = x + x %}" * 60 + "{{ x }}", "{{ " + "(" * 50000 + ")" * 50000 + " }}",
    "{% if " + "not " * 60000 + "true %}a{% endif %}", "{{ messages[0].__class__.__mro__ }}", "{{ raise_exception('\x1b[2Jforged\nckpt: error: x') }}",
    "{% for", "{{", "{% raw %}", "{{ 1 / 0 }}", "{{ 'x'.join(range(1000000)) }}", "{{ [1] * 999999999 }}", "{{ 'a' | replace('', 'b' * 1000) }}",
    "{% set ns = namespace(a=1) %}{% for i in range(100000) %}{% set ns.a = ns.a * 3 %}{% endfor %}{{ ns.a }}", "{{ strftime_now('%Y' * 100000) }}",
    "{{ '%s' % messages }}", "{{ messages[-1e999] }}", "{{ (-9223372036854775807 - 1) // -1 }}", "{{ (-9223372036854775807 - 1) % -1 }}",
    "{{ 9223372036854775807 + 1 }}", "{{ [1,2,3][0:9223372036854775807:-9223372036854775807] }}", "{{ range(-9223372036854775807, 9223372036854775807, 1) }}",
    "{{ 'a' | indent(999999999) }}", "{{ 'abc' | center(999999999999) }}", "{{ {} | tojson(indent=999999999) }}", "\0", "{{ '\0' }}", "{% include 'x' %}",
    "{% macro a() %}{{ caller() }}{% endmacro %}{% call a() %}{{ a() }}{% endcall %}", "{{ x.y.z }}", "{{ messages | map(attribute='a' * 1000) | list }}",
    "{% for m in messages %}{{ m.content.split('') }}{% endfor %}", "{{ 1e308 * 10 | int }}", "{{ (1e308 * 10) | int }}", "{{ '9' * 5000 | int }}", "{{ ('9' * 5000) | int }}",
]


@functools.lru_cache(maxsize=64)
def content(path):
    with open(path, "rb") as file:
        return file.read()


def attack(case):
    kind = case.random.choices(["safetensors", "index", "gguf", "tokenizer", "config", "texts", "template"], [5, 2, 6, 5, 4, 2, 2])[0]
    globals()[kind](case)


def copy_model(case, source, without=()):
    for name in os.listdir(source):
        if os.path.isfile(os.path.join(source, name)) and name not in without and not name.endswith("expected.json"):
            case.write(f"m/{name}", content(os.path.join(source, name)))


def model(case):
    return case.random.choice([case.seeds["companions"], case.seeds["hf"]])


def imports(case, path="m"):
    """Imports, and uses what was imported."""
    options = ["--dtype", case.random.choice(["float32", "bfloat16"])] if case.random.random() < 0.15 else []
    result = case.run("import", path, "-o", "a.h5", *options, outputs=["a.h5"], statuses=(0, 2))
    if result.status != 0:
        return False
    case.verify_written("a.h5")
    use = case.random.choice(["generate", "tokenize", "chat", "export", "inspect", "gguf", "none", "add"])
    if use == "generate":
        case.run("generate", "a.h5", "--prompt", "1+2?", "--max-new-tokens", "3", judged=False, statuses=(0, 2))
    elif use in ("tokenize", "chat"):
        case.run("tokenize", "a.h5", "Hello  1+2 <think> é\u0301", *(["--chat"] if use == "chat" else []), judged=False, statuses=(0, 2))
    elif use == "export":
        if case.run("export", "a.h5", "-o", "out", outputs=["out"], judged=False, statuses=(0, 2)).status == 0:
            case.run("import", "out", "-o", "again.h5", outputs=["again.h5"], judged=False, statuses=(0,))
    elif use == "gguf":
        case.run("export", "a.h5", "-o", "out.gguf", outputs=["out.gguf"], judged=False, statuses=(0, 2))
    elif use == "add":
        case.run("add-tokens", "a.h5", "-o", "b.h5", "--report", "fast", outputs=["b.h5"], judged=False, statuses=(0, 2))
        case.verify_written("b.h5")
    elif use == "inspect":
        case.run("inspect", "a.h5", judged=False, statuses=(0, 2))
    return not options


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
        entry["dtype"] = random.choice(["F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "f32", "", 3, None])
    elif action == 1:
        entry["shape"] = random.choice([[], [0], [-1], [2**63], [2**32, 2**32], entry["shape"][::-1], entry["shape"] + [1], [1] * 100, None, "x", [1.5]])
    elif action == 2:
        entry["data_offsets"] = header[other]["data_offsets"]
    elif action == 3:
        header[name], header[other] = header[other], header[name]
    elif action == 4:
        entry["data_offsets"], header[other]["data_offsets"] = header[other]["data_offsets"], entry["data_offsets"]
    elif action == 5:
        shift = random.choice([1, 4, -4, 8, 2**40, -2**40])
        entry["data_offsets"] = [offset + shift for offset in entry["data_offsets"]]
    elif action == 6:
        entry["data_offsets"] = random.choice([[0, 0], entry["data_offsets"][::-1], [0, 2**63], [2**64 - 1, 2**64], [-1, 4], [], [0], None, [0, size]])
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
    text = original[8:8 + length].decode()
    if random.random() < 0.85:
        text = edit_header(random, json.loads(text), len(original) - 8 - length)
    header = text.encode("utf-8", "surrogateescape")
    data = original[8 + length:]
    if random.random() < 0.1:
        data = hostile.spoil(random, data)
    if random.random() < 0.2:
        header += b" " * random.choice([1, 7, 8])
    stated = len(header) if random.random() < 0.9 else random.choice([0, 1, len(header) - 1, len(header) + 1, 2**32, 2**63, 2**64 - 1, 10**8])
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
        mapping[name] = random.choice(["../m/shard-1.safetensors", "/etc/passwd", "shard-3.safetensors", "config.json", ".", "", "shard-1.safetensors",
                                       "shard-2.safetensors", "\x1b[2J", "a" * 5000, "tokenizer.json", "shard-1.safetensors\0", "model.safetensors.index.json"])
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
                self.tensors[name] = (TYPES[kind][0], tuple(reversed(shape)), data[start + offset:start + offset + count])

    def field(self, size, kind):
        part = self.data[self.at:self.at + size]
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
        return self.data[self.at - length:self.at].decode("utf-8", "replace")

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
        return struct.unpack(SCALARS[kind], self.data[self.at - size:self.at])[0]


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
        kind = random.choices(list(fields), [{"length": 5, "count": 3, "offset": 4, "type": 4, "value": 5, "text": 4}.get(kind, 1) for kind in fields])[0]
        at, size, kind = random.choice(fields[kind])
        old = int.from_bytes(data[at:at + size], "little")
        if kind == "text":
            if random.random() < 0.5:
                data[at + random.randrange(size)] = random.choice([0, 10, 27, 0xFF, 0xC0, 65, 0xED])
            else:
                source, length, _ = random.choice(fields["text"])
                data[at:at + min(size, length)] = data[source:source + min(size, length)]
            continue
        action = random.randrange(4)
        if action == 0:
            new = old ^ 1 << random.randrange(size * 8)
        elif action == 1:
            other = random.choice(fields[kind])
            new = int.from_bytes(data[other[0]:other[0] + other[1]], "little")
        else:
            new = random.choice([0, 1, 2, 3, 8, 9, 10, 30, old + 1, old - 1, old * 2, old + 32, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1, 0x7FC00000])
        data[at:at + size] = (new % 256**size).to_bytes(size, "little")
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
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
    outer = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
    found, is_llama = {}, parsed.metadata.get("general.architecture") == "llama"
    for name, tensor in parsed.tensors.items():
        pieces = name.split(".")
        if name in outer:
            found[outer[name]] = tensor
        elif len(pieces) == 4 and pieces[0] == "blk" and pieces[2] in parts and not (is_llama and pieces[2] in ("attn_q", "attn_k")):
            found[f"model.layers.{pieces[1]}.{parts[pieces[2]]}.{pieces[3]}"] = tensor
    return found


# Texts

def tokenizer(case):
    random = case.random
    folder = case.seeds["companions"] + "/../../../TokenizationTests/Fixtures"
    if random.random() < 0.6:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".tokenizer.json") and os.path.getsize(f"{folder}/{name}") < 60_000)
        names = names or ["smollm.tokenizer.json"]
        text = content(f"{folder}/{random.choice(names)}").decode()
        case.write("tokenizer.json", hostile_tokenizer(random, text).encode("utf-8", "surrogateescape"))
        case.run("tokenize", "tokenizer.json", random.choice(["Hello  world, it's 2025! <think>", "a" * 3000, "é\u0301\u202e\0x".replace("\0", ""), ""]),
                 *random.choice([[], ["--json"], ["--plain"]]), statuses=(0, 2))
    else:
        source = model(case)
        copy_model(case, source, ["tokenizer.json"])
        text = content(os.path.join(source, "tokenizer.json")).decode()
        case.write("m/tokenizer.json", hostile_tokenizer(random, text).encode("utf-8", "surrogateescape"))
        imports(case)


def hostile_tokenizer(random, text):
    if random.random() < 0.6:
        return hostile.edit(random, text)
    tree = json.loads(text)
    action = random.randrange(9)
    pattern = random.choice(["(a+)+$", "(?:a|a)*b", "a*" * 40 + "b", "(?=x)", "", "(", "\\p{Foo}", "(?<n>a)\\k<n>", "." * 5000, "(?R)", "[" * 3000, "(" * 5000,
                             "(a{0,60000}){0,60000}", "\\C", "(*UTF)", "(?:)", "\\K", "^", "$", "(?s).*"])
    steps = [
        {"type": "Replace", "pattern": {"Regex": pattern}, "content": random.choice(["", "aa", "x" * 9000])},
        {"type": "Prepend", "prepend": "y" * random.choice([1, 100_000])}, {"type": "NFKC"}, {"type": "Replace", "pattern": {"String": ""}, "content": "b"},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}, {"type": "Lowercase"}, {"type": "Nmt"}, {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    ]
    if action == 0:
        tree["normalizer"] = {"type": "Sequence", "normalizers": [random.choice(steps) for _ in range(random.choice([1, 3, 40, 3000]))]}
    elif action == 1:
        tree["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": random.choice(["Isolated", "Removed", "MergedWithNext", "Contiguous", "?"]),
             "invert": random.choice([True, False])}] * random.choice([1, 2, 500])}
    elif action == 2:
        tree["added_tokens"] = [
            {"id": random.choice([number, 0, -1, 2**31, 2**63 - 1]), "content": random.choice([f"<{number}>", "a", "", "\x1b", " "]), "special": number % 2 == 0,
             "lstrip": True, "rstrip": True, "normalized": number % 3 == 0, "single_word": number % 5 == 0} for number in range(random.choice([1, 50, 5000]))]
    elif action == 3:
        vocabulary = tree.get("model", {}).get("vocab")
        if isinstance(vocabulary, dict) and vocabulary:
            for _ in range(random.choice([1, 5])):
                vocabulary[random.choice(list(vocabulary))] = random.choice([0, -1, 2**31, 2**40, 2**63, 1.5, None, "1"])
    elif action == 4:
        merges = tree.get("model", {}).get("merges")
        if isinstance(merges, list) and merges:
            tree["model"]["merges"] = random.choice([merges * 2, merges[::-1], [["a", "b"]] * 50_000, ["a b c"], [[1, 2]], ["  "], [["", ""]], merges[1:]])
    elif action == 5:
        tree["decoder"] = {"type": "Sequence", "decoders": [
            random.choice([{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 5000}, {"type": "Strip", "content": "a", "start": 2**40, "stop": -1},
                           {"type": "Fuse"}, {"type": "ByteFallback"}, {"type": "ByteLevel"}]) for _ in range(random.choice([1, 4, 2000]))]}
    elif action == 6:
        tree["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}] * 100_000, "pair": [],
                                  "special_tokens": {"<x>": {"id": "<x>", "ids": [2**31], "tokens": ["<x>"]}}}
    elif action == 7:
        tree["truncation"] = {"max_length": random.choice([-1, 0, 2**63 - 1]), "strategy": "LongestFirst", "stride": -5, "direction": "Left"}
        tree["padding"] = {"strategy": {"Fixed": 2**62}, "pad_id": -1, "pad_type_id": 0, "pad_token": "", "direction": "Right"}
    else:
        return json.dumps(tree) + random.choice([" ", "\0", "{}", "\n" * 100_000, "]"])
    return json.dumps(tree)


def config(case):
    random = case.random
    source = model(case)
    copy_model(case, source, ["config.json"])
    if source == case.seeds["companions"] and random.random() < 0.5:
        path = f"{case.seeds['corpus']}/config/seed-" + random.choice(["llama", "llama3", "qwen2", "qwen3"]) + ".json"
    else:
        path = os.path.join(source, "config.json")
    case.write("m/config.json", hostile.edit(random, content(path).decode()).encode("utf-8", "surrogateescape"))
    imports(case)


def texts(case):
    random = case.random
    source = case.seeds["hf"]
    name = random.choice(["generation_config.json", "tokenizer_config.json"])
    copy_model(case, source, [name])
    text = content(os.path.join(source, name)).decode()
    if name == "tokenizer_config.json" and random.random() < 0.4:
        text = json.dumps({**json.loads(text), "chat_template": random.choice([random.choice(TEMPLATES), [{"name": "default", "template": random.choice(TEMPLATES)}], 3])})
    case.write(f"m/{name}", hostile.edit(random, text, random.choice([1, 2])).encode("utf-8", "surrogateescape"))
    imports(case)


def template(case):
    random = case.random
    source = case.seeds["hf"]
    copy_model(case, source, ["chat_template.jinja"])
    folder = case.seeds["corpus"] + "/template"
    if random.random() < 0.5:
        text = random.choice(TEMPLATES)
        if random.random() < 0.4:
            text += random.choice(TEMPLATES)
        text = text.encode()
    else:
        text = hostile.spoil(random, content(f"{folder}/{random.choice(sorted(os.listdir(folder)))}"))
    case.write("m/chat_template.jinja", text)
    if case.run("import", "m", "-o", "a.h5", outputs=["a.h5"], statuses=(0, 2)).status == 0:
        case.verify_written("a.h5")
        case.run(*random.choice([["tokenize", "a.h5", "hello", "--chat"], ["generate", "a.h5", "--prompt", "1+2?", "--max-new-tokens", "3"]]), statuses=(0, 2))
