"""Makes the seeds of the fuzz targets: small valid files of every kind, which the fuzzer mutates.

    python make_corpus.py

Writes corpus/TARGET/seed-*, and companions/ with the other files of a mutated file's model. Cases found by fuzzing
(corpus/TARGET/found-*) are not changed. Made with h5py 3.16.0, hdf5plugin 7.1.0, gguf 0.19.0, numpy 2.4.6 and
zstandard 0.25.0.
"""

import base64
import hashlib
import io
import json
import pathlib
import struct
import sys
import zipfile

import gguf
import h5py
import hdf5plugin
import numpy as np
import zstandard

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "CheckpointIOTests" / "Fixtures"))
from layout import Writer, text  # noqa: E402

CORPUS = HERE / "corpus"
WIDTH, ROWS = 8, 24
ALPHABET = [chr(c) for c in range(ord("a"), ord("m"))] + ["Ġ", "Ċ", "1"]
SPECIAL = ["<|im_start|>", "<|im_end|>"]


def seed(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(content if isinstance(content, bytes) else content.encode())


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# Tokenizers


def tokenizer(**changes):
    vocabulary = {token: index for index, token in enumerate(ALPHABET + ["ab", "cd", "abcd", "Ġa"])}
    first = len(vocabulary)
    result = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            dict(id=first + i, content=c, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
            for i, c in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocabulary, "merges": [["a", "b"], ["c", "d"], ["ab", "cd"], ["Ġ", "a"]],
        },
    }
    result.update(changes)
    return result


PATTERN = r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def tokenizers():
    qwen = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}, BYTE_LEVEL]}
    digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [19], "tokens": ["<|im_start|>"]}},
    }
    return {
        "plain.json": tokenizer(),
        "qwen.json": tokenizer(normalizer={"type": "NFC"}, pre_tokenizer=qwen),
        "digits.json": tokenizer(pre_tokenizer=digits, post_processor=template),
        "sequence.json": tokenizer(
            normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            post_processor={"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, template]},
            decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        ),
    }


# SentencePiece: a table that replaces "x" by "y", as a double-array trie, and models in protobuf


def charsmap():
    units = [0] * 128
    units[0x78] = 0x78 | 1 << 8 | 1 << 10  # the byte, "a value follows", the distance to it
    units[0x79] = 1 << 31
    return struct.pack("<I128I", 512, *units) + b"y\0"


MARK = "\u2581"
PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), (MARK, -2.0, 1), ("a", -3.0, 1), ("b", -3.5, 1), ("ab", -1.0, 1),
          (MARK + "ab", -0.5, 1), ("aba", -4.0, 1), ("<think>", 0.0, 4), ("<0x0A>", 0.0, 6), ("<0xC3>", 0.0, 6)]


def varint(value):
    result = b""
    while value > 127:
        result += bytes([value & 127 | 128])
        value >>= 7
    return result + bytes([value])


def message(*fields):
    """Protobuf fields (number, value): an integer, a float, or bytes."""
    result = b""
    for number, value in fields:
        if isinstance(value, float):
            result += varint(number << 3 | 5) + struct.pack("<f", value)
        elif isinstance(value, int):
            result += varint(number << 3) + varint(value)
        else:
            result += varint(number << 3 | 2) + varint(len(value)) + value
    return result


def sentencepiece(kind, *normalizer):
    pieces = [(1, message((1, text.encode()), (2, score), (3, number))) for text, score, number in PIECES]
    return message(*pieces, (2, message((3, kind), (4, len(PIECES)), (35, 1))), (3, message(*normalizer)))


def sentencepiece_tokenizers():
    marks = [{"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    metaspace = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first", "split": True}
    unigram = {"type": "Unigram", "unk_id": 0, "vocab": [[text, score] for text, score, _ in PIECES], "byte_fallback": True}
    table = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap()).decode()}
    bpe = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
           "vocab": {text: i for i, (text, *_) in enumerate(PIECES)}, "merges": [["a", "b"], [MARK, "ab"], ["ab", "a"]]}
    return {
        "metaspace.json": tokenizer(
            added_tokens=[], pre_tokenizer=metaspace, decoder={"type": "Sequence", "decoders": marks}, model=bpe),
        "unigram.json": tokenizer(
            added_tokens=[], pre_tokenizer=metaspace, decoder=metaspace, model=unigram,
            normalizer={"type": "Sequence", "normalizers": [table, {"type": "NFKC"}, {"type": "Strip"}]}),
    }


# Configurations


def configuration(family, **changes):
    result = {
        "architectures": [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}[family]],
        "attention_bias": False, "bos_token_id": 19, "eos_token_id": 20, "hidden_act": "silu", "hidden_size": WIDTH,
        "intermediate_size": 16, "max_position_embeddings": 64, "model_type": family, "num_attention_heads": 2,
        "num_hidden_layers": 1, "num_key_value_heads": 1, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "tie_word_embeddings": True, "vocab_size": ROWS, "head_dim": 4,
    }
    if family == "qwen2":
        del result["attention_bias"]
    result.update(changes)
    return result


def configurations():
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
    return {
        "llama.json": configuration("llama"),
        "llama3.json": configuration("llama", rope_scaling=llama3, eos_token_id=[20, 19]),
        "qwen2.json": configuration("qwen2", rope_scaling=yarn, use_sliding_window=False),
        "qwen3.json": configuration("qwen3", rope_parameters={"rope_theta": 1e6, "rope_type": "linear", "factor": 2.0}),
    }


# Weights


def shapes():
    yield "model.embed_tokens.weight", (ROWS, WIDTH)
    prefix = "model.layers.0."
    yield prefix + "input_layernorm.weight", (WIDTH,)
    yield prefix + "post_attention_layernorm.weight", (WIDTH,)
    for name, shape in [("q", (8, WIDTH)), ("k", (4, WIDTH)), ("v", (4, WIDTH)), ("o", (WIDTH, 8))]:
        yield f"{prefix}self_attn.{name}_proj.weight", shape
    for name, shape in [("gate", (16, WIDTH)), ("up", (16, WIDTH)), ("down", (WIDTH, 16))]:
        yield f"{prefix}mlp.{name}_proj.weight", shape
    yield "model.norm.weight", (WIDTH,)


def values(shape, number):
    return ((np.arange(np.prod(shape, dtype=int)) * 7 + number) % 31 - 15).astype("f4").reshape(shape) / 64


def safetensors(tensors):
    """A safetensors file with tensors given as (name, dtype, shape, bytes)."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    encoded = compact(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + data


def model_tensors(dtype="F32"):
    for number, (name, shape) in enumerate(shapes()):
        content = values(shape, number)
        if dtype == "BF16":
            yield name, dtype, shape, (content.view("u4") >> 16).astype("<u2").tobytes()
        else:
            yield name, dtype, shape, content.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def gguf_file(name, family, kind, path, sentencepiece=None):
    writer = gguf.GGUFWriter(path, family)
    writer.add_name("seed")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(16)
    tokens = ALPHABET + ["ab", "cd", "abcd", "Ġa"] + SPECIAL
    if sentencepiece:
        padding = 21 - len(PIECES)
        writer.add_tokenizer_model(sentencepiece)
        writer.add_token_list([text for text, *_ in PIECES] + [f"[PAD{i}]" for i in range(padding)])
        writer.add_token_scores([score for _, score, _ in PIECES] + [-1000.0] * padding)
        writer.add_token_types([number for *_, number in PIECES] + [5] * padding)
        writer.add_precompiled_charsmap(charsmap())
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre({"llama": "smollm"}.get(family, "qwen2"))
        writer.add_token_list(tokens)
        writer.add_token_types([1] * 19 + [3, 3])
        writer.add_token_merges(["a b", "c d", "ab cd", "Ġ a"])
    writer.add_bos_token_id(1 if sentencepiece else 19)
    writer.add_eos_token_id(2 if sentencepiece else 20)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    sizes = [("token_embd", 21, 32), ("attn_norm", 32), ("ffn_norm", 32), ("attn_q", 32, 32), ("attn_k", 16, 32), ("attn_v", 16, 32),
             ("attn_output", 32, 32), ("ffn_gate", 32, 32), ("ffn_up", 32, 32), ("ffn_down", 32, 32), ("output_norm", 32)]
    if family == "qwen2":
        sizes += [("attn_q.bias", 32), ("attn_k.bias", 16), ("attn_v.bias", 16)]
    for number, (stem, *shape) in enumerate(sizes):
        full = stem if stem.endswith(".bias") else stem + ".weight"
        if stem not in ("token_embd", "output_norm"):
            full = "blk.0." + full
        used = gguf.GGMLQuantizationType.F32 if len(shape) == 1 else kind
        writer.add_tensor(full, gguf.quantize(values(shape, number), used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    seed("gguf", name, pathlib.Path(path).read_bytes())
    pathlib.Path(path).unlink()


# Checkpoints


class SeedWriter(Writer):
    """Writes minimal versions of all parts of the layout."""

    def group(self, path, **attributes):
        self.file.require_group(path)
        for name, value in attributes.items():
            self.attribute(path, name, value)

    def tokenizer(self):
        content = compact(tokenizer()).encode()
        self.dataset("/tokenizer/json", np.frombuffer(content, "u1"))
        self.dataset("/tokenizer/config", text("{}"))
        table = "/tokenizer/added_tokens/"
        self.dataset(table + "id", np.array([19, 20]))
        self.dataset(table + "content", np.array([token.encode() for token in SPECIAL]))
        self.dataset(table + "special", np.array([True, True]))
        self.dataset(table + "trained", np.array([True, False]))
        self.group("/tokenizer", think_id=np.int64(19), short_id=np.int64(20))

    def training(self):
        self.dataset("/training/state", text('{"seed":1}'))
        self.dataset("/history/sft/step", np.arange(3.0))
        self.dataset("/history/sft/loss", np.array([2.5, np.nan, 1.5]))
        self.group("/history/sft", order=np.array([b"step", b"loss"]))
        self.dataset("/lineage/0001", text('{"operation":"import","arguments":{},"parent":null,"tool":"h5py","report":{}}'))

    def probe(self):
        for table in ["/probe", "/probe/0002"]:
            self.dataset(table + "/prompt", np.array([b"1+1", b"2*3"]))
            self.dataset(table + "/level", np.array([b"1", b"2"]))
            self.dataset(table + "/step", np.array([0, 5, 10]))
            self.dataset(table + "/p_think", np.full((3, 2), 0.25))
            self.dataset(table + "/p_short", np.full((3, 2), 0.5))

    def optimizer(self):
        for moment in ["m", "v"]:
            path = f"/optimizer/{moment}/model/norm/weight"
            content = values((8,), 3)
            self.file.create_dataset(path, data=content)
            self.tensors[path] = f"{path}\tfloat32\t8\t{hashlib.sha256(content.tobytes()).hexdigest()}\n"
            self.attribute(path, "dtype", text("float32"))
            self.attribute(path, "sha256", text(hashlib.sha256(content.tobytes()).hexdigest()))
        self.group("/optimizer", step=np.int64(3), betas=np.array([0.9, 0.95]), eps=np.float64(1e-8))


def checkpoint(name, *parts, **options):
    path = CORPUS / "checkpoint" / f"seed-{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = SeedWriter(str(path))
    writer.root()
    writer.tensor("model.norm.weight", values((8,), 1))
    if options:
        writer.tensor("model.embed.weight", values((24, 8), 2), **options)
        writer.tensor("model.mask", np.arange(40) % 2 == 0, chunks=(16,), **hdf5plugin.Zstd())
    for part in parts:
        part(writer)
    writer.finish()


# Logs


def first_records(log, limit):
    """The head of a W&B file and its first whole records of up to `limit` bytes."""
    end = 7
    while end + 7 <= len(log):
        following = end + 7 + int.from_bytes(log[end + 4 : end + 6], "little")
        if following > limit:
            break
        end = following
    return log[:end]


def frame(planes):
    """The blocks of planes, after the size of a plane less one and the logarithm of their number."""
    options = zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_FAST, min_match=7, window_log=17, hash_log=6, chain_log=6, search_log=1)
    size = sum(map(len, planes))
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj(size=size)
    content = b""
    for plane in planes[:-1]:
        content += compressor.compress(plane) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    content += compressor.compress(planes[-1]) + compressor.flush()
    return struct.pack("<HB", len(planes[0]) - 1, len(planes).bit_length() - 1) + content[zstandard.frame_header_size(content):]


def frames():
    """Planes without repetition: Huffman-coded in one stream and in four, raw, and of one byte."""
    generator = np.random.default_rng(7)

    def plane(size, share):
        weights = np.array([share**abs(symbol - 60) for symbol in range(128)])
        return generator.choice(128, size, p=weights / weights.sum()).astype(np.uint8).tobytes()

    noise = generator.integers(0, 256, 1500, dtype=np.uint8).tobytes()
    return {
        "one-stream": [plane(200, 0.7)], "four-streams": [plane(1500, 0.8)], "many-symbols": [plane(3000, 0.9)],
        "two-planes": [noise, plane(1500, 0.8)], "one-byte": [noise, bytes([7]) * 1500],
        "four-planes": [noise[:300], noise[300:600], noise[600:900], plane(300, 0.7)]}


def main():
    for name, value in tokenizers().items():
        seed("tokenizer", name, compact(value))
    for name, value in sentencepiece_tokenizers().items():
        seed("tokenizer", name, compact(value))
    seed("sentencepiece", "bpe.model", sentencepiece(2, (4, 0)))
    seed("sentencepiece", "unigram.model", sentencepiece(1, (2, charsmap())))
    seed("vocabulary", "vocab.json", compact({token: index for index, token in enumerate(ALPHABET + ["ab", "cd", "abcd", "Ġa"])}))
    for name, value in configurations().items():
        seed("config", name, compact(value))
    seed("texts", "generation.json", compact({"bos_token_id": 19, "eos_token_id": [20, 19], "temperature": 0.6, "top_p": 0.95}))
    seed("texts", "tokenizer.json", compact({
        "add_bos_token": False, "bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>", "special": True},
        "chat_template": [{"name": "default", "template": "{{ messages[0].content }}"}],
        "added_tokens_decoder": {"19": {"content": "<|im_start|>"}}, "extra_special_tokens": ["<|im_end|>"],
        "tokenizer_class": "TokenizersBackend", "model_max_length": 64,
    }))
    templates = {
        "chatml": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m.content|trim + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        "macros": "{%- macro show(x, n=2) -%}{{ x|tojson(indent=n) }}{%- endmacro -%}{%- set ns = namespace(i=0) -%}{%- for m in messages if m.role != 'system' -%}{%- set ns.i = ns.i + loop.index0 -%}{{ show(m) }}{%- else -%}none{%- endfor -%}{{ ns.i ~ ':' ~ range(3)|list|join(',') }}",
        "slices": "{% set t = messages[-1].content %}{% if '</think>' in t %}{% set t = t.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ bos_token }}{{ t[1:-1:2]|upper|replace('A','b') }}{{ {'a': [1, 2.5, none, true]} }}{{ raise_exception('x') if tools is defined and tools else eos_token }}",
        "filters": "{{ messages|map(attribute='role')|join(' ') }}{{ messages|selectattr('role','equalto','user')|list|length }}{{ 'a b'.split()|last|title|indent(4) }}{{ strftime_now('%d %b %Y') }}{{ (7 // 2) ** 3 - 5 % 3 }}{% filter upper %}x{% endfilter %}",
    }
    for name, value in templates.items():
        seed("template", name + ".jinja", value)

    seed("object", "dataset.json", compact({
        "path": "layers/dense/vars/0", "kind": "dataset", "shape": [3, 4], "dtype": "float32", "type": "float32, big-endian",
        "storage": "chunks of 2 × 2, gzip 4", "attributes": [["name", "d1"], ["…", "3 more"]]}))
    seed("object", "link.json", compact({"path": "a", "kind": "link", "remark": "a soft link, which is not followed"}))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ["metadata.json", "model.weights.h5"]:
            file.writestr(zipfile.ZipInfo(name), name * 3)
    seed("archive", "keras.zip", archive.getvalue())

    whole = list(model_tensors())
    seed("safetensors", "float32", safetensors(whole))
    seed("safetensors", "bfloat16", safetensors(model_tensors("BF16")))
    seed("safetensors", "kinds", safetensors([
        (f"t.{kind}", kind, (2, 2), bytes(4 * size))
        for kind, size in [("F64", 8), ("F32", 4), ("F16", 2), ("BF16", 2), ("I64", 8), ("I32", 4), ("I16", 2), ("I8", 1), ("U64", 8), ("U32", 4), ("U16", 2), ("U8", 1), ("BOOL", 1)]
    ] + [("empty", "F32", (0, 3), b""), ("scalar", "F32", (), bytes(4))]))
    first, second = whole[:5], whole[5:]
    seed("index", "two-shards.json", compact({
        "metadata": {"total_size": sum(len(t[3]) for t in whole)},
        "weight_map": {t[0]: name for name, part in [("shard-1.safetensors", first), ("shard-2.safetensors", second)] for t in part},
    }))

    for name, family, kind in [("llama-q8_0", "llama", "Q8_0"), ("llama-q4_0", "llama", "Q4_0"), ("qwen2-f16", "qwen2", "F16")]:
        gguf_file(name, family, gguf.GGMLQuantizationType[kind], str(HERE / "temporary.gguf"))
    for name in ("llama", "t5"):
        gguf_file(f"tokenizer-{name}", "llama", gguf.GGMLQuantizationType.F16, str(HERE / "temporary.gguf"), sentencepiece=name)

    checkpoint("plain")
    checkpoint("tokenizer", SeedWriter.tokenizer)
    checkpoint("training", SeedWriter.training, SeedWriter.optimizer)
    checkpoint("probe", SeedWriter.probe)
    checkpoint("chunks", chunks=(5, 8), shuffle=True, **hdf5plugin.Zstd())
    checkpoint("odd-chunks", chunks=(7, 3), **hdf5plugin.Zstd())

    logs = HERE.parents[1] / "DataFilesTests" / "Fixtures" / "logs"
    seed("log", "tensorboard", (logs / "events.out.tfevents.1.host").read_bytes())
    seed("log", "wandb", first_records((logs / "run-tiny.wandb").read_bytes(), 3000))
    seed("log", "lines.jsonl", "".join(compact(row) + "\n" for row in [
        {"step": 1, "data": {"critic/score/mean": 0.5, "note": "x"}}, {"step": 2, "loss": 1e-3, "timing": {"gen": 2}}]))
    seed("log", "state.json", compact({
        "global_step": 4, "max_steps": 8, "log_history": [{"step": 2, "loss": 0.5}, {"step": 4, "reward": -1, "epoch": 0.5}]}))
    digest = hashlib.sha256(bytes([1, 2, 3])).hexdigest()
    seed("manifest", "plain", f"# ckpt manifest 1: SHA-256 of files, for sha256sum -c, and of tensors\n{digest}  a.bin\n"
         f"# tensor {digest} a.bin\tmodel.norm.weight\n")

    for name, planes in frames().items():
        seed("frame", name, frame(planes))

    companions = HERE / "companions"
    companions.mkdir(exist_ok=True)
    for name, content in {
        "config.json": compact(configuration("llama")).encode(), "tokenizer.json": compact(tokenizer()).encode(),
        "merges.txt": b"#version: 0.2\na b\nc d\nab cd\n", "tokenizer_config.json": b'{"tokenizer_class":"Qwen2Tokenizer"}',
        "model.safetensors": safetensors(whole), "shard-1.safetensors": safetensors(first), "shard-2.safetensors": safetensors(second),
    }.items():
        (companions / name).write_bytes(content)


if __name__ == "__main__":
    main()
