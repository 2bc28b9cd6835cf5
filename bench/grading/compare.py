"""Compares `ckpt grade` with math-verify on pairs made from the answers of the MATH training problems.

    python compare.py CKPT math-train.json OUT [--limit N]

Every answer is rewritten in ways that keep its value by construction (equal), and changed in ways that alter it
(unequal). Prints false accepts and false rejects of both graders by kind of pair, and writes every disagreement to OUT.
Tested with math-verify 0.9.0 and sympy 1.14.0.
"""
import argparse
import collections
import json
import random
import re
import subprocess
import tempfile

from math_verify import parse, verify

NUMBER = re.compile(r"(?<![\d.])\d+(?![\d.,}])")


def integer_forms(value):
    yield "decimal", f"{value}.0"
    yield "fraction", rf"\frac{{{2 * value}}}{{2}}"
    yield "dollars", rf"\${value}"
    yield "text unit", rf"{value}\text{{ units}}"
    yield "spaced", f" {value} "
    yield "equation", f"x = {value}"
    if abs(value) >= 1000:
        yield "thousands", f"{value:,}"
        yield "thousands", rf"{value:,}".replace(",", r",\!")


def fraction_forms(sign, top, bottom):
    yield "dfrac", rf"{sign}\dfrac{{{top}}}{{{bottom}}}"
    yield "slash", f"{sign}{top}/{bottom}"
    yield "unreduced", rf"{sign}\frac{{{3 * top}}}{{{3 * bottom}}}"
    yield "sign inside", rf"\frac{{{sign}{top}}}{{{bottom}}}"
    text = repr(top / bottom)
    if len(text) < 8 and abs(float(text) * bottom - top) == 0:
        yield "decimal", sign + text
    if top > bottom and not sign:
        yield "mixed", rf"{top // bottom}\frac{{{top % bottom}}}{{{bottom}}}" if top % bottom else str(top // bottom)


def equal_forms(answer):
    if re.fullmatch(r"-?\d+", answer):
        yield from integer_forms(int(answer))
        return
    match = re.fullmatch(r"(-?)\\frac\{(\d+)\}\{(\d+)\}", answer)
    if match:
        yield from fraction_forms(match[1], int(match[2]), int(match[3]))
        return
    # Spaces must not be inserted at a comma inside a number.
    if not re.search(r"\d,\d{3}|,\\|\{,\}|,$", answer):
        yield "spaces", re.sub(r"([+=,])", r" \1 ", answer)
    yield "displaystyle", answer.replace(r"\frac", r"\dfrac")
    yield "dollar signs", f"${answer}$"
    if r"\left" not in answer and re.fullmatch(r"[(\[].*[)\]]", answer) and r"\cup" not in answer:
        yield "left right", r"\left" + answer[:-1] + r"\right" + answer[-1]
    if "^" in answer and "{" not in answer:
        yield "braced power", re.sub(r"\^(\d)", r"^{\1}", answer)
    match = re.fullmatch(r"(\d*)\s*\\sqrt\{(\d+)\}", answer)
    if match:
        factor, radicand = int(match[1] or 1), int(match[2])
        yield "under the root", rf"\sqrt{{{factor * factor * radicand}}}"
        yield "rationalised", rf"\frac{{{factor * radicand}}}{{\sqrt{{{radicand}}}}}"
        yield "by power", rf"{factor} \cdot {radicand}^{{1/2}}"
    terms = re.fullmatch(r"(-?[^-+(){}\\,=]+)((?:[-+][^-+(){}\\,=]+)+)", answer.replace(" ", ""))
    if terms and re.search("[a-z]", answer) and "_" not in answer and ":" not in answer:
        parts = re.findall(r"[-+]?[^-+]+", answer.replace(" ", ""))
        turned = "".join(part if part[0] in "+-" else "+" + part for part in reversed(parts))
        yield "reordered", turned.removeprefix("+")
    if "," in answer and not re.search(r"[()\[\]{}\\]", answer) and not re.fullmatch(r"-?\d{1,3}(,\d{3})+", answer):
        yield "list reversed", ", ".join(reversed([part.strip() for part in answer.split(",")]))
    if "pmatrix" in answer:
        yield "bmatrix", answer.replace("pmatrix", "bmatrix")
        yield "tight matrix", re.sub(r"\s*(\\\\|&)\s*", r"\1", answer)
    match = re.fullmatch(r"(-?\d+)\^\\circ", answer)
    if match:
        yield "bare degrees", match[1]
    match = re.fullmatch(r"\\text\{\s*([A-Za-z ]+)\s*\}", answer)
    if match:
        yield "bare text", match[1]
        yield "textbf", rf"\textbf{{{match[1]}}}"
    match = re.fullmatch(r"([^\\]*\d[^\\]*|\\frac\{\d+\}\{\d+\})\s*\\text\{\s*([a-z ]+)\}", answer)
    if match:
        yield "without unit", match[1].strip()
        yield "mbox unit", rf"{match[1].strip()}\mbox{{ {match[2]}}}"


def unequal_forms(answer, generator):
    spots = list(NUMBER.finditer(answer))
    if spots:
        spot = generator.choice(spots)
        value = int(spot[0])
        # Only single digits are arguments without braces: in \sqrt 31, the 1 is outside the root.
        if re.search(r"\\frac\\|\\frac\w|\\sqrt ?\w|\}\d", answer):
            return
        for kind, other in (("off by one", value + 1), ("digit appended", value * 10 + generator.randint(1, 9))):
            # Roots and powers of 0 and 1 may hide a change. One number is changed, because two changes may cancel.
            if value > 1:
                yield kind, answer[: spot.start()] + str(other) + answer[spot.end():]
    if re.fullmatch(r"\d+|\\frac\{\d+\}\{\d+\}|\d*\\sqrt\{\d+\}", answer) and answer != "0":
        yield "sign flipped", "-" + answer
    match = re.fullmatch(r"(-?)\\frac\{(\d+)\}\{(\d+)\}", answer)
    if match and match[2] != match[3]:
        yield "inverted", rf"{match[1]}\frac{{{match[3]}}}{{{match[2]}}}"
        top, bottom = int(match[2]), int(match[3])
        yield "rounded", f"{match[1]}{top / bottom:.3f}" if top * 1000 % bottom else None
    match = re.fullmatch(r"\((-?[^,()]+),\s*(-?[^,()]+)\)", answer)
    if match and match[1].strip() != match[2].strip():
        yield "point turned", f"({match[2]}, {match[1]})"
    if re.fullmatch(r"[(\[].*,.*[)\]]", answer) and r"\cup" not in answer and (
        "infty" not in answer and answer[0] + answer[-1] in ("(]", "[)", "[]")
    ):
        yield "other bracket", ("[" if answer[0] == "(" else "(") + answer[1:]
    if re.search(r"[a-z]\s*[-+]\s*\d", answer) and "\\" not in answer and "_" not in answer:
        def flipped(found):
            return found[1] + ("-" if found[2] == "+" else "+") + found[3]

        yield "one sign", re.sub(r"([a-z]\s*)([-+])(\s*\d)", flipped, answer, count=1)
    match = re.fullmatch(r"(-?\d+)\^\\circ", answer)
    if match:
        yield "other angle", rf"{int(match[1]) + 10}^\circ"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("ckpt")
    arguments.add_argument("problems")
    arguments.add_argument("out")
    arguments.add_argument("--limit", type=int)
    options = arguments.parse_args()
    generator = random.Random(20261121)
    pairs = []
    for row in json.load(open(options.problems))[: options.limit]:
        answer = str(row["answer"]).strip()
        if not answer:
            continue
        pairs += [(True, kind, answer, text) for kind, text in equal_forms(answer)]
        pairs += [(False, kind, answer, text) for kind, text in unequal_forms(answer, generator) if text]
    pairs = list(dict.fromkeys(pair for pair in pairs if pair[0] or pair[2] != pair[3]))

    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/in.jsonl", "w") as file:
            for _, _, truth, text in pairs:
                file.write(json.dumps({"answer": truth, "response": rf"\boxed{{{text}}}"}) + "\n")
        subprocess.run([options.ckpt, "grade", f"{folder}/in.jsonl", "-o", f"{folder}/out.jsonl"], check=True)
        ours = [json.loads(line)["grade"]["outcome"] == "right" for line in open(f"{folder}/out.jsonl")]

    theirs = []
    for _, _, truth, text in pairs:
        try:
            theirs.append(verify(parse(f"${truth}$"), parse(rf"$\boxed{{{text}}}$")))
        except Exception:
            theirs.append(False)

    counts = collections.Counter()
    with open(options.out, "w") as file:
        for (equal, kind, truth, text), own, other in zip(pairs, ours, theirs):
            counts[equal, kind, "pairs"] += 1
            counts[equal, kind, "ckpt"] += own != equal
            counts[equal, kind, "math-verify"] += other != equal
            if own != other or own != equal:
                row = {"equal": equal, "kind": kind, "truth": truth, "answer": text, "ckpt": own, "math_verify": other}
                file.write(json.dumps(row) + "\n")
    for equal, name in ((True, "false rejects"), (False, "false accepts")):
        total = sum(value for key, value in counts.items() if key[0] == equal and key[2] == "pairs")
        for grader in ("ckpt", "math-verify"):
            wrong = sum(value for key, value in counts.items() if key[0] == equal and key[2] == grader)
            print(f"{grader}: {wrong} {name} of {total} pairs ({100 * wrong / max(1, total):.3f} %)")
        for kind in sorted({key[1] for key in counts if key[0] == equal}):
            row = [counts[equal, kind, column] for column in ("pairs", "ckpt", "math-verify")]
            print(f"  {kind:<16} {row[0]:>6} pairs, wrong: ckpt {row[1]:>5}, math-verify {row[2]:>5}")


main()
