#!/usr/bin/env python3
"""Turns GSM8K rows into pairs for `ckpt train-sft`.

The worked solution becomes the long answer, the bare result the short one; both end in \\boxed{result}. Calculator
annotations (<<48/2=24>>) are removed.

Usage: scripts/research/gsm8k-pairs.py rows.jsonl [--count N] [--characters N] [--calculations] > pairs.jsonl

--count stops after N pairs. --characters skips pairs whose problem and working have more than N characters together.
--calculations skips pairs whose working has a line without an equals sign.
"""

import argparse
import json
import math
import re
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("--count", type=int, default=math.inf)
    parser.add_argument("--characters", type=int, default=math.inf)
    parser.add_argument("--calculations", action="store_true")
    options = parser.parse_args()
    written = 0
    with open(options.rows, encoding="utf-8") as rows:
        for number, line in enumerate(rows, start=1):
            row = json.loads(line)
            working, mark, result = row["answer"].rpartition("####")
            if not mark:
                sys.exit(f"{options.rows}, line {number}: the answer has no ####")
            result = result.strip().replace(",", "")
            working = re.sub(r"<<[^>]*>>", "", working).strip()
            if len(row["question"]) + len(working) > options.characters:
                continue
            if options.calculations and not all("=" in line for line in working.split("\n")):
                continue
            if written == options.count:
                break
            written += 1
            boxed = f"\\boxed{{{result}}}"
            pair = {
                "id": str(number),
                "problem": row["question"],
                "think": f"{working}\n</think>\n{boxed}",
                "short": boxed,
                "answer": result,
            }
            print(json.dumps(pair, ensure_ascii=False))


if __name__ == "__main__":
    main()
