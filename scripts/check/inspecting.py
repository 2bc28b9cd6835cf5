#!/usr/bin/env python3
"""Runs every command of docs/inspecting.md as printed and compares the numbers with ckpt's; exits with 1 on failure.

Usage: scripts/check/inspecting.py [FOLDER]      (default: .build/quickstart, which scripts/quickstart makes)

Needs h5ls, h5dump and h5diff, the built ckpt, and h5py, hdf5plugin, pandas and matplotlib; tested with h5py 3.16.0,
hdf5plugin 7.1.0, pandas 3.1.1, matplotlib 3.11.2.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
failures = []


def check(name, holds, detail=""):
    print(f"{'ok  ' if holds else 'FAIL'} {name}{': ' if detail else ''}{detail}")
    if not holds:
        failures.append(name)


page = (root / "docs" / "inspecting.md").read_text()
os.chdir(sys.argv[1] if len(sys.argv) > 1 else root / ".build" / "quickstart")
# What a shell sets after cd.
os.environ["PWD"] = os.getcwd()
names = {}
for language, block in re.findall(r"```(sh|python)\n(.*?)```", page, re.S):
    if language == "python":
        exec(block, names)
        continue
    for line in block.splitlines():
        if line.startswith("export "):
            name, value = line.removeprefix("export ").split("=")
            os.environ[name] = os.path.expandvars(value)
            continue
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        allowed = (0, 1) if line.startswith("h5diff") else (0,)
        holds = done.returncode in allowed and "error" not in done.stderr
        # Without the filter h5dump prints no numbers, but still exits with 0.
        if line.startswith("h5dump -d /weights"):
            holds = holds and "(0,0): " in done.stdout
        check(line, holds, f"exit {done.returncode}")

files = ["sft/step-001000.h5", "rl/step-000220.h5"]
run = subprocess.run([root / ".build/release/ckpt", "diff", *files, "--json"], capture_output=True, text=True)
report = json.loads(run.stdout)
own = {t["name"]: t.get("statistics") for t in report["tensors"] if t["status"] == "changed"}
theirs = {name.replace("/", "."): row for name, row in names["weights"].iterrows()}
check("the same tensors changed", own.keys() == theirs.keys(), f"{len(own)}")
for key, column, tolerance in [
    ("relative_change", "moved", 1e-6), ("cosine", "cosine", 1e-6), ("max_difference", "max", 1e-6), ("identical", "equal", 1e-9)
]:
    worst = max(abs(own[name][key] - theirs[name][column]) for name in own)
    check(f"{key} equals numpy's", worst < tolerance, f"differs by at most {worst:.1e}")
check("sign_flips equal numpy's", all(own[name]["sign_flips"] == theirs[name]["flips"] for name in own))
curve = json.loads(
    subprocess.run([root / ".build/release/ckpt", "diff", "rl", "--json"], capture_output=True, text=True).stdout
)
if curve["turn"]:
    check("where the curve turns", abs(curve["turn"]["step"] - names["turn"]) <= 2, f"step {curve['turn']['step']}")
changed = curve["preference"]["p_think"][-1]
check("mean P(<think>)", abs(changed - names["probe"][names["last"]].mean()) < 1e-9, f"{changed:.4f}")
for picture in ["share.png", "histogram.png"]:
    check(picture, os.path.getsize(picture) > 2000)
sys.exit(1 if failures else 0)
