"""Tokenizers of every kind, from the fixtures of the tests, as the files of a folder."""

import json
import pathlib

FIXTURES = pathlib.Path(__file__).resolve().parents[3] / "Tests/TokenizationTests/Fixtures"
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
# Name -> (fixture, begin, end). GPT-2's fixture gets a space before the text, "gpt2" does not.
JSON = {
    "gpt2": ("gpt2-prefixed", "<s>", "</s>"),
    "gpt2-prefixed": ("gpt2-prefixed", "<s>", "</s>"),
    "smollm": ("smollm", "<|im_start|>", "<|im_end|>"),
    "qwen2": ("qwen2", None, "<|im_end|>"),
    "llama3": ("llama3", "<|begin_of_text|>", "<|eot_id|>"),
    "llama2": ("sentencepiece-like", "<s>", "</s>"),
    "metaspace-first": ("metaspace-first", "<s>", "</s>"),
    "metaspace-always": ("metaspace-always", "<s>", "</s>"),
    "metaspace-never": ("metaspace-never", "<s>", "</s>"),
    "gemma": ("gemma-like", "<s>", "</s>"),
    "unigram-bytes": ("unigram-bytes", "<s>", "</s>"),
    "unigram-t5": ("unigram-precompiled", "<s>", "</s>"),
    "unigram-xlmr": ("unigram-words", "<s>", "</s>"),
    "unigram-nfkc": ("unigram-nfkc", "<s>", "</s>"),
}
MODELS = {"model-bpe": "bpe.model", "model-unigram": "unigram.model", "model-symbols": "symbols.model"}
VOCABULARIES = {"vocab-qwen2": ("qwen2", "Qwen2Tokenizer"), "vocab-gpt2": ("gpt2-prefixed", "GPT2Tokenizer")}
FOLDER_TOKENIZERS = [*JSON, *MODELS, *VOCABULARIES]
# tokenizer.ggml.pre, or the kind of a SentencePiece model.
GGUF_TOKENIZERS = {
    "gpt2": "gpt-2",
    "smollm": "smollm",
    "qwen2": "qwen2",
    "llama3": "llama-bpe",
    "model-bpe": "llama",
    "model-unigram": "t5",
    "model-symbols": "t5",
}


def state_of(name):
    return json.loads((FIXTURES / f"{JSON[name][0] if name in JSON else name}.tokenizer.json").read_text())


def finish(folder):
    """Leaves what a version of transformers has made of a SentencePiece model, by a class that does not rebuild it."""
    if (folder / "tokenizer.json").exists() and (folder / "tokenizer.model").exists():
        (folder / "tokenizer.model").unlink()
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}))


def added(rng):
    """Up to three more added tokens, with random flags."""
    texts = rng.sample(["<tool>", "<|pad|>", "</call>", " [x] ", "été"], rng.choice([0, 0, 1, 3]))
    flags = {
        t: {f: rng.random() < 0.2 for f in ("single_word", "lstrip", "rstrip", "normalized", "special")} for t in texts
    }
    return [{"content": text, **flags[text]} for text in texts]


def write(folder, name, saved, rng, plain):
    """Writes the tokenizer's files; with `plain`, its added tokens have no flags, which GGUF files do not express."""
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    more = added(rng)
    if name in JSON:
        _, begin, end = JSON[name]
        state = state_of(name)
        if name == "gpt2":
            state["pre_tokenizer"]["add_prefix_space"] = False
        number = max([t["id"] for t in state["added_tokens"]] + list(ids(state["model"]["vocab"]).values()))
        state["added_tokens"] += [{"id": number + 1 + i, **token} for i, token in enumerate(more)]
        for token in state["added_tokens"] if plain else []:
            token |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        (folder / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        config |= {"bos_token": begin, "eos_token": end}
        if saved == "older files":
            (folder / "special_tokens_map.json").write_text(
                json.dumps(
                    {
                        "bos_token": begin,
                        "eos_token": {
                            "content": end,
                            "lstrip": False,
                            "normalized": False,
                            "rstrip": False,
                            "single_word": False,
                        },
                    }
                )
            )
            del config["bos_token"], config["eos_token"]
        else:
            config["added_tokens_decoder"] = {
                str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in state["added_tokens"]
            }
    elif name in MODELS:
        (folder / "tokenizer.model").write_bytes((FIXTURES / MODELS[name]).read_bytes())
        config |= {
            "tokenizer_class": "LlamaTokenizer",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "legacy": rng.random() < 0.5,
            "add_bos_token": rng.random() < 0.5,
            "add_eos_token": False,
        }
    else:
        fixture, config["tokenizer_class"] = VOCABULARIES[name]
        model = state_of(fixture)["model"]
        (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *(" ".join(m) if isinstance(m, list) else m for m in model["merges"])]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        size = len(model["vocab"])
        names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        config |= {"eos_token": "<|im_end|>", "bos_token": None, "unk_token": None, "pad_token": "<|endoftext|>"}
        tokens = [
            {"content": n, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
            for n in names
        ]
        config["added_tokens_decoder"] = {str(size + i): t for i, t in enumerate(tokens + more)}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def ids(vocabulary):
    return vocabulary if isinstance(vocabulary, dict) else {piece: i for i, (piece, _) in enumerate(vocabulary)}
