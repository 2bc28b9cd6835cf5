#!/usr/bin/env python3
"""Plots P(<think>) and P(<short>) of warm-up runs against the step, as one SVG with logarithmic axes.

Usage: scripts/research/plot-warm-up.py NAME=HISTORY.tsv… > modes.svg        (HISTORY: ckpt inspect STEP.h5 history/sft)
"""

import csv
import math
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 56, 128, 14, 40
COLORS = {"think": "#1f6feb", "short": "#c2410c"}
DASHES = ["", ' stroke-dasharray="5 4"', ' stroke-dasharray="1 4"']


def points(path):
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            values = {mode: float(row[f"p_{mode}_mean"]) for mode in COLORS}
            if all(value > 0 for value in values.values()):
                yield int(float(row["step"])), values


def main():
    runs = []
    for argument in sys.argv[1:]:
        name, mark, path = argument.partition("=")
        if not mark:
            sys.exit(__doc__)
        runs.append((name, list(points(path))))
    if not runs or not all(run for _, run in runs):
        sys.exit("the histories have no measurements of the probe")
    last = max(step for _, run in runs for step, _ in run)
    lowest = min(value for _, run in runs for _, values in run for value in values.values())
    decades = max(1, math.ceil(-math.log10(lowest)))

    def x(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(step) / math.log(max(2, last))

    def y(value):
        return TOP + (HEIGHT - TOP - BOTTOM) * -math.log10(value) / decades

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" '
        f'role="img" aria-label="Mean probability of either mode over held-out problems against the step">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    ticks = [(10.0**-decade, "1" if decade == 0 else f"1e-{decade}") for decade in range(decades + 1)]
    for value, label in [*ticks, (0.5, "0.5")]:
        out.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
        if label != "0.5" or decades < 4:
            out.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#24292f">{label}</text>')
    for step in (base * 10**power for power in range(7) for base in (1, 2, 5) if base * 10**power <= last):
        out.append(f'<text x="{x(step):.1f}" y="{HEIGHT - 22}" text-anchor="middle" fill="#24292f">{step}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 5}" text-anchor="middle" fill="#24292f">update</text>')
    for row, ((name, run), dash) in enumerate(zip(runs, DASHES)):
        for column, (mode, color) in enumerate(COLORS.items()):
            line = " ".join(f"{x(step):.1f},{y(values[mode]):.1f}" for step, values in run)
            out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
            top = TOP + 10 + 18 * (2 * row + column)
            start = WIDTH - RIGHT + 8
            out.append(f'<path d="M{start} {top - 4}h22" stroke="{color}" stroke-width="2"{dash}/>')
            out.append(f'<text x="{start + 28}" y="{top}" fill="#24292f">{mode}, {name}</text>')
    print("\n".join([*out, "</svg>"]))


main()
