"""Compares the ids and texts of random strings with the `tokenizers` library. Not part of the tests, because it needs that
library.

    swift build -c release --product tokenization-bench
    python fuzz_against_tokenizers.py .build/release/tokenization-bench TOKENIZER.json [COUNT [SEED [OURS]]]

OURS is a GGUF file with the same tokenizer, which ckpt reads instead of TOKENIZER.json.
"""

import json
import subprocess
import sys
import threading

from tokenizers import Tokenizer, __version__

from random_texts import Generator

bench, path = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
ours = sys.argv[5] if len(sys.argv) > 5 else path
reference = Tokenizer.from_file(path)
reference.no_padding()
reference.no_truncation()
added = [t.content for t in reference.get_added_tokens_decoder().values()]
size = reference.get_vocab_size()

generator = Generator(seed, added, size)
process = subprocess.Popen([bench, "ids", ours], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
BATCH = 5000
wrong = 0
for start in range(0, count, BATCH):
    records = [generator.record() for _ in range(min(BATCH, count - start))]
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
