#!/usr/bin/env python3
"""Tables (Markdown, to stdout) and figures (SVG) of the runs of scripts/rl-smollm2, from answers of `ckpt eval`.

Usage: scripts/research/story_report.py gate ANSWERS LEAST    fails if a warm-up does not suit the task
       scripts/research/story_report.py report ANSWERS OUT
       scripts/research/story_report.py gsm8k ROWS OUT        writes the rows whose solution has one or two steps

ANSWERS is the folder with NAME-test.jsonl and NAME-unseen.jsonl; for gate, a file with answers in all modes, of which
the share LEAST must be right. Needs Python's standard library only.
"""
import json
import os
import re
import sys
from pathlib import Path

from findings import auc, mean, read_answers
from findings_report import COLORS, Figure, interval, percent, stratified, table

LEVELS = ["easy", "two-twin", "three-twin", "two", "three"]
NEEDLESS = ("easy", "two-twin", "three-twin")
EQUAL = {level: 1 for level in LEVELS}
# A mix in which most questions need no thinking.
EASY_HEAVY = {"easy": 3, "two-twin": 2, "three-twin": 2, "two": 2, "three": 1}


def restrict(answers):
    """Leaves the levels that were asked."""
    LEVELS[:] = [level for level in LEVELS if level in answers.levels]
    for weights in (EQUAL, EASY_HEAVY):
        for level in set(weights).difference(LEVELS):
            del weights[level]


def right(row):
    return row["outcome"]["boxed"] == "right"


def thinks(row):
    return row["mode"] == "think"


def paid(row):
    return (1.0 if row["mode"] == "short" else 0.5) if right(row) else -1.0


class Answers:
    """The answers of one model to one set of problems, in the modes that were asked."""

    def __init__(self, path):
        found = read_answers(path)
        # Modes whose evaluation did not end are left out.
        longest = max(map(len, found.values()))
        self.modes = {mode: rows for mode, rows in found.items() if len(rows) == longest}
        self.levels = [row["level"] for row in next(iter(self.modes.values()))]

    def __getitem__(self, mode):
        return self.modes[mode]

    def average(self, values, weights=EQUAL):
        return stratified([float(value) for value in values], self.levels, weights)

    def cells(self, rows, shares=True):
        """Accuracy and, in brackets, the share of think by level; then accuracy, share and tokens over all levels."""
        out = []
        for level in LEVELS:
            part = [row for row in rows if row["level"] == level]
            share = f" ({100 * mean(map(thinks, part)):.0f})" if shares else ""
            out.append(f"{100 * mean(map(right, part)):.1f}{share}")
        accuracy, error = self.average(map(right, rows))
        out.append(f"{100 * accuracy:.1f} ± {196 * error:.1f}")
        out.append(percent(self.average(map(thinks, rows))[0]))
        out.append(f"{self.average([row['tokens'] for row in rows])[0]:.1f}")
        return out


def level_table(models, warm, title):
    print(f"### {title}\n")
    rows = [["warm-up, forced think", *warm.cells(warm["think"], False)],
            ["warm-up, forced short", *warm.cells(warm["short"], False)],
            ["warm-up, choosing", *warm.cells(warm["auto"])]]
    for name, answers in models:
        rows.append([name, *answers.cells(answers["auto"])])
        if "think" in answers.modes:
            rows.append([f"{name}, forced think", *answers.cells(answers["think"], False)])
    table(["right, % (think, %)", *LEVELS, "all ± 95 %", "think", "tokens"], rows)


def against_always(models, warm, weights, title):
    """Each model against the warm-up that always thinks, problem by problem."""
    print(f"### Against always thinking, {title}\n")
    rows, always = [], warm["think"]
    for name, answers in models:
        auto = answers["auto"]
        tokens = answers.average([row["tokens"] for row in auto], weights)[0]
        before = answers.average([row["tokens"] for row in always], weights)[0]
        gain = answers.average([right(a) - right(b) for a, b in zip(auto, always)], weights)
        forced = "–"
        if "think" in answers.modes:
            forced = interval(answers.average([right(a) - right(b) for a, b in zip(answers["think"], always)], weights))
        rows.append([name, f"−{100 * (1 - answers.average(map(thinks, auto), weights)[0]):.0f} %",
                     f"−{100 * (1 - tokens / before):.0f} %", interval(gain), forced])
    table(["model", "think", "tokens", "accuracy, points [95 %]", "forced think after RL, points [95 %]"], rows)


def within_levels(models, warm, title, probe):
    """How well P(<think>) predicts, within a level, that the warm-up's short answer fails."""
    print(f"### {title}\n")
    scored = [(name, [row["p_think"] for row in answers["auto"]]) for name, answers in [("warm-up", warm), *models]]
    if probe:
        scored.append(("linear probe on the warm-up's hidden state", probe))
    fails = [not right(row) for row in warm["short"]]
    rows = []
    for name, scores in scored:
        cells = []
        for level in LEVELS:
            part = [index for index, other in enumerate(warm.levels) if other == level]
            share = mean(fails[index] for index in part)
            value = auc([scores[index] for index in part], [fails[index] for index in part])
            cells.append("–" if min(share, 1 - share) < 0.02 else f"{value:.2f}")
        rows.append([name, *cells, f"{auc(scores, fails):.2f}"])
    table(["AUC", *LEVELS, "all"], rows)


# MARK: - Other rules of choice, applied to the warm-up's forced answers


def ruled(warm, choice):
    """The answers of the warm-up in the mode that `choice[i]` says: True is think."""
    return [t if thinking else s for t, s, thinking in zip(warm["think"], warm["short"], choice)]


def highest(scores, share):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    chosen = set(order[: round(share * len(scores))])
    return [index in chosen for index in range(len(scores))]


def best_threshold(dev, scores):
    """The score from which on thinking pays most, by reward on dev; infinite if it never pays."""

    def reward(least):
        return mean(map(paid, ruled(dev, [score >= least for score in scores])))

    return max(sorted(set(scores)) + [float("inf")], key=reward)


def rivals(models, extra, warm, dev, probe):
    print("### Who chooses (levels equally weighted)\n")
    count = len(warm["think"])
    share = mean(mean(map(thinks, answers["auto"])) for name, answers in models if name.startswith("DeGRPO"))
    least = best_threshold(dev, [row["prompt_tokens"] for row in dev["think"]])
    rules = [
        ("always think", [True] * count), ("always short", [False] * count),
        ("threshold on the warm-up's P(think), the share of DeGRPO",
         highest([row["p_think"] for row in warm["auto"]], share)),
        ("router on length (" + (f"think from {least} prompt tokens on)" if least < float("inf") else "never think)"),
         [row["prompt_tokens"] >= least for row in warm["think"]]),
    ]
    if probe:
        fails = best_threshold(dev, probe["dev"])
        rules.append(("linear probe fitted to where short answers fail", [score >= fails for score in probe["test"]]))
    rows, points = [], {}
    for label, choice in rules:
        picked = ruled(warm, choice)
        rows.append((label, mean(choice), mean(row["tokens"] for row in picked), mean(map(right, picked)),
                     mean(map(paid, picked))))
    chance = [share * a + (1 - share) * b for a, b in zip(rows[0][1:], rows[1][1:])]
    rows.insert(2, ("by chance, the share of DeGRPO", *chance))
    for name, answers in [*extra, *models]:
        auto = answers["auto"]
        rows.append((name, mean(map(thinks, auto)), mean(row["tokens"] for row in auto), mean(map(right, auto)),
                     mean(map(paid, auto))))
    for label, _, tokens, accuracy, _ in rows:
        points[label] = (tokens, accuracy)
    table(["who chooses", "think", "tokens", "accuracy", "reward"],
          [[label, percent(a), f"{b:.1f}", percent(c, 1), f"{d:+.3f}"] for label, a, b, c, d in rows])
    curve = [(mean(r["tokens"] for r in part), mean(map(right, part))) for part in (
        ruled(warm, highest([row["p_think"] for row in warm["auto"]], step / 20)) for step in range(21))]
    return points, curve


# Names in the figure, and whether they stand left of their points.
SHORT_NAMES = {
    "router on length": ("router on length", True), "linear probe": ("linear probe", True),
    "linear router": ("linear router, RL", True), "merge": ("merge", False)}


def draw(points, curve, path):
    """Accuracy against tokens: the trained models, and the warm-up under other rules of choice."""
    figure = Figure(620, 380, "Accuracy against tokens of SmolLM2-135M: trained models, and other rules of choice")
    left, top, width, height = 60, 36, 530, 270
    most = 10 * (int(max(tokens for tokens, _ in points.values())) // 10 + 1)
    low = int(10 * min(accuracy for _, accuracy in points.values())) / 10

    def at(tokens, accuracy):
        return left + width * tokens / most, top + height * (accuracy - low) / (1 - low) * -1 + height

    ticks = [low + 0.1 * step for step in range(int(round((1 - low) / 0.1)) + 1)]
    figure.axes(left, top, width, height, [((v - low) / (1 - low), v) for v in ticks], lambda v: f"{100 * v:.0f} %")
    for tokens in range(0, most + 1, 10):
        figure.text(at(tokens, low)[0], top + height + 16, str(tokens), size=11, color="#555555")
    figure.text(left + width / 2, top + height + 34, "tokens of an answer (mean over levels)")
    figure.text(left, 20, "accuracy on the test", "start")
    figure.line([at(*points["always short"]), at(*points["always think"])], COLORS["warm"], 1, "2 4")
    figure.line([at(*point) for point in curve], "#e9a03b", 1.4)
    names = {"always think": "always think", "always short": "never think"}
    for label, point in points.items():
        if label.startswith(("DeGRPO", "GRPO")):
            loss = "grpo" if label.startswith("GRPO") else "degrpo"
            figure.dot(*at(*point), COLORS[loss], 5.5, hollow=loss == "grpo")
        elif label in names:
            figure.dot(*at(*point), COLORS["warm"], 4)
            figure.text(at(*point)[0], at(*point)[1] + 18, names[label], "middle", 11)
        elif not label.startswith(("by chance", "threshold")):
            figure.dot(*at(*point), "#7b2d8b", 4)
            name, on_left = next(short for start, short in SHORT_NAMES.items() if label.startswith(start))
            x, y = at(*point)
            figure.text(x + (-8 if on_left else 8), y - 6, name, "end" if on_left else "start", 11)
    y, x = 366, 66
    for loss, name in (("degrpo", "DeGRPO"), ("grpo", "GRPO")):
        if any(label.startswith(name) for label in points):
            figure.dot(x, y - 4, COLORS[loss], 5, loss == "grpo")
            figure.text(x + 10, y, name, "start", 11)
            x += 74
    figure.line([(x, y - 4), (x + 20, y - 4)], COLORS["warm"], 1, "2 4")
    figure.text(x + 26, y, "by chance", "start", 11)
    figure.line([(x + 100, y - 4), (x + 122, y - 4)], "#e9a03b", 1.4)
    figure.text(x + 128, y, "threshold on the warm-up's P(think)", "start", 11)
    figure.write(path)


# MARK: - Commands


def gate(path, least):
    """Both modes must work where they can, or RL would show nothing."""
    answers = Answers(path)
    restrict(answers)
    for mode, levels in (("think", LEVELS), ("short", NEEDLESS)):
        for level in (level for level in levels if level in LEVELS):
            found = mean(right(row) for row in answers[mode] if row["level"] == level)
            if found < least:
                sys.exit(f"{path}: forced {mode} is right in {100 * found:.0f} % of {level}, below {100 * least:.0f} %")


def trained(folder, data):
    models = []
    for loss, name in (("degrpo", "DeGRPO"), ("grpo", "GRPO")):
        for path in sorted(folder.glob(f"{loss}-*-{data}.jsonl")):
            models.append((f"{name}, seed {path.name.split('-')[1]}", Answers(path)))
    return models


def control_weights(folder, dev):
    """What the weight of the control token does, on dev."""
    runs = [("α = 0.001, the paper's", "alpha-paper"), ("α = auto=5, the default", "alpha-default")]
    runs += [(f"α = auto=10, chosen, seed {seed}", f"degrpo-{seed}") for seed in range(3)]
    runs += [(f"GRPO, seed {seed}", f"grpo-{seed}") for seed in range(3)]
    found = [(name, folder / f"{stem}-dev.jsonl") for name, stem in runs if (folder / f"{stem}-dev.jsonl").exists()]
    if not found:
        return
    print("### The weight of the control token, on dev\n")
    rows = [["warm-up, choosing", *dev.cells(dev["auto"])]]
    rows += [[name, *Answers(path).cells(Answers(path)["auto"])] for name, path in found]
    table(["right, % (think, %)", *LEVELS, "all ± 95 %", "think", "tokens"], rows)


def report(folder, out):
    warm, dev, models = Answers(folder / "warm-test.jsonl"), Answers(folder / "warm-dev.jsonl"), trained(folder, "test")
    restrict(warm)
    level_table(models, warm, "The test, by level")
    heavy = "levels weighted " + ", ".join(str(EASY_HEAVY[level]) for level in LEVELS)
    for weights, title in ((EQUAL, "levels equally weighted"), (EASY_HEAVY, heavy)):
        against_always(models, warm, weights, title)
    extra = [(label, Answers(folder / f"{name}-test.jsonl")) for name, label in (
        ("probe-0", "linear router on the warm-up's hidden state"), ("merged", "merge of think-only and short-only"))
        if (folder / f"{name}-test.jsonl").exists()]
    fitted = folder / "linear-probe.json"
    probe = json.loads(fitted.read_text()) if fitted.exists() else None
    points, curve = rivals(models, extra, warm, dev, probe)
    prediction = "P(think) as a prediction that the warm-up's short answer fails"
    within_levels(models, warm, prediction, probe and probe["test"])
    control_weights(folder, dev)
    unseen, models = Answers(folder / "warm-unseen.jsonl"), trained(folder, "unseen")
    level_table(models, unseen, "Kinds of story that training never had")
    against_always(models, unseen, EQUAL, "unseen kinds of story, levels equally weighted")
    within_levels(models, unseen, "The same prediction on unseen kinds of story", probe and probe["unseen"])
    outside = sorted(folder.glob("*-gsm8k.jsonl"))
    if outside:
        print("### GSM8K, rows of one and two steps\n")
        rows = []
        for path in outside:
            auto = Answers(path)["auto"]
            rows.append([path.name.removesuffix("-gsm8k.jsonl"), str(len(auto)), percent(mean(map(right, auto)), 1),
                         percent(mean(map(thinks, auto)))])
        table(["model", "problems", "right", "think"], rows)
    os.makedirs(out, exist_ok=True)
    draw(points, curve, os.path.join(out, "tradeoff.svg"))


def gsm8k(source, out):
    with open(source) as rows, open(out, "w") as chosen:
        for line in rows:
            row = json.loads(line)
            steps = len(re.findall(r"<<.*?>>", row["answer"]))
            if steps in (1, 2):
                chosen.write(json.dumps(row | {"level": f"steps-{steps}"}) + "\n")


if __name__ == "__main__":
    arguments = [Path(text) for text in sys.argv[2:]]
    if sys.argv[1:2] == ["gate"] and len(arguments) == 2:
        gate(arguments[0], float(sys.argv[3]))
    elif sys.argv[1:2] == ["report"] and len(arguments) == 2:
        report(*arguments)
    elif sys.argv[1:2] == ["gsm8k"] and len(arguments) == 2:
        gsm8k(*arguments)
    else:
        sys.exit(__doc__)
