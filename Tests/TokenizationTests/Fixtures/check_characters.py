"""Compares how each step treats every Unicode character with the `tokenizers` library. Not part of the tests, because it
needs that library.

    swift build -c release --product tokenization-bench
    python check_characters.py .build/release/tokenization-bench [STEP...]
    python check_characters.py --table       prints the rows of Sources/Tokenization/Unicode16Additions.swift

The table holds the characters that the library's regular expressions know and Unicode 14 (Python 3.11) lacks.
"""

import json
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, __version__
from tokenizers import decoders, models, normalizers, pre_tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cf".split()
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
# Every byte merges with an "a" on either side, so that a split between them changes the ids.
MERGES = [("a", x) for x in ALPHABET] + [(x, "a") for x in ALPHABET if x != "a"]


def ranges(characters):
    result = []
    for value in sorted(map(ord, characters)):
        if result and result[-1][1] == value - 1:
            result[-1][1] = value
        else:
            result.append([value, value])
    return [f"{a:x}-{b:x}" if a != b else f"{a:x}" for a, b in result]


def print_table():
    assert unicodedata.unidata_version == "14.0.0"
    unknown = [c for c in CHARACTERS if unicodedata.category(c) == "Cn"]
    for name in CATEGORIES + ["Alphabetic", "White_Space"]:
        split = pre_tokenizers.Split(Regex(rf"\p{{{name}}}"), "removed")
        found = []
        for i in range(0, len(unknown), 4096):
            batch = unknown[i:i + 4096]
            left = set("".join(text for text, _ in split.pre_tokenize_str("".join(batch))))
            found += [c for c in batch if c not in left]
        if found:
            print(f'"{name}": "{" ".join(ranges(found))}",')


def tokenizer(*steps, normalizer=None, byte_level=None):
    vocabulary = {x: i for i, x in enumerate(ALPHABET)} | {a + b: 256 + i for i, (a, b) in enumerate(MERGES)}
    result = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    last = byte_level or pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    result.pre_tokenizer = pre_tokenizers.Sequence([*steps, last])
    result.decoder = decoders.ByteLevel()
    if normalizer:
        result.normalizer = normalizer
    return result


def compare(bench, name, reference, contexts):
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(reference.to_str())
        file.flush()

        def ours(texts):
            data = "".join(json.dumps({"t": text}) + "\n" for text in texts).encode()
            run = subprocess.run([bench, "ids", file.name], input=data, capture_output=True, check=True)
            return [json.loads(line)["i"] for line in run.stdout.splitlines()]

        def differing(texts):
            return [i for i, (text, ids) in enumerate(zip(texts, ours(texts))) if reference.encode(text).ids != ids]

        found = set()
        for before, behind in contexts:
            whole = [before + c + behind for c in CHARACTERS]
            joined = ["".join(whole[i:i + 256]) for i in range(0, len(whole), 256)]
            for block in differing(joined):
                part = CHARACTERS[block * 256:block * 256 + 256]
                one_by_one = differing([before + c + behind for c in part])
                # If no character differs alone, the whole block counts.
                found.update([part[i] for i in one_by_one] or part)
    print(f"{name}: {len(found)} of {len(CHARACTERS)} differ {' '.join(ranges(found)[:60])}", flush=True)
    return len(found)


def main(bench, wanted):
    sides = [("a", "a"), ("7", "a"), ("a", ".")]
    wrong = 0

    def check(name, *arguments):
        nonlocal wrong
        if not wanted or name in wanted:
            wrong += compare(bench, name, *arguments)

    for pattern in [r"\p{L}", r"\p{N}", r"\p{P}", r"\p{S}", r"\p{M}", r"\p{Lu}", r"\p{Ll}", r"\P{L}", r"\s", r"\S", r"\w", r"\W",
                    r"\d", r"\D", r"[^\s\p{L}\p{N}]", r"[\p{Lu}\p{M}]", r"[\w]", r"[^\w]", r"(?i:'s|k)", r"."]:
        check(pattern, tokenizer(pre_tokenizers.Split(Regex(pattern), "isolated")), sides)
    for name, step in {
            "Digits": pre_tokenizers.Digits(individual_digits=True), "Digits together": pre_tokenizers.Digits(),
            "Whitespace": pre_tokenizers.Whitespace(), "Punctuation": pre_tokenizers.Punctuation()}.items():
        check(name, tokenizer(step), sides)
    check("ByteLevel", tokenizer(byte_level=pre_tokenizers.ByteLevel(add_prefix_space=False)), sides)
    added = tokenizer()
    added.add_tokens([
        AddedToken("mask", single_word=True, normalized=False), AddedToken("<l>", lstrip=True, normalized=False),
        AddedToken("<r>", rstrip=True, normalized=False)])
    check("added tokens", added, [("mask", ""), ("", "mask"), ("<r>", "a"), ("a", "<l>")])
    marks = [("a", "\u0334"), ("a\u0334", ""), ("\U00011935", ""), ("\u0301", "\u0301"), ("\u1100", "\u11a8")]
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip"):
        check(form, tokenizer(normalizer=getattr(normalizers, form)()), marks)
    print(f"tokenizers {__version__}: {wrong} differ")
    sys.exit(wrong > 0)


if sys.argv[1] == "--table":
    print_table()
else:
    main(sys.argv[1], sys.argv[2:])
