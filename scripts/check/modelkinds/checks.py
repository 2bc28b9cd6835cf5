"""What is checked of one model: every way in, through and out of ckpt against the reference programs."""

import collections
import json
import shlex
import subprocess

import numpy as np

from modelkinds import gguf_files, tokens
from modelkinds.peers import PeerError
from modelkinds.refusals import explained
from random_texts import Generator

COLUMNS = [
    "import",
    "logits",
    "greedy",
    "ids",
    "add-tokens",
    "folder",
    "transformers 4",
    "file",
    "reimport",
    "GGUF",
    "llama.cpp",
    "GGUF back",
]
# Largest error of a logit, relative to the largest logit. With narrow types the order of sums decides how an input of a
# matrix is rounded, which the next matrices multiply.
LLAMA_CPP_LIMITS = {"float32": 1e-4, "float16": 3e-3, "bfloat16": 2e-2}


class Deviation(Exception):
    pass


class Refusal(Exception):
    pass


class Model:
    """A model of a kind with its files, and the results of its checks by column."""

    def __init__(self, kind, folder, build, peers):
        self.kind, self.folder, self.build, self.peers = kind, folder, build, peers
        self.original = folder / "original"
        self.results = {}
        self.errors = {}  # The largest error against llama.cpp by element type.
        self.explained = collections.Counter()
        self.commands = []

    def run(self, *command):
        self.commands.append(shlex.join(map(str, command)))
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, cwd=self.folder)

    def ckpt(self, *arguments):
        done = self.run(self.build / "ckpt", *arguments)
        if done.returncode == 2 and (name := explained(done.stderr, self.kind)):
            raise Refusal(name)
        if done.returncode or "warning" in done.stderr:
            raise Deviation(f"ckpt {arguments[0]}: status {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def ask(self, peer, name, **arguments):
        try:
            return self.peers[peer].ask(name, **arguments)
        except PeerError as error:
            raise Deviation(f"{peer}: {name}: {error}") from None

    def check(self, column, step):
        """Runs one step; its result is "ok", or the reason of a refusal or deviation."""
        try:
            self.results[column] = "ok" if step() is None else "none"
        except Refusal as error:
            self.results[column] = f"refused: {error}"
        except (Deviation, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
            self.results[column] = (
                f"deviation: {type(error).__name__ if not isinstance(error, Deviation) else ''} {error}"
            )
        return self.results[column] == "ok"

    def make(self):
        kind, rng = self.kind, self.kind.rng
        self.original.mkdir(parents=True)
        saved = kind.saved if kind.format != "gguf" else "by hand"
        tokens.write(self.original, kind.tokenizer, saved, rng, kind.format == "gguf")
        for version in (4, 5):
            if saved == f"by {version}":
                self.ask(f"transformers {version}", "resave", folder=self.original, what="tokenizer")
                tokens.finish(self.original)
        rows = self.tokens = self.ask("transformers 5", "size", folder=self.original)
        if kind.format != "gguf" and rng.random() < 0.4:
            rows += -rows % 64
        config = {**kind.fields, "vocab_size": rows, "bos_token_id": 1, "eos_token_id": rng.choice([2, [2, 5], None])}
        path = self.original / "config.json"
        path.write_text(json.dumps(config))
        for version in kind.style.removeprefix("saved by ").split(", ") if kind.style.startswith("saved") else []:
            self.ask(f"transformers {version}", "resave", folder=self.original, what="config")
        kind.config = json.loads(path.read_text())
        if kind.format == "gguf":
            kind.config = config
        shards = rng.choice([2, 3]) if kind.format == "shards" else 0
        self.ask(
            "transformers 5",
            "make",
            folder=self.original,
            seed=kind.number,
            dtype=kind.dtype,
            shards=shards,
            head=rng.random() < 0.3,
        )
        self.source = self.original
        if kind.format == "gguf":
            self.source = self.folder / "original.gguf"
            gguf_files.write(self.source, self.original, kind)
        self.sequences = [[rng.randrange(3, self.tokens) for _ in range(n)] for n in (rng.choice([1, 5, 20]), 90)]
        state = self.original / "tokenizer.json"
        added = [t["content"] for t in json.loads(state.read_text())["added_tokens"]] if state.exists() else []
        self.texts = [Generator(f"{kind.number} {i}", added).text() for i in range(30)]

    def reference_logits(self, folder, name="transformers 5", inputs="float32"):
        to = self.folder / "reference.npy"
        self.ask(name, "logits", folder=folder, sequences=self.sequences, to=to, inputs=inputs)
        return np.load(to)

    def own_logits(self, checkpoint):
        rows = []
        for ids in self.sequences:
            done = self.run(
                self.build / "engine-bench",
                "logits",
                "--file",
                checkpoint,
                "--tokens",
                ",".join(map(str, ids)),
                "--output",
                self.folder / "logits.f32",
            )
            if done.returncode:
                if name := explained(done.stderr, self.kind):
                    raise Refusal(name)
                raise Deviation(f"engine-bench: {done.stderr.strip()[-300:]}")
            rows.append(np.fromfile(self.folder / "logits.f32", np.float32).reshape(len(ids), -1))
        return np.concatenate(rows)

    def tokenize(self, source, records, *options):
        """What tokenization-bench says about records of texts or ids."""
        done = subprocess.run(
            [self.build / "tokenization-bench", "ids", source, *options],
            capture_output=True,
            text=True,
            timeout=60,
            input="".join(json.dumps(r) + "\n" for r in records),
        )
        if done.returncode:
            raise Deviation(f"tokenization-bench: {done.stderr.strip()[-300:]}")
        return [json.loads(line) for line in done.stdout.split("\n") if line]

    def own_ids(self, source, texts, *options):
        return [answer["i"] for answer in self.tokenize(source, [{"t": t} for t in texts], *options)]


def near(found, expected, limit, what):
    if found.shape != expected.shape:
        raise Deviation(f"{what}: shape {found.shape}, not {expected.shape}")
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not error <= limit:
        raise Deviation(f"{what}: relative error {error:.2g}")


def same(found, expected, texts, what):
    for text, one, other in zip(texts, found, expected, strict=True):
        if one != other:
            raise Deviation(f"{what}: {text!r}: ckpt {one}, expected {other}")


def examine(model):
    """All checks of a model; those behind a failed import or refused configuration are left out."""
    from modelkinds import exports, texts

    model.make()
    if not model.check("import", lambda: discard(model.ckpt("import", model.source, "-o", "m.h5"))):
        return
    expected = model.reference_logits(model.original)
    runs = model.check("logits", lambda: near(model.own_logits("m.h5"), expected, 1e-4, "logits"))
    if runs:
        model.check("greedy", lambda: texts.greedy(model))
    model.check("ids", lambda: texts.ids(model))
    exports.examine(model, expected, runs)


def discard(_):
    return None
