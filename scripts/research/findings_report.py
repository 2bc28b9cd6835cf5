#!/usr/bin/env python3
"""Makes the tables (Markdown, to stdout) and figures (SVG, to OUT) of docs/results.md.

Usage: scripts/research/findings_report.py FOLDER OUT
       scripts/research/findings_report.py --compare MADE COMMITTED

FOLDER holds the runs of scripts/research/findings. --compare takes two files of results and prints which runs have the
same weights and how far the others are apart. Needs Python's standard library only.
"""
import json
import math
import os
import sys

from findings import LEVELS, is_right, mean, read_answers, reward, rounded

MIXES = ["easy", "balanced", "hard"]
# Shares of the levels in the mix called balanced.
WEIGHTS = {"L1": 12, "L3": 3, "L4": 5, "D4": 12, "M4": 5}
EQUAL = {level: 1 for level in LEVELS}
ORDER = ["L1", "D4", "M4", "L3", "L4"]
COLORS = {"degrpo": "#1b6ca8", "grpo": "#d1495b", "warm": "#666666"}


def read_results(folder):
    """The last line of each run in the results."""
    rows = {}
    with open(os.path.join(folder, "results.jsonl")) as file:
        for line in file:
            row = json.loads(line)
            rows[row["phase"], row["name"]] = row
    return rows


def stratified(values, levels, weights):
    """The weighted mean over levels and its standard error, with problems drawn within each level."""
    total = sum(weights.values())
    centre = variance = 0.0
    for level, weight in weights.items():
        part = [value for value, its in zip(values, levels) if its == level]
        if not part:
            continue
        average = mean(part)
        centre += weight / total * average
        spread = sum((value - average) ** 2 for value in part) / max(1, len(part) - 1)
        variance += (weight / total) ** 2 * spread / len(part)
    return centre, math.sqrt(variance)


def interval(pair, scale=100, digits=1):
    """Mean and 95 % interval. With thousands of problems, Student's t is 1.96."""
    centre, error = pair
    low, high = (scale * (centre + sign * 1.96 * error) for sign in (-1, 1))
    return f"{scale * centre:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


class Comparison:
    """One trained model compared with its always-thinking warm-up, problem by problem."""

    def __init__(self, answers, warm, weights):
        auto, always = answers["auto"], warm["think"]
        if [row["id"] for row in auto] != [row["id"] for row in always]:
            raise SystemExit("the two evaluations have different problems")
        levels = [row["level"] for row in auto]

        def average(values):
            return stratified(values, levels, weights)

        self.think = average([float(row["mode"] == "think") for row in auto])[0]
        tokens = average([row["tokens"] for row in auto])[0]
        self.tokens = tokens
        self.token_cut = 1 - tokens / average([row["tokens"] for row in always])[0]
        self.right = average([float(is_right(row)) for row in auto])[0]
        self.gain = average([is_right(a) - is_right(b) for a, b in zip(auto, always)])
        self.forced = average([is_right(a) - is_right(b) for a, b in zip(answers["think"], always)])
        self.reward = average([reward(row) for row in auto])[0]


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def percent(value, digits=0):
    return f"{100 * value:.{digits}f} %"


# MARK: - Figures


class Figure:
    """An SVG drawing of `width` × `height`."""

    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="sans-serif" font-size="12" role="img" aria-label="{title}">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        ]

    def text(self, x, y, words, anchor="middle", size=12, color="#222222", weight="normal"):
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}" '
            f'font-weight="{weight}">{words}</text>'
        )

    def line(self, points, color, width=1.0, dash="", opacity=1.0):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}" '
            f'stroke-opacity="{opacity}"{dashes}/>'
        )

    def dot(self, x, y, color, radius=4.0, hollow=False):
        fill = "#ffffff" if hollow else color
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{color}" stroke-width="1.5" '
            f'fill-opacity="0.85"/>'
        )

    def axes(self, left, top, width, height, ticks, form):
        """A frame with horizontal lines at `ticks`: pairs of position (0 at the bottom, 1 at the top) and value."""
        for place, value in ticks:
            y = top + height * (1 - place)
            self.line([(left, y), (left + width, y)], "#dddddd")
            self.text(left - 6, y + 4, form(value), "end", 11, "#555555")
        self.line([(left, top), (left, top + height), (left + width, top + height)], "#555555")

    def write(self, path):
        with open(path, "w") as file:
            file.write("\n".join(self.parts + ["</svg>"]) + "\n")


FIFTHS = [(value / 4, value / 4) for value in range(5)]


def draw_levels(rows, path):
    """The share of think by level: one panel per mix, one dot per warm-up."""
    figure = Figure(860, 300, "Share of answers that think, by level, loss and mix")
    for panel, mix in enumerate(MIXES):
        left, top, width, height = 52 + panel * 272, 44, 236, 200
        figure.axes(left, top, width, height, FIFTHS, lambda value: f"{100 * value:.0f} %" if panel == 0 else "")
        figure.text(left + width / 2, 20, f"{mix} mix", weight="bold")
        for place, level in enumerate(ORDER):
            x = left + width * (place + 0.5) / len(ORDER)
            figure.text(x, top + height + 18, level)
            for shift, loss in ((-9, "degrpo"), (9, "grpo")):
                runs = [row for row in rows if row["mix"] == mix and f"--loss {loss} " in row["flags"] + " "]
                for offset, row in enumerate(sorted(runs, key=lambda row: row["warm_up"])):
                    y = top + height * (1 - row[level]["think_share"])
                    figure.dot(x + shift + 4 * (offset - 1), y, COLORS[loss], hollow=loss == "grpo")
    figure.dot(56, 284, COLORS["degrpo"])
    figure.text(66, 288, "DeGRPO", "start")
    figure.dot(136, 284, COLORS["grpo"], hollow=True)
    figure.text(146, 288, "GRPO. A dot is one warm-up and its RL run. Prompts of L1 and L3 are equally long, and "
                "those of D4, M4 and L4.", "start")
    figure.write(path)


LEVEL_COLORS = {"L1": "#2a9d8f", "D4": "#8ab17d", "M4": "#e9a03b", "L3": "#c8553d", "L4": "#7b2d8b"}


def draw_curves(rows, path):
    """The share of think over steps: one row per loss, one panel per mix, one line per level and warm-up."""
    figure = Figure(860, 480, "Share of think among rollouts over steps")
    for line, loss in enumerate(("degrpo", "grpo")):
        for panel, mix in enumerate(MIXES):
            left, top, width, height = 52 + panel * 272, 30 + line * 220, 236, 168
            figure.axes(left, top, width, height, FIFTHS, lambda value: f"{100 * value:.0f} %" if panel == 0 else "")
            name = {"degrpo": "DeGRPO", "grpo": "GRPO"}[loss]
            figure.text(left + width / 2, top - 10, f"{name}, {mix} mix", weight="bold")
            runs = [row for row in rows if row["mix"] == mix and f"--loss {loss} " in row["flags"] + " "]
            for row in runs:
                last = row["curve"][-1]["step"]
                for level in LEVELS:
                    points = [
                        (left + width * point["step"] / last, top + height * (1 - point[level]))
                        for point in row["curve"] if point[level] is not None
                    ]
                    figure.line(points, LEVEL_COLORS[level], 1.2, opacity=0.75)
            if line == 1 and runs:
                figure.text(left, top + height + 16, "0", size=11, color="#555555")
                figure.text(left + width, top + height + 16, f"{last} steps", "end", 11, "#555555")
    for place, level in enumerate(ORDER):
        x = 60 + place * 70
        figure.line([(x, 466), (x + 22, 466)], LEVEL_COLORS[level], 3)
        figure.text(x + 28, 470, level, "start")
    figure.text(430, 470, "a line is one run: means of 10 steps, of sampled answers", "start")
    figure.write(path)


def draw_tradeoff(path, warm, trained, title):
    """Accuracy against tokens, unweighted: the trained models, and the warm-up under other rules of choice."""
    figure = Figure(620, 380, title)
    left, top, width, height = 60, 36, 530, 270
    low_tokens, high_tokens = 0.0, 38.0
    low, high = 0.45, 1.0

    def at(tokens, right):
        return (
            left + width * (tokens - low_tokens) / (high_tokens - low_tokens),
            top + height * (1 - (right - low) / (high - low)),
        )

    figure.axes(left, top, width, height, [((v - low) / (high - low), v) for v in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)],
                lambda value: f"{100 * value:.0f} %")
    for tokens in range(0, 37, 6):
        figure.text(at(tokens, low)[0], top + height + 16, str(tokens), size=11, color="#555555")
    figure.text(left + width / 2, top + height + 34, "tokens of an answer (mean over levels)")
    figure.text(left, 20, "accuracy on the test", "start")
    for answers in warm:
        think, short = answers["think"], answers["short"]
        ends = [(mean(r["tokens"] for r in part), mean(map(is_right, part))) for part in (short, think)]
        figure.line([at(*end) for end in ends], COLORS["warm"], 1, "2 4")
        figure.line([at(*point) for point in threshold_curve(answers)], "#e9a03b", 1.4)
        for end in ends:
            figure.dot(*at(*end), COLORS["warm"], 4)
        if answers is warm[0]:
            figure.text(at(*ends[0])[0] + 12, at(*ends[0])[1] + 14, "never think", "start", 11)
            figure.text(at(*ends[1])[0] + 8, at(*ends[1])[1] + 18, "always", "middle", 11)
    for loss, points in trained.items():
        for point in points:
            figure.dot(*at(*point), COLORS[loss], 5.5, hollow=loss == "grpo")
    y = 366
    figure.dot(66, y - 4, COLORS["degrpo"], 5)
    figure.text(76, y, "DeGRPO, balanced mix", "start", 11)
    figure.dot(222, y - 4, COLORS["grpo"], 5, True)
    figure.text(232, y, "GRPO, the same", "start", 11)
    figure.line([(334, y - 4), (354, y - 4)], COLORS["warm"], 1, "2 4")
    figure.text(360, y, "by chance", "start", 11)
    figure.line([(424, y - 4), (446, y - 4)], "#e9a03b", 1.4)
    figure.text(452, y, "threshold on warm-up's P", "start", 11)
    figure.write(path)


# MARK: - Rules of choice, applied to the warm-up's two forced answers to each problem


def ruled(answers, thinks):
    """(tokens, accuracy, reward, share of think) if `thinks[i]` decides problem i."""
    picked = [t if thinking else s for t, s, thinking in zip(answers["think"], answers["short"], thinks)]
    return (mean(r["tokens"] for r in picked), mean(map(is_right, picked)), mean(map(reward, picked)), mean(thinks))


def threshold_rule(answers, share):
    """Thinks on the `share` of problems with the highest P(<think>)."""
    rows = answers["think"]
    order = sorted(range(len(rows)), key=lambda i: -rows[i]["p_think"])
    chosen = set(order[: round(share * len(rows))])
    return [index in chosen for index in range(len(rows))]


def threshold_curve(answers):
    return [ruled(answers, threshold_rule(answers, part / 20))[:2] for part in range(21)]


def length_rule(answers, least):
    return [row["prompt_tokens"] >= least for row in answers["think"]]


def best_length(dev):
    """The prompt length from which on thinking pays most, by reward on dev."""
    lengths = sorted({row["prompt_tokens"] for row in dev["think"]}) + [10**6]
    return max(lengths, key=lambda least: ruled(dev, length_rule(dev, least))[2])


# MARK: - The report


def report(folder, out):
    results = read_results(folder)
    found = {}

    def answers(phase, name, data="test"):
        key = (phase, name, data)
        if key not in found:
            path = os.path.join(folder, phase, name, f"answers-{data}.jsonl")
            found[key] = read_answers(path) if os.path.exists(path) else None
        return found[key]

    seeds = sorted(row["warm_up"] for (phase, name), row in results.items() if phase == "matrix" and row["steps"] == 0)
    warm = {seed: answers("matrix", f"w{seed}") for seed in seeds}
    matrix = [row for (phase, _), row in results.items() if phase == "matrix" and row["steps"] > 0]
    losses = (("degrpo", "DeGRPO"), ("grpo", "GRPO"))

    def runs(loss, mix):
        rows = [row for row in matrix if row["mix"] == mix and f"--loss {loss} " in row["flags"] + " "]
        return sorted(rows, key=lambda row: row["warm_up"])

    print("### Warm-ups\n")
    rows = []
    for seed in seeds:
        for condition, label in (("think", "always think"), ("short", "never")):
            part = warm[seed][condition]
            by_level = [percent(mean(is_right(r) for r in part if r["level"] == level), 1) for level in ORDER]
            rows.append([str(seed), label, *by_level, percent(mean(map(is_right, part)), 1),
                         f"{mean(r['tokens'] for r in part):.1f}"])
    table(["warm-up", "", *ORDER, "all", "tokens"], rows)

    for weights, label in ((EQUAL, "levels equally weighted"), (WEIGHTS, "levels weighted as in the balanced mix")):
        print(f"### Matrix, {label}\n")
        rows = []
        for mix in MIXES:
            for loss, name in losses:
                for row in runs(loss, mix):
                    c = Comparison(answers("matrix", row["name"]), warm[row["warm_up"]], weights)
                    rows.append([mix, name, str(row["warm_up"]), percent(c.think), percent(c.token_cut),
                                 percent(c.right, 1), interval(c.gain), interval(c.forced), f"{c.reward:+.3f}"])
        table(["mix", "loss", "warm-up", "think", "tokens cut", "accuracy", "against always-think, points [95 %]",
               "forced think after RL, points [95 %]", "reward"], rows)

    print("### P(think) by level\n")
    rows = []
    for mix in MIXES:
        for loss, name in losses:
            for row in runs(loss, mix):
                rows.append([mix, name, str(row["warm_up"]),
                             *[percent(row[level]["think_share"]) for level in ORDER],
                             "–" if row["auc_short_fails_M4"] is None else f"{row['auc_short_fails_M4']:.2f}"])
    table(["mix", "loss", "warm-up", *ORDER, "AUC in M4"], rows)

    print("### Without RL, or with RL that only thinks (balanced mix, levels equally weighted)\n")
    rows = []
    for seed in seeds:
        base, dev = warm[seed], answers("dev", f"w{seed}", "dev")
        everything = [True] * len(base["think"])
        candidates = [("always think", ruled(base, everything)), ("never", ruled(base, [False] * len(everything)))]
        for loss, name in losses:
            for row in runs(loss, "balanced"):
                if row["warm_up"] == seed:
                    a = answers("matrix", row["name"])["auto"]
                    share = mean(r["mode"] == "think" for r in a)
                    candidates.append((name, (mean(r["tokens"] for r in a), mean(map(is_right, a)),
                                              mean(map(reward, a)), share)))
        share = next((c[1][3] for c in candidates if c[0] == "DeGRPO"), 0.5)
        think, short = candidates[0][1], candidates[1][1]
        candidates.append(("by chance, the share of DeGRPO",
                           tuple(share * a + (1 - share) * b for a, b in zip(think, short))))
        candidates.append(("threshold on the warm-up's P, the same share", ruled(base, threshold_rule(base, share))))
        if dev:
            least = best_length(dev)
            label = f"think from {least} prompt tokens on" if least < 10**6 else "never think"
            candidates.append((f"router on length ({label})", ruled(base, length_rule(base, least))))
        forced = answers("baseline", f"think{seed}")
        if forced:
            a = forced["auto"]
            candidates.append(("RL that pays thinking alone", (
                mean(r["tokens"] for r in a), mean(map(is_right, a)), mean(map(reward, a)),
                mean(r["mode"] == "think" for r in a))))
        for label, (tokens, right, paid, thinking) in candidates:
            rows.append([str(seed), label, percent(thinking), f"{tokens:.1f}", percent(right, 1), f"{paid:+.3f}"])
    table(["warm-up", "who chooses", "think", "tokens", "accuracy", "reward"], rows)

    print("### Ablations\n")
    rows = []
    for (phase, name), row in sorted(results.items()):
        if phase == "ablation":
            rows.append([name, row["mix"], f"`{row['flags']}`",
                         *[percent(row[level]["think_share"]) for level in ORDER],
                         percent(row["all"]["right_auto"], 1), percent(row["all"]["right_think"], 1),
                         f"{mean(p['alpha'] for p in row['curve'] if p['alpha'] is not None):.3g}"])
    table(["run", "mix", "flags", *ORDER, "accuracy", "forced think", "mean α"], rows)

    print("### Dev\n")
    rows = []
    for (phase, name), row in results.items():
        if phase == "dev" and row["steps"] > 0:
            rows.append([name, row["mix"], str(row["steps"]), f"`{row['flags']}`",
                         *[percent(row[level]["think_share"]) for level in ORDER],
                         percent(row["all"]["right_auto"], 1), percent(row["all"]["right_think"], 1),
                         f"{row['all']['reward']:+.3f}"])
    rows.sort(key=lambda cells: cells[0])
    table(["run", "mix", "steps", "flags", *ORDER, "accuracy", "forced think", "reward"], rows)
    by_flags = {}
    for (phase, _), row in results.items():
        if phase == "dev" and row["steps"] > 0:
            by_flags.setdefault(row["flags"], {})[row["mix"]] = row["all"]["reward"]
    ranked = sorted(by_flags.items(), key=lambda item: -mean(item[1].values()))
    table(["flags", *MIXES, "mean reward on dev"],
          [[f"`{flags}`", *[f"{of[mix]:+.3f}" if mix in of else "–" for mix in MIXES], f"{mean(of.values()):+.3f}"]
           for flags, of in ranked])

    os.makedirs(out, exist_ok=True)
    if matrix:
        draw_levels(matrix, os.path.join(out, "levels.svg"))
        draw_curves(matrix, os.path.join(out, "curves.svg"))
        trained = {
            loss: [(row["all"]["tokens_auto"], row["all"]["right_auto"]) for row in runs(loss, "balanced")]
            for loss, _ in losses
        }
        draw_tradeoff(os.path.join(out, "tradeoff.svg"), list(warm.values()), trained,
                      "Accuracy against tokens: trained models, and the warm-up under other rules of choice")
    with open(os.path.join(out, "runs.jsonl"), "w") as file:
        for row in sorted(results.values(), key=lambda row: (row["phase"], row["name"])):
            file.write(json.dumps(rounded(row)) + "\n")


def compare(made, committed):
    """Prints which runs came to the committed weights.

    Another kind of processor gives other last bits, and then other samples.
    """

    def read(path):
        with open(path) as file:
            return {(row["phase"], row["name"]): row for row in map(json.loads, file)}

    old = read(committed) if os.path.exists(committed) else {}
    for key, row in sorted(read(made).items()):
        if key not in old:
            print(f"{key[1]}: not among the committed runs")
            continue
        before = old[key]
        same = "same weights" if row["digest"] == before["digest"] else "other weights"
        print(f"{key[0]} {key[1]}: {same}; reward {row['all']['reward']:+.3f} (committed {before['all']['reward']:+.3f}), "
              f"think {percent(row['all']['think_share'])} ({percent(before['all']['think_share'])})")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--compare":
        compare(sys.argv[2], sys.argv[3])
        sys.exit()
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    report(sys.argv[1], sys.argv[2])
