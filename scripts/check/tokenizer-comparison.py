"""Compares tokenizers with `tokenizers`, `sentencepiece`, transformers and llama.cpp on random strings.

    swift build -c release --product tokenization-bench
    python scripts/check/tokenizer-comparison.py .build/release/tokenization-bench [COUNT [NAME...]]

Trains small tokenizers of every kind on the texts of this repository in seconds, and prints how many of COUNT strings
(100,000) have other ids or texts in ckpt. Two differences between `tokenizers`, which ckpt follows, and SentencePiece are
counted apart: "ties" are divisions with the same score, between which SentencePiece's 32-bit sums decide by rounding;
"rules" are texts that `tokenizers` normalizes differently, because it applies a rule of the character table to a whole
grapheme cluster of up to 5 bytes, and to single characters in longer ones. NAME chooses comparisons. Needs `tokenizers`, `sentencepiece`, transformers 5,
`gguf` and xllamacpp; not part of the tests.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/TokenizationTests/Fixtures"
sys.path.insert(0, str(FIXTURES))

import sentencepiece  # noqa: E402
import tokenizers  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

import make_sentencepiece_fixtures as gguf_fixtures  # noqa: E402
from make_tokenizer_fixtures import MARKS, QWEN2, SCRIPTS, proto  # noqa: E402
from modelkinds import pieces  # noqa: E402
from random_texts import Generator  # noqa: E402

BENCH = sys.argv[1]
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
CHOSEN = sys.argv[3:]
FOLDER = pathlib.Path(tempfile.mkdtemp())
BATCH = 2000


def corpus():
    for path in sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("Sources/*/*.swift")):
        yield from path.read_text(encoding="utf-8").splitlines(keepends=True)
    for _ in range(20):
        yield from SCRIPTS.values()


def trained(model_type, size, **options):
    path = FOLDER / f"{model_type}-{len(list(FOLDER.iterdir()))}.model"
    with open(path, "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=corpus(), model_writer=file, model_type=model_type, vocab_size=size, minloglevel=2,
            num_threads=2, hard_vocab_limit=False, max_sentence_length=100_000, **options)
    return path


def saved(name, t):
    path = FOLDER / f"{name}.json"
    t.add_tokens([AddedToken(s, normalized=False, special=False) for s in ("<think>", "</think>", "<short>")])
    t.save(str(path))
    return path


def pieces_bpe(name, normalizer, pre_tokenizer, decoder):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        t.normalizer = normalizer
    if pre_tokenizer:
        t.pre_tokenizer = pre_tokenizer
    t.decoder = decoder
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    # Merges of a vocabulary are made inside words, as SentencePiece's trainer does.
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=6000, special_tokens=special, show_progress=False))
    model = json.loads(inner.to_str())["model"]
    state = json.loads(t.to_str())
    state["model"] |= {"vocab": model["vocab"], "merges": model["merges"]}
    t = Tokenizer.from_str(json.dumps(state))
    t.add_special_tokens(special[:3])
    return saved(name, t)


def unigram(name, model, byte_fallback, normalizer, pre_tokenizer, decoder):
    m = proto(model.read_bytes())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], m.trainer_spec.unk_id, byte_fallback))
    if m.normalizer_spec.precompiled_charsmap:
        normalizer = [normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)] + normalizer
    t.normalizer = normalizers.Sequence(normalizer)
    if pre_tokenizer:
        t.pre_tokenizer = pre_tokenizer
    t.decoder = decoder
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    return saved(name, t)


def with_tokenizers(path):
    reference = Tokenizer.from_file(str(path))
    added = [t.content for t in reference.get_added_tokens_decoder().values()]

    def expected(record):
        if "i" in record:
            ids = record["i"]
        else:
            text = record["t"] if "t" in record else bytes(record["b"]).decode("utf-8", errors="replace")
            ids = reference.encode(text, add_special_tokens=False).ids
        whole = reference.decode(ids, skip_special_tokens=False)
        return {"i": ids, "d": whole, "k": reference.decode(ids, skip_special_tokens=True), "s": whole}

    return Generator(1, added, reference.get_vocab_size()), expected, path, [], None


def with_sentencepiece(path):
    """Without tokens in the text, which SentencePiece does not look for; texts only where no character is unknown."""
    reference, explain = pieces.reference(path)

    def expected(record):
        text = record["t"] if "t" in record else bytes(record["b"]).decode("utf-8", errors="replace")
        ids = reference.encode(text)
        return {"i": ids} if reference.unk_id() in ids else {"i": ids, "d": reference.decode(ids)}

    return Generator(2), expected, path, ["--plain"], explain


def with_llama_cpp(source, kind):
    path = FOLDER / f"{kind}.gguf"
    gguf_fixtures.write_gguf(path, source.read_bytes(), kind, width=64)
    encode = gguf_fixtures.llama_cpp(path)

    def expected(record):
        return {"i": encode(record["t"])} if "t" in record else None

    return Generator(3, ["<s>", "</s>", "<think>", "</think>"]), expected, path, [], pieces.reference(source)[1]


def with_transformers(name, config):
    """vocab.json and merges.txt, without tokenizer.json."""
    import transformers

    folder = FOLDER / name
    folder.mkdir()
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=5000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.model.save(str(folder))
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    config["added_tokens_decoder"] = {
        str(t.get_vocab_size() + i): dict(
            content=n, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        for i, n in enumerate(names)}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    write_model(folder, t.get_vocab_size() + 3, name)
    reference = transformers.AutoTokenizer.from_pretrained(folder)

    def expected(record):
        text = record["t"] if "t" in record else bytes(record["b"]).decode("utf-8", errors="replace")
        return {"i": reference.encode(text, add_special_tokens=False)}

    return Generator(4, names), expected, folder, [], None


def write_model(folder, rows, model_type):
    """The smallest model that can be imported."""
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"model.embed_tokens.weight": np.zeros((rows, 8), np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": rows, "tie_word_embeddings": True}))


NFKC_LIKE = dict(normalization_rule_name="nmt_nfkc")
IDENTITY = dict(normalization_rule_name="identity", remove_extra_whitespaces=False)
T5 = [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "\u2581")]
LLAMA = [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
COMPARISONS = {
    "tokenizers: Llama 2's form": lambda: with_tokenizers(
        pieces_bpe("llama2", normalizers.Sequence(LLAMA), None, decoders.Sequence(MARKS))),
    "tokenizers: Metaspace, first": lambda: with_tokenizers(
        pieces_bpe("first", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Sequence(MARKS))),
    "tokenizers: Metaspace, always": lambda: with_tokenizers(
        pieces_bpe("always", None, pre_tokenizers.Metaspace(), decoders.Metaspace())),
    "tokenizers: Metaspace, never": lambda: with_tokenizers(
        pieces_bpe("never", None, pre_tokenizers.Metaspace(prepend_scheme="never"), decoders.Metaspace(prepend_scheme="never"))),
    "tokenizers: Gemma's form": lambda: with_tokenizers(pieces_bpe(
        "gemma", normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"),
        decoders.Sequence(MARKS[:3]))),
    "tokenizers: Unigram with bytes": lambda: with_tokenizers(unigram(
        "bytes", trained("unigram", 6000, byte_fallback=True, **IDENTITY), True, LLAMA, None, decoders.Sequence(MARKS))),
    "tokenizers: T5's form": lambda: with_tokenizers(unigram(
        "t5", trained("unigram", 6000, **NFKC_LIKE), False, T5, pre_tokenizers.Metaspace(), decoders.Metaspace())),
    "tokenizers: XLM-R's form": lambda: with_tokenizers(unigram(
        "xlmr", trained("unigram", 6000, **NFKC_LIKE), False, [],
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]), decoders.Metaspace())),
    "tokenizers: NFKC": lambda: with_tokenizers(unigram(
        "nfkc", trained("unigram", 6000, **IDENTITY), False, [normalizers.NFKC(), normalizers.Strip()],
        pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace())),
    "sentencepiece: BPE": lambda: with_sentencepiece(trained("bpe", 6000, byte_fallback=True, **IDENTITY)),
    "sentencepiece: Unigram": lambda: with_sentencepiece(trained("unigram", 6000, byte_fallback=True, **IDENTITY)),
    "sentencepiece: Unigram, nmt_nfkc": lambda: with_sentencepiece(trained("unigram", 6000, **NFKC_LIKE)),
    "sentencepiece: user-defined pieces": lambda: with_sentencepiece(trained(
        "bpe", 6000, byte_fallback=True, user_defined_symbols=["<think>", "</think>", "  ", "(*)"], **IDENTITY)),
    "llama.cpp: llama": lambda: with_llama_cpp(trained("bpe", 6000, byte_fallback=True, **IDENTITY), "llama"),
    "llama.cpp: t5": lambda: with_llama_cpp(trained("unigram", 6000, **NFKC_LIKE), "t5"),
    "transformers: Qwen2's vocab.json": lambda: with_transformers("qwen2", {"tokenizer_class": "Qwen2Tokenizer"}),
    "transformers: GPT-2's vocab.json": lambda: with_transformers("gpt2", {"tokenizer_class": "GPT2Tokenizer"}),
}


def compare(name):
    generator, expected, path, options, explain = COMPARISONS[name]()
    explained = {"ties": 0, "rules": 0}
    process = subprocess.Popen([BENCH, "ids", str(path), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wrong, done, start = 0, 0, time.time()
    while done < COUNT:
        pairs = [(r, expected(r)) for r in (generator.record() for _ in range(min(BATCH, COUNT - done)))]
        pairs = [(r, e) for r, e in pairs if e is not None]
        data = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r, _ in pairs).encode()

        def feed():
            process.stdin.write(data)
            process.stdin.flush()

        writer = threading.Thread(target=feed)
        writer.start()
        for record, wanted in pairs:
            answer = json.loads(process.stdout.readline())
            done += 1
            if any(answer[key] != value for key, value in wanted.items()):
                text = record["t"] if "t" in record else bytes(record.get("b", [])).decode("utf-8", errors="replace")
                reason = explain(text, answer["i"], wanted["i"]) if explain else None
                if reason:
                    explained[reason] += 1
                    continue
                wrong += 1
                if wrong <= 3:
                    print(json.dumps(record), "\n  ckpt   ", answer, "\n  expected", wanted)
        writer.join()
    process.stdin.close()
    process.wait()
    apart = "".join(f"  {count} {reason}" for reason, count in explained.items() if count)
    print(f"{name:40} {done:8} strings  {wrong:6} differ  {time.time() - start:6.0f} s{apart}", flush=True)
    return wrong


print(f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}, texts trained in {FOLDER}")
total = sum(compare(name) for name in COMPARISONS if not CHOSEN or any(c in name for c in CHOSEN))
sys.exit(total > 0)
