"""Compares `ckpt grade` with math-verify on pairs made from the answers of the MATH training problems.

    python compare.py CKPT OUT [--problems math/train.json] [--each N]

The problems are a JSON array with "answer"; without --problems, $MATH_TRAIN names it. Every answer is rewritten in ways
that keep its value by construction (equal), and changed in ways that alter it (unequal); at most N pairs of each form,
drawn with a fixed seed, are compared. Prints false accepts and false rejects of both graders by form, and gradings a
second of processor time; writes every disagreement to OUT.
Tested with math-verify 0.9.0, latex2sympy2-extended 1.11.0 and sympy 1.14.0.
"""
import argparse
import collections
import fractions
import json
import logging
import os
import random
import re
import resource
import subprocess
import tempfile

INTEGER = re.compile(r"-?\d+")
FRACTION = re.compile(r"(-?)\\frac\{(\d+)\}\{(\d+)\}")
NUMBER = re.compile(r"(?<![\d.])\d+(?![\d.,}])")
WORD = re.compile(r"\\text\{\s*([A-Za-z ]+)\s*\}")
INTERVAL = re.compile(r"([(\[])([^,()\[\]]+),([^,()\[\]]+)([)\]])")


def is_single(answer):
    """A value that is no list, relation, set or text, so that a label may stand before it."""
    return not re.search(r"[,=<>:]|\\le|\\ge|\\in(?!fty)|text|mbox|cup|\\\{|\\pm|or", answer)


def repeating(top, bottom):
    """The digits of a fraction below a bar, if the period is short."""
    whole, rest = divmod(top, bottom)
    digits, seen = "", {}
    while rest and rest not in seen and len(digits) < 8:
        seen[rest] = len(digits)
        digit, rest = divmod(rest * 10, bottom)
        digits += str(digit)
    if rest in seen:
        return rf"{whole}.{digits[:seen[rest]]}\overline{{{digits[seen[rest]:]}}}"
    return None


def integer_forms(value, generator):
    yield "N.0", f"{value}.0"
    yield "fraction over 2", rf"\frac{{{2 * value}}}{{2}}"
    yield r"\text{N}", rf"\text{{{value}}}"
    yield r"\textbf{N}", rf"\textbf{{{value}}}"
    yield r"\mbox{ N }", rf"\mbox{{ {value} }}"
    yield "unit", rf"{value}\text{{ units}}"
    yield "unit in mathrm", rf"{value} \mathrm{{~cm}}"
    yield "plain unit", f"{value} apples"
    yield "money", rf"\${value}"
    yield "label in text", rf"\text{{Total}} = {value}"
    part = generator.randint(1, 9)
    yield "chain", rf"x = {value - part} + {part} = {value}"
    if value < 0:
        yield "Unicode minus", f"\u2212{-value}"
    if abs(value) >= 1000:
        yield "thousands", f"{value:,}"
        yield "thousands in LaTeX", f"{value:,}".replace(",", r",\!")
        yield "thousands in braces", f"{value:,}".replace(",", "{,}")
        yield "thousands with spaces", f"{value:,}".replace(",", r"\,")
    if value and value % 100 == 0:
        yield "power of ten", rf"{value // 100} \times 10^{{2}}"


def fraction_forms(sign, top, bottom):
    yield "dfrac", rf"{sign}\dfrac{{{top}}}{{{bottom}}}"
    yield r"\over", rf"{sign}{{{top} \over {bottom}}}"
    yield "slash", f"{sign}{top}/{bottom}"
    yield "unreduced", rf"{sign}\frac{{{3 * top}}}{{{3 * bottom}}}"
    yield "sign inside", rf"\frac{{{sign}{top}}}{{{bottom}}}"
    yield r"\text{a/b}", rf"\text{{{sign}{top}/{bottom}}}"
    if bottom > 2:
        yield "approximation", rf"{sign}\frac{{{top}}}{{{bottom}}} \approx {sign}{top / bottom:.3f}"
    text = repr(top / bottom)
    if len(text) < 8 and fractions.Fraction(text) == fractions.Fraction(top, bottom):
        yield "decimal", sign + text
    bar = repeating(top, bottom)
    if bar:
        yield "repeating decimal", sign + bar
    if top > bottom and top % bottom and not sign:
        yield "mixed", rf"{top // bottom}\frac{{{top % bottom}}}{{{bottom}}}"


def interval_forms(answer):
    """Conditions on x for an interval, or a union of intervals, with an infinite or included bound."""
    bare = answer.replace(r"\left", "").replace(r"\right", "").strip()
    parts = [INTERVAL.fullmatch(part.strip()) for part in bare.split(r"\cup")]
    if not all(parts) or not re.search(r"\[|\]|infty", bare):
        return
    conditions = []
    for part in parts:
        opening, low, high, closing = part[1], part[2].strip(), part[3].strip(), part[4]
        below = "<" if opening == "(" else r"\le"
        above = "<" if closing == ")" else r"\le"
        if r"\infty" in low and r"\infty" in high:
            return
        if r"\infty" in low:
            conditions.append(rf"x {above} {high}")
        elif r"\infty" in high:
            conditions.append(rf"x {'>' if opening == '(' else chr(92) + 'ge'} {low}")
        else:
            conditions.append(rf"{low} {below} x {above} {high}")
    yield "inequality", r" \text{ or } ".join(conditions)
    if len(conditions) == 1:
        yield "set builder", rf"\{{x \mid {conditions[0]}\}}"
    yield "membership", rf"x \in {bare}"
    if len(parts) > 1:
        yield "union reversed", r" \cup ".join(reversed([part[0] for part in parts]))


def equal_forms(answer, generator):
    yield "nested box", rf"\boxed{{{answer}}}"
    yield "dollar signs", f"${answer}$"
    yield "bold Markdown", f"**{answer}**"
    yield r"\displaystyle", rf"\displaystyle {answer}"
    if is_single(answer) and not re.search("[a-z]", re.sub(r"\\[a-z]+", "", answer)):
        yield "x =", f"x = {answer}"
        yield "f(2) =", f"f(2) = {answer}"
        yield "AB =", f"AB = {answer}"
        yield "angle =", rf"\angle ABC = {answer}"
    match = re.fullmatch(r"(-?\d+)", answer)
    if match:
        yield from integer_forms(int(answer), generator)
        return
    match = FRACTION.fullmatch(answer)
    if match and int(match[2]) % int(match[3]):
        yield from fraction_forms(match[1], int(match[2]), int(match[3]))
        return
    yield from interval_forms(answer)
    if r"\frac" in answer:
        yield "dfrac", answer.replace(r"\frac", r"\dfrac")
    # Spaces must not be inserted at a comma inside a number.
    if not re.search(r"\d,\d{3}|,\\|\{,\}|,$", answer):
        yield "spaces", re.sub(r"([+=,])", r" \1 ", answer)
    if r"\left" not in answer and re.fullmatch(r"\([^()]*\)", answer):
        yield "left right", r"\left" + answer[:-1] + r"\right" + answer[-1]
        yield "big", r"\bigl" + answer[:-1] + r"\bigr" + answer[-1]
        if answer.count(",") == 1 and "infty" not in answer:
            yield "(x, y) =", f"(x, y) = {answer}"
    if re.search(r"\^\d", answer) and "{" not in answer:
        yield "braced power", re.sub(r"\^(\d)", r"^{\1}", answer)
    match = re.fullmatch(r"(\d*)\s*\\sqrt\{(\d+)\}", answer)
    if match:
        factor, radicand = int(match[1] or 1), int(match[2])
        yield "under the root", rf"\sqrt{{{factor * factor * radicand}}}"
        yield "rationalised", rf"\frac{{{factor * radicand}}}{{\sqrt{{{radicand}}}}}"
        yield "by power", rf"{factor} \cdot {radicand}^{{1/2}}"
        yield "Unicode root", f"{match[1]}√{{{radicand}}}"
        yield "approximation", rf"{answer} \approx {factor * radicand ** 0.5:.3f}"
    terms = re.fullmatch(r"(-?[^-+(){}\\,=]+)((?:[-+][^-+(){}\\,=]+)+)", answer.replace(" ", ""))
    if terms and re.search("[a-z]", answer) and "_" not in answer and ":" not in answer:
        parts = re.findall(r"[-+]?[^-+]+", answer.replace(" ", ""))
        turned = "".join(part if part[0] in "+-" else "+" + part for part in reversed(parts))
        yield "reordered", turned.removeprefix("+")
        yield "as a function", f"f(t) = {answer}"
    if "," in answer and not re.search(r"[()\[\]{}\\]", answer) and not re.fullmatch(r"-?\d{1,3}(,\d{3})+", answer):
        items = [part.strip() for part in answer.split(",")]
        yield "list reversed", ", ".join(reversed(items))
        yield "set", rf"\{{{', '.join(items)}\}}"
        if len(items) == 2:
            yield "list with and", r" \text{ and } ".join(items)
    if "pmatrix" in answer:
        yield "bmatrix", answer.replace("pmatrix", "bmatrix")
        yield "tight matrix", re.sub(r"\s*(\\\\|&)\s*", r"\1", answer)
        yield "matrix in brackets", (
            answer.replace(r"\begin{pmatrix}", r"\left[\begin{matrix}").replace(r"\end{pmatrix}", r"\end{matrix}\right]"))
    match = re.fullmatch(r"(-?\d+)\^\{?\\circ\}?", answer)
    if match:
        yield "bare degrees", match[1]
        yield "degrees in words", rf"{match[1]}\text{{ degrees}}"
        yield "degree sign", f"{match[1]}°"
    match = re.fullmatch(r"(\d+)\\%", answer)
    if match:
        yield "percent in words", f"{match[1]} percent"
    match = WORD.fullmatch(answer)
    if match:
        yield "bare text", match[1]
        yield r"\textbf{word}", rf"\textbf{{{match[1]}}}"
    match = re.fullmatch(r"([^\\]*\d[^\\]*|\\frac\{\d+\}\{\d+\})\s*\\text\{\s*([a-z ]+)\}", answer)
    if match:
        yield "without unit", match[1].strip()
        yield "mbox unit", rf"{match[1].strip()}\mbox{{ {match[2]}}}"


def unequal_forms(answer, generator):
    spots = list(NUMBER.finditer(answer))
    # Only single digits are arguments without braces: in \sqrt 31, the 1 is outside the root.
    if spots and not re.search(r"\\[dt]?frac\\|\\[dt]?frac ?\w|\\sqrt ?\w|\}\d", answer):
        spot = generator.choice(spots)
        value = int(spot[0])
        # Roots and powers of 0 and 1 may hide a change. One number is changed, because two changes may cancel.
        if value > 1:
            for kind, other in (("off by one", value + 1), ("digit appended", value * 10 + generator.randint(1, 9))):
                changed = answer[: spot.start()] + str(other) + answer[spot.end():]
                yield kind, changed
                yield f"{kind}, nested box", rf"\boxed{{{changed}}}"
    if INTEGER.fullmatch(answer):
        value = int(answer)
        yield r"\text{N + 1}", rf"\text{{{value + 1}}}"
        yield "wrong label", f"AB = {value + 2}"
        yield "f(N) =", f"f({value}) = {value + 3}"
        yield "wrong chain", f"x = {value - 1} + 2 = {value + 1}"
        yield "contradicting chain", f"x = {value + 1} = {value}"
        yield "two answers", rf"{value} \text{{ or }} {value + 1}"
        yield "unevaluated", f"{value - 3} + 3"
        yield "with a variable", f"{value}x" if value else None
        yield "in base 11", f"{value}_{{11}}"
        yield "in millions", f"{value} million" if value else None
        if value:
            yield "decimal point moved", f"{value / 10}" if abs(value) < 10**9 else None
    if re.fullmatch(r"\d+|\\frac\{\d+\}\{\d+\}|\d*\\sqrt\{\d+\}", answer) and answer != "0":
        yield "sign flipped", "-" + answer
        yield "Unicode sign flipped", "\u2212" + answer
    match = FRACTION.fullmatch(answer)
    if match and match[2] != match[3]:
        top, bottom = int(match[2]), int(match[3])
        yield "inverted", rf"{match[1]}\frac{{{bottom}}}{{{top}}}"
        if top * 1000 % bottom:
            yield "rounded", f"{match[1]}{top / bottom:.3f}"
        yield "wrong before approximation", rf"{match[1]}\frac{{{top + 1}}}{{{bottom}}} \approx {match[1]}{top / bottom:.3f}"
        yield "wrong over", rf"{match[1]}{{{top} \over {bottom + 1}}}"
    match = re.fullmatch(r"\((-?[^,()]+),\s*(-?[^,()]+)\)", answer)
    if match and match[1].strip() != match[2].strip():
        yield "point turned", f"({match[2]}, {match[1]})"
        yield "labelled point turned", f"(x, y) = ({match[2]}, {match[1]})"
    if re.fullmatch(r"[(\[].*,.*[)\]]", answer) and r"\cup" not in answer and (
        "infty" not in answer and answer[0] + answer[-1] in ("(]", "[)", "[]")
    ):
        yield "other bracket", ("[" if answer[0] == "(" else "(") + answer[1:]
    for kind, text in interval_forms(answer):
        if kind == "inequality" and re.search(r"[<>]", text):
            yield "inequality with equality", text.replace("<", r"\le").replace(">", r"\ge")
        elif kind == "set builder":
            swapped = {"<": r"\ge", ">": r"\le", r"\le": ">", r"\ge": "<"}
            if text.count("x") == 2 and len(re.findall(r"[<>]|\\[lg]e", text)) == 1:
                yield "complement", re.sub(r"[<>]|\\[lg]e", lambda found: swapped[found[0]], text)
    if re.search(r"[a-z]\s*[-+]\s*\d", answer) and "\\" not in answer and "_" not in answer:
        def flipped(found):
            return found[1] + ("-" if found[2] == "+" else "+") + found[3]

        yield "one sign", re.sub(r"([a-z]\s*)([-+])(\s*\d)", flipped, answer, count=1)
        if re.fullmatch(r"-?\d*[a-z]\s*[-+]\s*\d+", answer):
            yield "absolute value", f"|{answer}|"
    match = re.fullmatch(r"(-?\d+)\^\\circ", answer)
    if match:
        yield "other angle", rf"{int(match[1]) + 10}^\circ"
    if "pmatrix" in answer and r"\\" in answer:
        rows = [row.split("&") for row in re.sub(r"\\(begin|end)\{pmatrix\}", "", answer).strip().split(r"\\") if row.strip()]
        turned = [list(column) for column in zip(*rows)]
        if [[cell.strip() for cell in row] for row in rows] != [[cell.strip() for cell in row] for row in turned]:
            body = r" \\ ".join(" & ".join(row) for row in turned)
            yield "transposed", rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
    items = [part.strip() for part in answer.split(",")]
    if len(items) > 1 and not re.search(r"[()\[\]{}\\]", answer) and not re.fullmatch(r"-?\d{1,3}(,\d{3})+", answer):
        yield "item left out", ", ".join(items[1:])
        yield "item repeated", ", ".join(items + items[:1])
    match = WORD.fullmatch(answer)
    if match:
        yield "negated word", rf"\text{{not {match[1]}}}"
        if len(match[1]) == 1:
            yield "next option", rf"\text{{{chr(ord(match[1]) + 1)}}}"


def drawn(pairs, each, generator):
    """At most `each` pairs of every form."""
    by_form = collections.defaultdict(list)
    for pair in dict.fromkeys(pairs):
        by_form[pair[0], pair[1]].append(pair)
    result = []
    for form in sorted(by_form):
        members = by_form[form]
        result += generator.sample(members, each) if len(members) > each else members
    return result


def own_verdicts(ckpt, pairs):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/in.jsonl", "w") as file:
            for _, _, truth, text in pairs:
                file.write(json.dumps({"answer": truth, "response": rf"\boxed{{{text}}}"}) + "\n")
        subprocess.run(
            [ckpt, "grade", f"{folder}/in.jsonl", "-o", f"{folder}/out.jsonl"], check=True, stdout=subprocess.DEVNULL)
        time = resource.getrusage(resource.RUSAGE_CHILDREN)
        # `grade` finds and compares the answer by three rules, and reads and writes the files.
        print(f"ckpt: {3 * len(pairs) / (time.ru_utime + time.ru_stime):,.0f} gradings a second of processor time")
        return [json.loads(line)["grade"]["outcome"] == "right" for line in open(f"{folder}/out.jsonl")]


def other_verdicts(pairs):
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    verdicts = []
    for _, _, truth, text in pairs:
        try:
            verdicts.append(bool(verify(parse(f"${truth}$"), parse(rf"$\boxed{{{text}}}$"))))
        except Exception:
            verdicts.append(False)
    time = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    print(f"math-verify: {len(pairs) / time:,.0f} gradings a second of processor time")
    return verdicts


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("ckpt")
    arguments.add_argument("out")
    arguments.add_argument("--problems", default=os.environ.get("MATH_TRAIN"))
    arguments.add_argument("--each", type=int, default=600)
    arguments.add_argument("--own-only", action="store_true", help="do not ask math-verify")
    options = arguments.parse_args()
    if options.problems is None:
        arguments.error("give --problems or $MATH_TRAIN, the MATH training problems")
    generator = random.Random(20261129)
    pairs = []
    for row in json.load(open(options.problems)):
        answer = str(row["answer"]).strip()
        if not answer:
            continue
        pairs += [(True, form, answer, text) for form, text in equal_forms(answer, generator)]
        pairs += [(False, form, answer, text) for form, text in unequal_forms(answer, generator) if text]
    pairs = drawn((pair for pair in pairs if pair[0] or pair[2] != pair[3]), options.each, generator)
    ours = own_verdicts(options.ckpt, pairs)
    theirs = ours if options.own_only else other_verdicts(pairs)

    counts = collections.Counter()
    with open(options.out, "w") as file:
        for (equal, form, truth, text), own, other in zip(pairs, ours, theirs):
            counts[equal, form, "pairs"] += 1
            counts[equal, form, "ckpt"] += own != equal
            counts[equal, form, "math-verify"] += other != equal
            if own != other or own != equal:
                row = {"equal": equal, "form": form, "truth": truth, "answer": text, "ckpt": own, "math_verify": other}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    for equal, name in ((True, "false rejects"), (False, "false accepts")):
        forms = sorted({key[1] for key in counts if key[0] == equal})
        total = sum(counts[equal, form, "pairs"] for form in forms)
        for grader in ("ckpt", "math-verify"):
            wrong = sum(counts[equal, form, grader] for form in forms)
            print(f"{grader}: {wrong} {name} of {total} pairs in {len(forms)} forms ({100 * wrong / max(1, total):.3f} %)")
        for form in forms:
            row = [counts[equal, form, column] for column in ("pairs", "ckpt", "math-verify")]
            print(f"  {form:<28} {row[0]:>6} pairs, wrong: ckpt {row[1]:>5}, math-verify {row[2]:>5}")


main()
