"""Writes sampled_accuracy.json: answers of several samples per problem, and their pass@k and maj@k.

    python make_sampled_accuracy.py

Written from the definitions, apart from the Swift code: pass@k is the share of all subsets of k samples that have a
right one, by enumeration; maj@k counts the values of answers as fractions, whatever their spelling, and gives a tie its
share of right winners. Truncated and malformed samples have no vote. Errors are those of the mean over problems.
Made with NumPy 2.4.6.
"""
import collections
import fractions
import itertools
import json
import pathlib

import numpy as np

generator = np.random.default_rng(27)
PROBLEMS, SAMPLES = 16, 6
SPELLINGS = {
    fractions.Fraction(1, 2): ["1/2", "0.5", "\\frac{1}{2}", ".50"], fractions.Fraction(3): ["3", "3.0", "$3$"],
    fractions.Fraction(-7): ["-7", "-7.00"], fractions.Fraction(2500): ["2500", "2,500"],
}
values = list(SPELLINGS)
problems = []
for problem in range(PROBLEMS):
    truth = values[problem % len(values)]
    samples = []
    for _ in range(SAMPLES):
        kind = generator.choice(["right", "wrong", "truncated", "malformed"], p=[0.35, 0.45, 0.1, 0.1])
        others = [value for value in values if value != truth][: 1 + problem % 3]
        value = truth if kind == "right" else others[generator.integers(len(others))]
        samples.append([str(kind), str(generator.choice(SPELLINGS[value])) if kind != "malformed" else None])
    problems.append({"truth": SPELLINGS[truth][0], "samples": samples})


def value_of(text):
    return next(value for value, texts in SPELLINGS.items() if text in texts)


def pass_at(k, samples):
    subsets = list(itertools.combinations(samples, k))
    return sum(any(kind == "right" for kind, _ in subset) for subset in subsets) / len(subsets)


def majority(problem):
    votes = collections.Counter(value_of(text) for kind, text in problem["samples"] if kind in ("right", "wrong"))
    winners = [value for value, count in votes.items() if count == max(votes.values())]
    return winners.count(value_of(problem["truth"])) / len(winners) if winners else 0.0


def mean(shares):
    return [float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(len(shares)))]


expected = {f"pass_at_{k}": mean([pass_at(k, problem["samples"]) for problem in problems]) for k in (2, 4, SAMPLES)}
expected[f"majority_at_{SAMPLES}"] = mean([majority(problem) for problem in problems])
expected["majority_by_problem"] = [majority(problem) for problem in problems]
path = pathlib.Path(__file__).with_name("sampled_accuracy.json")
path.write_text(json.dumps({"samples": SAMPLES, "problems": problems, "expected": expected}, indent=1) + "\n")
