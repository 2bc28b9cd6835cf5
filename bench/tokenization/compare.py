"""Compares the speed of ckpt, `tokenizers` and `tiktoken` on the same texts with the same tokenizer, on one core each.

    swift build -c release --product tokenization-bench
    python compare.py .build/release/tokenization-bench TOKENIZER.json [TEXT_FILE...]

Without files, it generates 4 MB each of English-like prose, code and mixed scripts. Needs tokenizers and tiktoken.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tiktoken  # noqa: E402
import tokenizers  # noqa: E402

bench, path, *files = sys.argv[1:]
state = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def made():
    """Prose that, like English, consists mostly of words of the vocabulary."""
    rng = random.Random(3)
    vocabulary = [t if isinstance(t, str) else t[0] for t in state["model"]["vocab"]]
    words = [t[1:] for t in vocabulary if t[0] in "Ġ\u2581" and t[1:].isascii() and t[1:].isalpha()]
    common = [w for w in words if len(w) < 7][:1500]
    folder = pathlib.Path(tempfile.mkdtemp())

    def prose(limit):
        size = 0
        while size < limit:
            sentence = []
            for _ in range(rng.randint(6, 24)):
                word = rng.choice(common) if rng.random() < 0.7 else rng.choice(words)
                if rng.random() < 0.08:
                    word += rng.choice(["ly", "ness", "s", "ed", "ization", "'s", "n't"])
                sentence.append(word)
            text = " ".join(sentence).capitalize() + rng.choice([". ", ", but ", "? ", ".\n\n", f" {rng.randint(0, 3000)}. "])
            size += len(text)
            yield text

    texts = {"prose": "".join(prose(4_000_000))}
    sources = sorted(pathlib.Path(os.__file__).parent.glob("*.py"))
    code = "".join(p.read_text(encoding="utf-8", errors="replace") for p in sources)
    texts["code"] = (code * (4_000_000 // len(code) + 1))[:4_000_000]
    ranges = [(0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x904, 0x939), (0x3041, 0x3096), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3)]
    mixed = []
    for _ in range(140_000):
        low, high = rng.choice(ranges)
        mixed.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(2, 8))))
    texts["scripts"] = " ".join(mixed)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        yield folder / name


def best(encode, text, runs=3):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        encode(text)
        times.append(time.perf_counter() - start)
    return len(text.encode()) / min(times) / 1e6


def tiktoken_encoding():
    """The same vocabulary as ranks, with the pattern of the Split or else GPT-2's; None if it is not byte-level."""
    if "ByteLevel" not in json.dumps(state["pre_tokenizer"]):
        return None
    mapping = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    printable = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    table = {chr(b): b for b in printable}
    rest = [b for b in range(256) if b not in printable]
    table |= {chr(0x100 + i): b for i, b in enumerate(rest)}
    assert set(table) == set(mapping)
    order = [chr(0x100 + i) for i in range(len(rest))] + [chr(b) for b in printable]
    merges = ["".join(m.split(" ") if isinstance(m, str) else m) for m in state["model"]["merges"]]
    ranks = {}
    for token in order + merges:
        ranks.setdefault(bytes(table[c] for c in token), len(ranks))
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    for step in state["pre_tokenizer"].get("pretokenizers", []):
        if "Regex" in step.get("pattern", {}):
            pattern = step["pattern"]["Regex"]
    return tiktoken.Encoding("same", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


texts = [pathlib.Path(f) for f in files] or list(made())
ours = subprocess.run([bench, "speed", path, *map(str, texts)], capture_output=True, text=True, check=True).stdout
reference = tokenizers.Tokenizer.from_file(path)
peer = tiktoken_encoding()
print(f"MB/s, one core; tokenizers {tokenizers.__version__}, tiktoken {tiktoken.__version__}")
for file, line in zip(texts, ours.splitlines()[1:]):
    text = file.read_text(encoding="utf-8")
    rate = float(line.rsplit(", ", 1)[1].split()[0])
    theirs = best(lambda t: reference.encode(t, add_special_tokens=False), text)
    third = f"   tiktoken {best(lambda t: peer.encode_ordinary(t), text):6.1f}" if peer else ""
    print(f"{file.name:10} ckpt {rate:7.1f}   tokenizers {theirs:6.1f}{third}")
print(ours.splitlines()[0])
