"""The command line of scripts/check/models: draws kinds, examines models on several processes, prints the table."""

import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import time
import traceback

from modelkinds.checks import COLUMNS, Model, examine
from modelkinds.draw import draw
from modelkinds.peers import Peer

ROWS = ["family", "rope", "format", "dtype", "style", "tokenizer", "saved"]
state = {}


def start(options):
    log = options.work / f"peers-{os.getpid()}.log"
    state["options"] = options
    state["peers"] = {
        "transformers 5": Peer(sys.executable, "with_transformers", log),
        "transformers 4": Peer(options.python4, "with_transformers", log),
        "llama.cpp": Peer(sys.executable, "with_llama_cpp", log),
    }


def run_one(number):
    options = state["options"]
    kind = draw(options.seed, number)
    folder = options.work / str(number)
    model = Model(kind, folder, options.build, state["peers"])
    began = time.monotonic()
    try:
        examine(model)
    except Exception:  # The reference refuses the model, or a defect of the script: neither passes as a success.
        model.results["script"] = "deviation: " + traceback.format_exc()[-1500:]
    wrong = deviations({"results": model.results})
    if wrong:
        kept = options.findings / str(number)
        shutil.rmtree(kept, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        shutil.move(folder, kept)
        (kept / "commands").write_text("".join(line + "\n" for line in model.commands))
        (kept / "finding").write_text(f"{kind}\n" + "".join(f"{n}: {t}\n" for n, t in wrong.items()))
    shutil.rmtree(folder, ignore_errors=True)
    line = {
        "kind": {name: getattr(kind, name) for name in ["number", *ROWS]},
        "results": model.results,
        "explained": model.explained,
        "errors": model.errors,
        "seconds": round(time.monotonic() - began, 1),
        "text": str(kind),
    }
    with open(options.record, "a") as file:
        file.write(json.dumps(line) + "\n")
    return line


def deviations(line):
    return {name: text for name, text in line["results"].items() if text.startswith("deviation")}


def table(lines):
    print("| kind | models | " + " | ".join(COLUMNS) + " |\n|---|---:|" + "---:|" * len(COLUMNS))
    rows = [("all", None)] + [
        (name, value) for name in ROWS for value in sorted({line["kind"][name] for line in lines})
    ]
    for name, value in rows:
        chosen = [line["results"] for line in lines if name == "all" or line["kind"][name] == value]
        cells = []
        for column in COLUMNS:
            counts = collections.Counter(results[column].split(":")[0] for results in chosen if column in results)
            parts = [str(counts["ok"])] + [f"{counts[n]} {n}" for n in ("refused", "deviation") if counts[n]]
            cells.append(", ".join(parts))
        print(f"| {value or 'all'} | {len(chosen)} | " + " | ".join(cells) + " |")


def classes(lines):
    """How often each refusal and each explained difference occurs."""
    counts = collections.Counter(
        text for line in lines for text in line["results"].values() if text.startswith("refused")
    )
    for line in lines:
        counts.update(
            {
                f"texts divided otherwise by SentencePiece or llama.cpp: {why}": count
                for why, count in line["explained"].items()
            }
        )
    return sorted(counts.items())


def main():
    parser = argparse.ArgumentParser(prog="scripts/check/models")
    parser.add_argument("--count", type=int, default=360)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int)
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run found to agree")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path(".build/release"))
    parser.add_argument("--python4", required=True)
    options = parser.parse_args()
    options.build = options.build.absolute()
    for name in ("ckpt", "engine-bench", "tokenization-bench"):
        if not os.access(options.build / name, os.X_OK):
            sys.exit(f"{options.build / name} is not there; build it: swift build -c release --product {name}")
    options.work = pathlib.Path(".build/models/work").absolute()
    options.findings = pathlib.Path(".build/models/findings").absolute()
    options.record = pathlib.Path(
        f".build/models/{'one' if options.number is not None else 'seed'}-{options.seed}.jsonl"
    ).absolute()
    shutil.rmtree(options.work, ignore_errors=True)
    if options.number is None:
        shutil.rmtree(options.findings, ignore_errors=True)
    options.work.mkdir(parents=True)
    options.findings.mkdir(exist_ok=True)
    began = time.monotonic()
    lines = []
    if options.resume and options.record.exists():
        lines = [line for line in map(json.loads, options.record.read_text().splitlines()) if not deviations(line)]
    options.record.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = {line["kind"]["number"] for line in lines}
    numbers = [options.number] if options.number is not None else [n for n in range(options.count) if n not in done]
    with multiprocessing.Pool(max(1, min(options.jobs, len(numbers))), start, [options]) as pool:
        for line in pool.imap_unordered(run_one, numbers):
            lines.append(line)
            for column, text in (line["results"] if options.number is not None else deviations(line)).items():
                print(f"{line['kind']['number']} ({line['text']}) {column}: {text}", file=sys.stderr, flush=True)
    table(lines)
    for text, count in classes(lines):
        print(f"\n{count} {text}", end="")
    errors = [error for line in lines for error in line.get("errors", {}).items()]
    for kind in sorted({kind for kind, _ in errors}):
        print(f"\nlargest error against llama.cpp with {kind}: {max(e for k, e in errors if k == kind):.2g}", end="")
    wrong = sum(bool(deviations(line)) for line in lines)
    print(
        f"\n\n{len(lines)} models, {(time.monotonic() - began) / 60:.0f} minutes with --jobs {options.jobs}, seed "
        f"{options.seed}: {wrong} with deviations" + (", kept in .build/models/findings" if wrong else "")
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
