#!/usr/bin/env python3
"""Prints the levels on which 20 to 80 % of the answers are right, separated by |; the shares go to standard error.

Usage: scripts/research/word-levels.py ANSWERS.jsonl        (ckpt eval --answers)
"""

import collections
import json
import sys

right = collections.defaultdict(list)
with open(sys.argv[1], encoding="utf-8") as file:
    for row in map(json.loads, file):
        right[row["level"]].append(row["outcome"]["boxed"] == "right")
for level, answers in sorted(right.items()):
    print(f"{level}: {sum(answers)} of {len(answers)} right", file=sys.stderr)
print("|".join(level for level, answers in sorted(right.items()) if 0.2 <= sum(answers) / len(answers) <= 0.8))
