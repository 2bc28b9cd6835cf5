"""Checks that an exported folder has the tokens of the imported one in transformers 4 and 5.

    swift build -c release --product ckpt && swift build -c release --product tokenization-bench
    python scripts/check/tokenizer-export.py .build/release FOLDER... --python PYTHON4 [--count COUNT]

Imports every FOLDER, exports it, and compares the ids of COUNT random strings (2,000), with and without special tokens,
in ckpt, in this Python's transformers and in PYTHON4's. Not part of the tests.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/TokenizationTests/Fixtures"))

from random_texts import Generator  # noqa: E402

READER = """
import json, sys, transformers
transformers.logging.set_verbosity_error()
t = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps(transformers.__version__))
for line in sys.stdin:
    text = json.loads(line)["t"]
    print(json.dumps([t.encode(text, add_special_tokens=False), t.encode(text)]))
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--python", action="append", default=[sys.executable])
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    wrong = 0
    for folder in options.folders:
        work = pathlib.Path(tempfile.mkdtemp())
        quiet = dict(check=True, capture_output=True)
        subprocess.run([options.build / "ckpt", "import", folder, "-o", work / "model.h5"], **quiet)
        subprocess.run([options.build / "ckpt", "export", work / "model.h5", "-o", work / "out"], **quiet)
        tokens = [t["content"] for t in json.loads((work / "out/tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]]
        generator = Generator(5, tokens)
        lines = "".join(json.dumps({"t": generator.text()}) + "\n" for _ in range(options.count))

        def run(*command):
            output = subprocess.run(list(map(str, command)), input=lines, capture_output=True, text=True, check=True).stdout
            return [json.loads(line) for line in output.split("\n") if line]

        bench = options.build / "tokenization-bench"
        ours = list(zip(*([a["i"] for a in run(bench, "ids", folder, *special)] for special in ([], ["--special"]))))
        for python in options.python:
            version, *theirs = run(python, "-c", READER, work / "out")
            differ = sum(list(a) != b for a, b in zip(ours, theirs))
            wrong += differ + (len(ours) != len(theirs))
            print(f"{folder.name:30} transformers {version:8} {len(theirs):6} strings  {differ:6} differ", flush=True)
            for line, a, b in zip(lines.splitlines(), ours, theirs):
                if list(a) != b:
                    print("  ", line, "\n    ckpt  ", list(a), "\n    theirs", b)
                    break
    sys.exit(wrong > 0)


main()
