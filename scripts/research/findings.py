#!/usr/bin/env python3
"""Figures of the runs of scripts/research/findings, from answers of `ckpt eval` and metrics of `ckpt train-rl`.

Usage: scripts/research/findings.py COMMAND …
  collect PHASE NAME WARM-UP MIX STEPS FLAGS RUN ANSWERS   appends one line to results.jsonl
  gate ANSWERS                                             fails if a warm-up does not suit the task
  choose RECIPE                                            writes the best flags of each loss on dev

Needs Python's standard library only.
"""
import json
import math
import os
import sys

LEVELS = ["L1", "L3", "L4", "D4", "M4"]


def read_answers(path):
    """{condition: [row…]} in the order of the problems; condition is auto, think or short."""
    by_condition = {"auto": [], "think": [], "short": []}
    with open(path) as file:
        for line in file:
            row = json.loads(line)
            by_condition[row["forced"] or "auto"].append(row)
    for rows in by_condition.values():
        rows.sort(key=lambda row: row["index"])
    return by_condition


def is_right(row):
    return row["outcome"]["bare"] == "right"


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def reward(row):
    """1 for right and short, 0.5 for right and think, else -1."""
    return (1.0 if row["mode"] == "short" else 0.5) if is_right(row) else -1.0


def auc(scores, positive):
    """The probability that a positive scores higher than a negative; ties count half (Mann-Whitney U)."""
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    ranks = [0.0] * len(scores)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and scores[order[end + 1]] == scores[order[start]]:
            end += 1
        for place in range(start, end + 1):
            ranks[order[place]] = (start + end) / 2 + 1
        start = end + 1
    count = sum(positive)
    if count in (0, len(positive)):
        return float("nan")
    total = sum(rank for rank, is_positive in zip(ranks, positive) if is_positive)
    return (total - count * (count + 1) / 2) / (count * (len(positive) - count))


def summary(answers):
    """Figures by level, and unweighted over all levels."""
    out = {}
    for level in LEVELS + ["all"]:
        pick = {
            condition: [row for row in rows if level in ("all", row["level"])]
            for condition, rows in answers.items()
        }
        auto = pick["auto"]
        out[level] = {
            "problems": len(auto),
            "think_share": mean(row["mode"] == "think" for row in auto),
            "p_think": mean(row["p_think"] for row in auto),
            "reward": mean(map(reward, auto)),
            **{f"right_{name}": mean(map(is_right, rows)) for name, rows in pick.items()},
            **{f"tokens_{name}": mean(row["tokens"] for row in rows) for name, rows in pick.items()},
        }
    mixed = [row for row in answers["auto"] if row["level"] == "M4"]
    short = [row for row in answers["short"] if row["level"] == "M4"]
    out["auc_short_fails_M4"] = auc([row["p_think"] for row in mixed], [not is_right(row) for row in short])
    return out


def curve(path, window=10):
    """Means over `window` steps: the share of think by level, and metrics over all samples."""
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    points = []
    for start in range(0, len(rows), window):
        block = rows[start : start + window]
        point = {"step": block[-1]["step"]}
        for level in LEVELS:
            shares = [row[f"think_share_{level}"] for row in block if row.get(f"think_share_{level}") is not None]
            point[level] = round(mean(shares), 3) if shares else None
        for name in ("num_think", "num_short", "acc", "reward_mean", "alpha", "acc_think"):
            values = [row[name] for row in block if row.get(name) is not None]
            point[name] = round(mean(values), 4) if values else None
        points.append(point)
    return points


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value


def collect(phase, name, seed, mix, steps, flags, run, answers):
    metrics = os.path.join(run, "metrics.jsonl")
    row = {
        "phase": phase, "name": name, "warm_up": int(seed), "mix": mix, "steps": int(steps), "flags": flags,
        "digest": None, **rounded(summary(read_answers(answers))),
    }
    with open(answers) as file:
        row["digest"] = json.loads(file.readline())["digest"]
    if os.path.exists(metrics):
        with open(metrics) as file:
            row["seconds"] = round(sum(json.loads(line)["seconds_step"] for line in file), 1)
        row["curve"] = curve(metrics)
    with open("results.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")
    overall = row["all"]
    shares = " ".join(f"{level} {row[level]['think_share']:.2f}" for level in LEVELS)
    print(
        f"{name:10} {mix:9} {flags:50} think {shares}  reward {overall['reward']:+.3f}  "
        f"right {overall['right_auto']:.3f} (forced think {overall['right_think']:.3f})  "
        f"tokens {overall['tokens_auto']:.1f}  auc {row['auc_short_fails_M4'] or 0:.2f}",
        flush=True,
    )


def gate(path):
    """Thinking must be nearly always right; short right on the easy levels, in part on M4, and not on the hard ones."""
    figures = summary(read_answers(path))
    wanted = [("forced think", figures["all"]["right_think"], 0.95, 1)]
    for level, low, high in (("L1", 0.9, 1), ("D4", 0.9, 1), ("M4", 0.2, 0.8), ("L3", 0, 0.3), ("L4", 0, 0.3)):
        wanted.append((f"forced short on {level}", figures[level]["right_short"], low, high))
    for what, found, low, high in wanted:
        if not low <= found <= high:
            sys.exit(f"{path}: {what} is right in {found:.3f}, which is not in {low}...{high}; take another seed")


def choose(recipe):
    """Writes, for each loss, the flags with the highest reward on dev: mean over the mixes, levels equally weighted.

    Also writes the chosen DeGRPO with a control-token weight that is coupled to the length and has the same mean over
    the warm-up's own answers.
    """
    rewards, mixes, warm_up = {}, set(), None
    with open("results.jsonl") as file:
        for row in map(json.loads, file):
            if row["phase"] == "dev" and row["steps"] > 0:
                rewards.setdefault(row["flags"], {})[row["mix"]] = row["all"]["reward"]
                mixes.add(row["mix"])
                warm_up = row["warm_up"]
    complete = {flags: mean(of.values()) for flags, of in rewards.items() if set(of) == mixes}
    with open(recipe, "w") as file:
        for loss in ("degrpo", "grpo"):
            ranked = sorted((flags for flags in complete if flags.split()[1] == loss), key=complete.get, reverse=True)
            for flags in ranked:
                print(f"{complete[flags]:+.3f}  {flags}")
            file.write(f"{loss}\t{ranked[0]}\n")
            if loss == "degrpo":
                words = ranked[0].split()
                place = words.index("--alpha") + 1
                answers = read_answers(f"dev/w{warm_up}/answers-dev.jsonl")["auto"]
                words[place] = f"length={float(words[place]) / mean(1 / row['tokens'] for row in answers):.3g}"
                file.write(f"coupled\t{' '.join(words)}\n")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "choose":
        choose(sys.argv[2])
        sys.exit()
    if len(sys.argv) == 3 and sys.argv[1] == "gate":
        gate(sys.argv[2])
        sys.exit()
    if len(sys.argv) == 10 and sys.argv[1] == "collect":
        collect(*sys.argv[2:])
    else:
        sys.exit(__doc__)
