"""Checks of texts: greedy completions, ids and what they decode to."""

import json

from modelkinds import pieces, tokens
from modelkinds.checks import Deviation, same

WORDS = "the answer is not what we had but one of them and it was for you to be at".split()


def greedy(model):
    """Greedy text by the key-value cache; where the second token is as good as the first, rounding may decide."""
    kind, text = model.kind, " ".join(model.kind.rng.sample(WORDS, 9))
    stops = {model.ask("transformers 5", "end", folder=model.original)}
    # A GGUF file has one end token.
    for name in ["config.json", "generation_config.json"] if kind.format != "gguf" else []:
        path = model.original / name
        value = json.loads(path.read_text()).get("eos_token_id") if path.exists() else None
        stops |= set(value if isinstance(value, list) else [] if value is None else [value])
    prompt = model.own_ids(model.source, [text])[0]
    wanted = model.ask(
        "transformers 5", "greedy", folder=model.original, ids=prompt, count=8, stops=sorted(stops - {None})
    )
    shown = model.tokenize(model.source, [{"i": [t for t in wanted["tokens"] if t not in stops]}])[0]["d"]
    done = json.loads(
        model.ckpt("generate", "m.h5", "--prompt", text, "--temperature", 0, "--max-new-tokens", 8, "--json")
    )
    if done["completion"] != shown and min(wanted["leads"]) > 1e-4:
        raise Deviation(f"greedy text of {text!r}: {done['completion']!r}, expected {shown!r}")


def ids(model):
    """Ids, also with special tokens, and decoded texts.

    The reference is transformers, but SentencePiece for its models, and llama.cpp for those in a GGUF file.
    """
    if (model.original / "tokenizer.model").exists():
        return piece_ids(model)
    found = model.tokenize(model.source, [{"t": t} for t in model.texts])
    plain, special, decoded = zip(*model.ask("transformers 5", "encode", folder=model.original, texts=model.texts))
    same([f["i"] for f in found], plain, model.texts, "ids")
    same([f["d"] for f in found], decoded, model.texts, "decoded text")
    if model.kind.format != "gguf":
        same(model.own_ids(model.source, model.texts, "--special"), special, model.texts, "ids with special tokens")


def piece_ids(model):
    processor, reason = pieces.reference(tokens.FIXTURES / tokens.MODELS[model.kind.tokenizer])
    is_file = model.kind.format == "gguf"
    texts = model.texts
    if not is_file and not json.loads((model.original / "tokenizer_config.json").read_text())["legacy"]:
        # As in transformers, no space is put before a text that begins with one.
        texts = [text for text in texts if not text[:1].isspace()]
    expected = [processor.encode(text) for text in texts]
    # SentencePiece does not look for tokens in a text, llama.cpp does.
    found = model.own_ids(model.source, texts, *[] if is_file else ["--plain"])
    second = expected
    if is_file:
        second = model.ask("llama.cpp", "compute", path=model.source, sequences=[], token=0, texts=texts)["ids"]
    for text, ours, theirs, others in zip(texts, found, expected, second, strict=True):
        if ours == others:
            continue
        why = "llama.cpp alone" if ours == theirs else reason(text, ours, others)
        if not why:
            raise Deviation(f"ids: {text!r}: ckpt {ours}, expected {others}")
        model.explained[why] += 1
