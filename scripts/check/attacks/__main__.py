"""The command line of scripts/check/attack: makes seeds, runs cases on several processes, prints the table."""

import argparse
import importlib
import multiprocessing
import os
import shutil
import sys
import time
import traceback

from attacks import seeds
from attacks.case import COLUMNS, Case

# Kinds and their usual number of attacks.
KINDS = {
    "structure": 3600,
    "lies": 2600,
    "formats": 2600,
    "limits": 500,
    "signals": 400,
    "streams": 420,
    "programs": 160,
    "faults": 600,
    "text": 120,
    "saves": 0,
}


def run_one(job):
    kind, number, setup = job
    case = Case(kind, number, setup)
    try:
        importlib.import_module(f"attacks.{kind}").attack(case)
        error = None
    except Exception:  # A defect of the script, which must not pass as a success.
        error = traceback.format_exc()
        case.fail("other", "the script failed: " + error.splitlines()[-1])
    case.close()
    return {
        "kind": kind,
        "number": number,
        "verdict": case.verdict,
        "findings": case.findings,
        "memory": case.memory,
        "seconds": case.longest,
        "notes": case.notes,
        "error": error,
    }


def main():
    parser = argparse.ArgumentParser(prog="scripts/check/attack")
    parser.add_argument("--ckpt", default=".build/release/ckpt")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=[])
    parser.add_argument("--count", type=int, help="attacks of each kind")
    parser.add_argument("--number", type=int, help="repeat this attack of the kind")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--saves", type=int, help="saves of the run in which memory and descriptors are watched")
    parser.add_argument("--keep", action="store_true", help="keep earlier findings")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{kind} {count}" for kind, count in KINDS.items()))
        return 0
    ckpt = os.path.abspath(options.ckpt)
    if not os.access(ckpt, os.X_OK):
        sys.exit(f"{ckpt} is not there; build it: swift build -c release --product ckpt")

    build = os.path.abspath(".build/attack")
    root = "/dev/shm" if os.path.isdir("/dev/shm") else build
    work = os.path.join(root, f"ckpt-attack-{os.getpid()}")
    if not options.keep:
        shutil.rmtree(os.path.join(build, "findings"), ignore_errors=True)
    os.makedirs(os.path.join(build, "findings"), exist_ok=True)
    os.makedirs(work)
    os.chmod(work, 0o755)
    setup = {
        "ckpt": ckpt,
        "seed": options.seed,
        "work": work,
        "findings": os.path.join(build, "findings"),
        "saves": options.saves or 2000,
        "environment": {
            "PATH": os.environ["PATH"],
            "HOME": work,
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "TERM": "xterm",
            "SWIFT_BACKTRACE": "enable=no",
            "TMPDIR": work,
        },
    }
    os.environ["MALLOC_ARENA_MAX"] = "1"
    try:
        setup["seeds"] = seeds.make(setup, build)
        kinds = options.only or [kind for kind in KINDS if KINDS[kind]]
        if options.saves and "saves" not in kinds:
            kinds = (options.only or []) + ["saves"]
        jobs = []
        for kind in kinds:
            count = 1 if kind == "saves" else options.count or KINDS[kind]
            numbers = range(count) if options.number is None else [options.number]
            jobs += [(kind, number, setup) for number in numbers]
        results = []
        started = time.monotonic()
        with multiprocessing.Pool(options.jobs, maxtasksperchild=50) as pool:
            for result in pool.imap_unordered(run_one, jobs, chunksize=1):
                results.append(result)
                for column, text in result["findings"]:
                    print(f"{result['kind']}-{result['number']} {column}: {text[:900]}", file=sys.stderr, flush=True)
                if result["error"]:
                    print(result["error"], file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print_table(kinds, results)
    for note in sorted({note for result in results for note in result["notes"]}):
        print(f"\n{note}")
    wrong = sum(bool(result["findings"]) for result in results)
    print(
        f"\n{len(results)} attacks in {(time.monotonic() - started) / 60:.0f} minutes with --jobs {options.jobs}, "
        f"seed {options.seed}: {wrong} with findings" + (", kept in .build/attack/findings" if wrong else "")
    )
    return 1 if wrong else 0


def print_table(kinds, results):
    names = ["attacks", "refused", "accepted", "ended", *COLUMNS, "longest command", "most memory"]
    print("| kind | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
    for kind in [*kinds, "all"]:
        of_kind = [result for result in results if kind in (result["kind"], "all")]
        counts = [
            sum(result["verdict"] == verdict for result in of_kind) for verdict in ("refused", "accepted", "ended")
        ]
        columns = [
            sum(any(found == column for found, _ in result["findings"]) for result in of_kind) for column in COLUMNS
        ]
        row = [
            len(of_kind),
            *counts,
            *columns,
            f"{max((r['seconds'] for r in of_kind), default=0):.1f} s",
            f"{max((r['memory'] for r in of_kind), default=0) / 1e6:.0f} MB",
        ]
        print(f"| {kind} | " + " | ".join(f"{value:,}" if isinstance(value, int) else value for value in row) + " |")


if __name__ == "__main__":
    sys.exit(main())
