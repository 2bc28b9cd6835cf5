#!/usr/bin/env python3
"""Judges a warm-up on GSM8K pairs from the files of scripts/warm-up-smollm2: both modes must be likely over held-out
prompts, and forced modes must write in their form. Exits with 1 if anything falls short.

Usage: scripts/check/warm-up.py AUTO_HISTORY MEAN_HISTORY ANSWERS       (HISTORY: ckpt inspect STEP.h5 history/sft)

A long answer writes steps if it works something out (an equals sign with a number on either side) or has two sentences.
A short answer writes none if it is only the result: one line with at most 24 characters beside the box.
"""

import csv
import json
import re
import sys

failures = []


def check(name, holds, detail):
    print(f"{'ok  ' if holds else 'FAIL'} {name}: {detail}")
    if not holds:
        failures.append(name)


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def curve(name, path):
    with open(path, encoding="utf-8", newline="") as file:
        table = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file, delimiter="\t")]
    points = [row for row in table if row["p_think_mean"] >= 0]
    print(f"\nP(<think>) and P(<short>) over held-out problems, --init {name}")
    for row in points:
        print(f"  step {row['step']:4.0f}  {row['p_think_mean']:9.2e}  {row['p_short_mean']:9.2e}")
    return points[-1]


def writes_steps(text):
    working = text.removeprefix("<think>").split("</think>")[0]
    return bool(re.search(r"\d[^\n=]*=\s*\$?-?[\d.,]+", working)) or len(re.findall(r"[.!?](\s|$)", working)) >= 2


def is_bare(text):
    answer = text.removeprefix("<short>").strip()
    rest = re.sub(r"\\boxed\{[^{}]*\}", "", answer).strip()
    return "</think>" not in answer and "\n" not in answer and len(rest) <= 24 and "=" not in rest


last = curve("auto", sys.argv[1])
curve("mean", sys.argv[2])
print()
for mode in ("think", "short"):
    share = last[f"p_{mode}_mean"]
    check(f"P(<{mode}>) between 35 % and 65 %", 0.35 <= share <= 0.65, f"{100 * share:.1f} %")
answers = rows(sys.argv[3])
for mode, holds in (("think", writes_steps), ("short", is_bare)):
    texts = [row["completion"] for row in answers if row["forced"] == mode]
    good = [holds(text) for text in texts]
    share = sum(good) / max(1, len(good))
    wording = "writes steps" if mode == "think" else "writes none"
    check(f"forced {mode} {wording} in at least 98 %", share >= 0.98, f"{sum(good)} of {len(good)}")
    for text in [text for text, well in zip(texts, good) if not well][:3]:
        print(f"     {text!r}")
sys.exit(1 if failures else 0)
