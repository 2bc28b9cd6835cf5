"""Writes evaluation.json: answers to problems in three conditions, and what an evaluation should make of them.

    python make_evaluation.py

Written from the definitions, apart from the Swift code: pass@1 with an error clustered by problem, hybrid accuracy with
the better mode by mean reward over forced samples (short 1, think 1-gamma, wrong -1; ties and what is within the margin
go to short), the oracle that chooses on samples of one parity and is scored on the other, and accuracy by threshold.
Made with NumPy 2.4.6.
"""
import json
import pathlib

import numpy as np

generator = np.random.default_rng(9)
PROBLEMS, SAMPLES, GAMMA = 14, 8, 0.5
levels = [("easy", "hard")[index % 2] for index in range(PROBLEMS)]
p_think = np.round(np.where(np.arange(PROBLEMS) % 2, 0.7, 0.2) + generator.uniform(-0.2, 0.3, PROBLEMS), 6)
p_think[5] = p_think[3]
prompts = generator.integers(5, 40, PROBLEMS)
answers = {}
for condition in ("auto", "think", "short"):
    rows = []
    for problem in range(PROBLEMS):
        for sample in range(SAMPLES):
            mode = condition if condition != "auto" else ("think" if generator.random() < p_think[problem] else "short")
            chance = 0.9 if mode == "think" else (0.95, 0.2)[problem % 2]
            right = bool(generator.random() < chance)
            # A tie: thinking is always right (0.5), answering at once in six of eight (0.5).
            if problem == 0 and condition != "auto":
                right = condition == "think" or sample < 6
            tokens = int(generator.integers(20, 60)) if mode == "think" else int(generator.integers(3, 8))
            rows.append({"problem": problem, "sample": sample, "mode": mode, "right": right, "tokens": tokens})
    answers[condition] = rows


def clustered(rows, value):
    values = np.array([value(row) for row in rows], float)
    groups = np.array([row["problem"] for row in rows])
    mean = values.mean()
    sums = np.array([(values[groups == group] - mean).sum() for group in np.unique(groups)])
    count = len(sums)
    return [float(mean), float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(values))]


def reward(row):
    return (1 - GAMMA if row["mode"] == "think" else 1) if row["right"] else -1


def forced(mode, problem, samples=range(SAMPLES)):
    return [row for row in answers[mode] if row["problem"] == problem and row["sample"] in samples]


def better(problem, margin, samples=range(SAMPLES)):
    think, short = (np.mean([reward(row) for row in forced(mode, problem, samples)]) for mode in ("think", "short"))
    return "think" if think - short > margin else "short"


expected = {"pass_at_1": {}, "tokens": {}, "choice": [], "curve": []}
for condition, rows in answers.items():
    expected["pass_at_1"][condition] = clustered(rows, lambda row: row["right"])
    expected["tokens"][condition] = clustered(rows, lambda row: row["tokens"])
chosen = [row for row in answers["auto"] if row["mode"] == "think"]
expected["pass_at_1_where_thinking"] = clustered(chosen, lambda row: row["right"])
for margin in (0.0, 1.0):
    modes = [better(problem, margin) for problem in range(PROBLEMS)]
    scored = []
    for problem in range(PROBLEMS):
        for choose, score in ((range(0, SAMPLES, 2), range(1, SAMPLES, 2)), (range(1, SAMPLES, 2), range(0, SAMPLES, 2))):
            scored += forced(better(problem, margin, choose), problem, score)
    expected["choice"].append({
        "margin": margin, "better": modes, "hybrid": clustered(answers["auto"], lambda row: row["mode"] == modes[row["problem"]]),
        "oracle": clustered(scored, lambda row: row["right"]), "oracle_reward": clustered(scored, reward),
        "oracle_tokens": clustered(scored, lambda row: row["tokens"])[0],
        "oracle_think": clustered(scored, lambda row: row["mode"] == "think")[0],
    })
for threshold in [float(value) for value in sorted(set(p_think))] + [None]:
    thinks = [threshold is not None and p_think[problem] >= threshold for problem in range(PROBLEMS)]
    rows = [row for problem in range(PROBLEMS) for row in forced("think" if thinks[problem] else "short", problem)]
    expected["curve"].append({
        "threshold": threshold, "think": float(np.mean(thinks)), "accuracy": clustered(rows, lambda row: row["right"]),
        "tokens": clustered(rows, lambda row: row["tokens"])[0],
        "prompt_and_response": clustered(rows, lambda row: row["tokens"] + prompts[row["problem"]])[0],
    })
path = pathlib.Path(__file__).with_name("evaluation.json")
content = {
    "levels": levels, "p_think": p_think.tolist(), "prompts": prompts.tolist(), "samples": SAMPLES, "answers": {
        condition: [[row["problem"], row["sample"], row["mode"], row["right"], row["tokens"]] for row in rows]
        for condition, rows in answers.items()
    }, "expected": expected,
}
path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
