"""Compares the ids and texts of random strings with the `tokenizers` library. Not part of the tests, because it needs that
library.

    swift build -c release --product tokenization-bench
    python fuzz_against_tokenizers.py .build/release/tokenization-bench TOKENIZER.json [COUNT [SEED [OURS]]]

OURS is a GGUF file with the same tokenizer, which ckpt reads instead of TOKENIZER.json.
"""

import json
import random
import subprocess
import sys
import threading
import unicodedata

from tokenizers import Tokenizer, __version__

bench, path = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
ours = sys.argv[5] if len(sys.argv) > 5 else path
rng = random.Random(seed)
reference = Tokenizer.from_file(path)
reference.no_padding()
reference.no_truncation()
added = [t.content for t in reference.get_added_tokens_decoder().values()]
size = reference.get_vocab_size()

SCALARS = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cs", "Cn", "Co")]
# Letters, marks and digits added in Unicode 15 and 16.
NEWER = [chr(c) for low, high in [(0x31350, 0x3135F), (0x11F00, 0x11F5A), (0x1E4D0, 0x1E4F9), (0x1C89, 0x1C8A), (0x1E08F, 0x1E08F),
                                  (0x10D40, 0x10D85), (0x2EBF0, 0x2EBFF), (0xECE, 0xECE), (0x897, 0x897)] for c in range(low, high + 1)]
WORDS = "the of and to in is that was he for it with as his on be at by I this had not are but from or have an they "
WORDS = (WORDS + "don't I'll we've you're it's 'S 'LL ſ 12 345 6789 1e-5 0x1F foo_bar naïve Straße 北京 こんにちは "
         "\\frac{a}{b} $x^2$ == != -> /* */ <think> </think> <|im_start|> <short> ... --- ''' \"\" ()[]{}").split(" ")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", ""]
RANGES = [(0x20, 0x7E), (0, 0x1F), (0x80, 0xFF), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0xDFF),
          (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x20A0, 0x2BFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
          (0xAC00, 0xD7A3), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0x1F300, 0x1FAFF), (0x1D400, 0x1D7FF)]


def part():
    kind = rng.randrange(8)
    if kind < 2:
        return rng.choice(WORDS)
    if kind == 2:
        return rng.choice(SPACES)
    if kind == 3:
        low, high = rng.choice(RANGES)
        drawn = [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 6))]
        return "".join(c for c in drawn if unicodedata.category(c) != "Cn")
    if kind == 4:
        return rng.choice(SCALARS if rng.random() < 0.9 else NEWER)
    if kind == 5:
        return rng.choice(added) if added and rng.random() < 0.3 else rng.choice(SPACES) * rng.randint(1, 4)
    if kind == 6:
        return "".join(chr(rng.randint(0x20, 0x7E)) for _ in range(rng.randint(1, 12)))
    return rng.choice(WORDS) + " " + rng.choice(WORDS)


def record():
    kind = rng.random()
    if kind < 0.05:
        return {"b": [rng.randrange(256) if rng.random() < 0.5 else rng.randint(0x20, 0x7E) for _ in range(rng.randint(0, 40))]}
    if kind < 0.1:
        return {"i": [rng.randrange(size) for _ in range(rng.randint(0, 12))]}
    return {"t": "".join(part() for _ in range(rng.randint(0, 12)))}


process = subprocess.Popen([bench, "ids", ours], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
BATCH = 5000
wrong = 0
for start in range(0, count, BATCH):
    records = [record() for _ in range(min(BATCH, count - start))]
    data = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()

    def feed():
        process.stdin.write(data)
        process.stdin.flush()

    writer = threading.Thread(target=feed)
    writer.start()
    for r in records:
        answer = json.loads(process.stdout.readline())
        if "i" in r:
            ids = r["i"]
        else:
            text = r["t"] if "t" in r else bytes(r["b"]).decode("utf-8", errors="replace")
            ids = reference.encode(text, add_special_tokens=False).ids
        whole = reference.decode(ids, skip_special_tokens=False)
        wanted = {"i": ids, "d": whole, "k": reference.decode(ids, skip_special_tokens=True), "s": whole}
        if answer != wanted:
            wrong += 1
            if wrong <= 10:
                print(json.dumps(r), "\n  ours  ", answer, "\n  theirs", wanted)
    writer.join()
print(f"{ours}: {count} strings, seed {seed}, tokenizers {__version__}: {wrong} differ")
sys.exit(wrong > 0)
