"""Grades the pairs of math-verify's own tests with `ckpt grade` and lists those whose verdict differs.

    python math-verify-tests.py CKPT TESTS

TESTS is the folder `tests` of math-verify's repository (0.9.0). Its tests state for a truth and a response whether they
are equal; `ckpt grade` finds the answer by the rule `any`.
"""
import ast
import json
import pathlib
import subprocess
import sys
import tempfile


def literal(node):
    """The value of a constant, a list or a tuple; None for other expressions."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def pairs(path):
    """(test, truth, response, expected) for each case of a parametrised test with these arguments."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for decorator in function.decorator_list:
            arguments = getattr(decorator, "args", [])
            if len(arguments) < 2 or not isinstance(arguments[1], (ast.List, ast.Tuple)):
                continue
            names = literal(arguments[0]) or ""
            names = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
            verdict = next((name for name in ("expected", "result") if name in names), None)
            if "gold" not in names or "pred" not in names or verdict is None:
                continue
            for case in arguments[1].elts:
                row = dict(zip(names, (literal(item) for item in case.elts)))
                if isinstance(row["gold"], str) and isinstance(row["pred"], str) and row[verdict] is not None:
                    yield function.name, row["gold"], row["pred"], bool(row[verdict])


def bare(truth):
    """The truth without the dollar signs around the whole of it."""
    truth = truth.strip()
    return truth[1:-1] if truth.count("$") == 2 and truth[0] == truth[-1] == "$" else truth


def main():
    ckpt, tests = sys.argv[1:]
    found = [pair for path in sorted(pathlib.Path(tests).glob("test_*.py")) for pair in pairs(path)]
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/in.jsonl", "w") as file:
            for _, truth, response, _ in found:
                file.write(json.dumps({"answer": bare(truth), "response": response}) + "\n")
        subprocess.run(
            [ckpt, "grade", f"{folder}/in.jsonl", "--answer", "any", "-o", f"{folder}/out.jsonl"],
            check=True, stdout=subprocess.DEVNULL)
        grades = [json.loads(line)["grade"] for line in open(f"{folder}/out.jsonl")]
    differing = 0
    for (test, truth, response, expected), grade in zip(found, grades, strict=True):
        if (grade["outcome"] == "right") != expected:
            differing += 1
            print(f"{test}: {'equal' if expected else 'unequal'} there: {truth[-120:]!r} and {response[-120:]!r}")
    print(f"{differing} of {len(found)} pairs differ")


main()
