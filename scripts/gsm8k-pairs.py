#!/usr/bin/env python3
"""Turns GSM8K rows into pairs for `ckpt train-sft`: the worked solution is the long answer, the bare result the short
one, and both end in the same form, \\boxed{result}. Calculator annotations (<<48/2=24>>) are taken out.

Usage: gsm8k-pairs.py rows.jsonl > pairs.jsonl
"""

import json
import re
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as rows:
        for number, line in enumerate(rows, start=1):
            row = json.loads(line)
            working, mark, result = row["answer"].rpartition("####")
            if not mark:
                sys.exit(f"{sys.argv[1]}, line {number}: the answer has no ####")
            result = result.strip().replace(",", "")
            working = re.sub(r"<<[^>]*>>", "", working).strip()
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
