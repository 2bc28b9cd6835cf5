"""Checks of what ckpt writes: control tokens, folders, safetensors and GGUF files, and their way back."""

import json

import numpy as np

from modelkinds.checks import LLAMA_CPP_LIMITS, Deviation, discard, near, same

CONTROL = ["<think>", "</think>", "<short>"]


def examine(model, expected, runs):
    add_tokens = runs and model.check("add-tokens", lambda: control_tokens(model, expected))
    if model.check("folder", lambda: folder(model, expected)):
        if model.kind.number % 3 == 0:
            model.check("transformers 4", lambda: older(model, expected, "t" if add_tokens else "out"))
        model.check("file", lambda: file(model))
        model.check("reimport", lambda: reimport(model))
    if model.check("GGUF", lambda: discard(model.ckpt("export", "m.h5", "-o", "out.gguf"))):
        model.check("llama.cpp", lambda: llama_cpp(model))
        model.check("GGUF back", lambda: back(model, expected))


def control_tokens(model, expected):
    """The old tokens keep their logits, transformers computes the same, and control tokens are single ids."""
    model.ckpt("add-tokens", "m.h5", "-o", "t.h5")
    model.ckpt("export", "t.h5", "-o", "t")
    found = model.own_logits("t.h5")
    near(found[:, : model.tokens], expected[:, : model.tokens], 1e-4, "logits of the old tokens with control tokens")
    near(found, model.reference_logits(model.folder / "t"), 1e-4, "logits with control tokens")
    texts = model.texts[:10] + [
        a + token + b for token in CONTROL for a in ("so", "so ", "") for b in ("the", " the", "")
    ]
    wanted = model.ask("transformers 5", "encode", folder=model.folder / "t", texts=texts)
    same(model.own_ids(model.folder / "t", texts), [plain for plain, *_ in wanted], texts, "ids with control tokens")
    state = json.loads((model.folder / "t/tokenizer.json").read_text())
    numbers = {t["content"]: t["id"] for t in state["added_tokens"]}
    for text, (plain, *_) in zip(texts[10:], wanted[10:]):
        if sum(numbers[token] in plain for token in CONTROL) != 1:
            raise Deviation(f"ids with control tokens: {text!r} has none in {plain}")
    plain_texts = [t for t in model.texts if not any(c in t for c in CONTROL)]
    before = model.own_ids(model.source, plain_texts)
    same(model.own_ids(model.folder / "t", plain_texts), before, plain_texts, "ids after add-tokens")


def folder(model, expected):
    model.ckpt("export", "m.h5", "-o", "out")
    # GGUF has the factors of rotary scaling in float32.
    near(model.reference_logits(model.folder / "out"), expected, 1e-5, "logits of the exported folder")
    plain, special, _ = zip(*model.ask("transformers 5", "encode", folder=model.folder / "out", texts=model.texts))
    same(model.own_ids(model.source, model.texts), plain, model.texts, "ids of the exported folder")
    same(model.own_ids(model.source, model.texts, "--special"), special, model.texts, "the same with special tokens")


def older(model, expected, name):
    """What transformers 4 computes on an exported folder; `t` has more rows."""
    found = model.reference_logits(model.folder / name, "transformers 4")
    near(found[:, : model.tokens], expected[:, : model.tokens], 1e-4, "logits of transformers 4")
    wanted = model.ask("transformers 5", "encode", folder=model.folder / name, texts=model.texts)
    found = model.ask("transformers 4", "encode", folder=model.folder / name, texts=model.texts)
    state = json.loads((model.folder / name / "tokenizer.json").read_text())
    # Of an added token outside ASCII, tokenizers 0.22 and 0.23 make different texts.
    strange = {t["id"] for t in state["added_tokens"] if not t["content"].isascii()}
    for one, other in zip(found, wanted, strict=True):
        if strange.intersection(one[0]):
            one[2] = other[2]
    same(found, wanted, model.texts, "ids of transformers 4")


def stored(path):
    """The tensors of a folder or file as bytes, since NumPy does not know bfloat16."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    found = {}
    for name in files:
        content = name.read_bytes()
        length = int.from_bytes(content[:8], "little")
        for key, entry in json.loads(content[8 : 8 + length]).items():
            if key != "__metadata__":
                start, end = entry["data_offsets"]
                found[key] = entry["dtype"], entry["shape"], content[8 + length + start : 8 + length + end]
    return found


def file(model):
    model.ckpt("export", "m.h5", "-o", "out.safetensors")
    found, exported = stored(model.folder / "out.safetensors"), stored(model.folder / "out")
    original = stored(model.original)
    if found != exported:
        raise Deviation("the exported file has other tensors than the exported folder")
    for name, tensor in found.items():
        # A GGUF file's float32 values are those of the float16 or quantised ones.
        if model.kind.format != "gguf" and tensor != original.get(name):
            raise Deviation(f"the exported {name} has other bytes than the original")


def digest(model, checkpoint):
    return json.loads(model.ckpt("inspect", checkpoint, "--json"))["digest"]


def reimport(model):
    model.ckpt("import", "out", "-o", "again.h5")
    one, other = digest(model, "m.h5"), digest(model, "again.h5")
    if one != other:
        raise Deviation(f"the reimported folder has digest {other}, not {one}")


def llama_cpp(model):
    """llama.cpp on the exported file against transformers on the same rounded values.

    llama.cpp rounds the inputs of a matrix to the matrix's type, and so does the reference here.
    """
    model.ckpt("import", "out.gguf", "-o", "back.h5")
    model.ckpt("export", "back.h5", "-o", "back", "--dtype", "float32")
    window = model.kind.config.get("sliding_window") or 4096
    # llama.cpp applies no window, and takes long frequencies for its whole context.
    sequences = [s for s in model.sequences if len(s) <= window and (model.kind.rope != "longrope" or len(s) > 64)]
    letter = model.own_ids(model.folder / "back", ["a"])[0][-1]
    answer = model.ask(
        "llama.cpp", "compute", path=model.folder / "out.gguf", sequences=sequences, token=letter, texts=[]
    )
    inputs = model.kind.dtype if model.kind.dtype != "q8_0" else "float32"
    rows = model.reference_logits(model.folder / "back", inputs=inputs)
    ends = np.cumsum([len(s) for s in model.sequences]) - 1
    for ids, found in zip(sequences, answer["logprobs"]):
        row = rows[ends[model.sequences.index(ids)]].astype(np.float64)
        scores = row - np.log(np.exp(row - row.max()).sum()) - row.max()
        error = float(max(abs(scores[i] - value) for i, value in found) / np.abs(row).max())
        model.errors[inputs] = max(error, model.errors.get(inputs, 0))
        if not error <= LLAMA_CPP_LIMITS[inputs]:
            raise Deviation(f"llama.cpp after {len(ids)} tokens: relative error {error:.2g}")


def back(model, expected):
    """The exported GGUF file imported again."""
    if model.kind.dtype == "float32":
        one, other = digest(model, "m.h5"), digest(model, "back.h5")
        if one != other:
            raise Deviation(f"the reimported GGUF file has digest {other}, not {one}")
    near(model.own_logits("back.h5"), expected, 1e-4, "logits of the reimported GGUF file")
