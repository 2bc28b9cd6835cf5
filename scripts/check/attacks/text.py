"""Hostile text in names, levels, prompts, tokens, options and paths: none of it may reach a terminal unescaped."""

import errno
import json
import os
import pty
import re
import threading

from attacks import lies, writers
import numpy as np

TEXTS = [
    "\x1b]0;owned\x07",
    "\x1b[2J",
    "\x9b2J",
    "\u202eabc",
    "a\u2066b",
    "\x08\x08\x08",
    "\x7f",
    "\x1bc",
    "\u200f",
    "\x1bP+q\x1b\\",
    "\x0e",
    "\u061c",
]
# A training run's own display moves the cursor and clears lines, so there only what it never sends is looked for.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NEVER = re.compile("[\x00-\x07\x0e-\x1a\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|\x1b(\\]|c|P)|\x1b\\[2J")


def on_terminal(case, arguments, is_display=False, **options):
    """Runs with a pseudo-terminal as output and error; returns the text."""
    parts, (reading, writing) = [], pty.openpty()

    def read():
        while True:
            try:
                part = os.read(reading, 65536)
            except OSError as error:
                if error.errno == errno.EIO:
                    return
                raise
            if not part:
                return
            parts.append(part)

    thread = threading.Thread(target=read)
    process = case.start(arguments, stdout=writing, stderr=writing, **options)
    thread.start()
    status, memory, hung = case.finish(process)
    os.close(writing)
    thread.join(5)
    os.close(reading)
    text = b"".join(parts).decode("utf-8", "surrogateescape")
    shown = " ".join(arguments)[:150].encode("unicode_escape").decode()
    case.verdict = "accepted" if status in (0, 1) else "refused"
    if hung:
        case.fail("hangs", shown)
    elif status not in (0, 1, 2):
        case.fail("crashes" if status > 128 else "other", f"status {status}: {shown}")
    found = (NEVER if is_display else FORBIDDEN).search(text)
    if found:
        case.fail(
            "other",
            f"{found.group()!r} reaches the terminal at {text[max(0, found.start() - 60):found.end() + 20]!r}: {shown}",
        )


def attack(case):
    random = case.random
    bad, model = random.choice(TEXTS), case.seeds["model.h5"]
    row = {"id": "1", "problem": "1+1?", "answer": "2", "level": "L1", "think": "1+1=2</think>2", "short": "2"}
    key = random.choice(list(row))
    spoiled = json.dumps({**row, key: bad + row[key]}, ensure_ascii=False) + "\n"
    lines = spoiled * 2 + json.dumps(row) + "\n"
    case.write("data.jsonl", lines.replace('"id": "1"', '"id": "2"', 1))
    sft = writers.small_training("sft", model, "data.jsonl", "run")
    rl = writers.small_training("rl", model, "data.jsonl", "run")
    choices = {
        "path": lambda: [random.choice(["inspect", "verify", "tokenize", "import"]), f"no{bad}file"],
        "output": lambda: ["cast", model, "--dtype", "float16", "-o", f"none{bad}/x.h5"],
        "option": lambda: ["inspect", model, f"--{bad}"],
        "command": lambda: [f"insp{bad}"],
        "value": lambda: ["cast", model, "--dtype", bad, "-o", "x.h5"],
        "tensor": lambda: ["extract", model, "--tensor", f"a{bad}*", "-o", "x.h5"],
        "rename": lambda: ["rename", model, f"model.norm.weight=a{bad}b", "-o", "x.h5"],
        "token": lambda: ["add-tokens", model, "--token", f"<{bad}>", "-o", "x.h5", "--report", "fast"],
        "data": lambda: ["check-data", "data.jsonl"],
        "data with model": lambda: ["check-data", "data.jsonl", "--model", model],
        "sft": lambda: sft,
        "rl": lambda: rl,
        "eval": lambda: ["eval", model, "--data", "data.jsonl", "--max-new-tokens", "3"],
        "grade": lambda: ["grade", "data.jsonl"],
        "generate": lambda: [
            "generate",
            model,
            "--prompt",
            f"1{bad}2",
            "--max-new-tokens",
            "40",
            "--temperature",
            "3",
            "--seed",
            str(case.number),
        ],
        "tokenize": lambda: ["tokenize", model, f"a{bad}b"],
        "ids": lambda: ["tokenize", model, "--ids", "27,7,155,13,0"],
        "config": lambda: [
            *sft,
            "--config",
            case.write(
                "c.yaml",
                random.choice([f'"{bad.encode("unicode_escape").decode()}x": 1\n', f'lr: "{bad}"\n', f"{bad}: 1\n"]),
            ),
        ],
        "reward": lambda: [*rl, "--reward", f"command:echo '{bad}'; cat > /dev/null"],
        "reward errors": lambda: [*rl, "--reward", "command:printf '\\033]0;x\\007\\033[2J\\n' >&2; exit 3"],
        "file": lambda: lying(case, bad),
        "inspect": lambda: lying(case, bad),
        "diff": lambda: lying(case, bad),
    }
    names = list(choices)
    name = names[case.number % len(names)]
    arguments = choices[name]()
    arguments = [argument.replace("\0", "") for argument in arguments]
    on_terminal(case, arguments, is_display=name in ("sft", "rl", "config", "reward", "reward errors"))


def lying(case, bad):
    """A checkpoint with the text in one of its records; returns a command that shows it."""
    random = case.random
    records, tensors = lies.read(case.seeds["rl.h5"])
    records = dict(records)
    name = random.choice(
        [
            "/tokenizer/added_tokens/content",
            "/probe/prompt",
            "/probe/level",
            "/@created_by",
            "/lineage/0001",
            "/config",
            "/training/state",
            "/chat_template",
        ]
    )
    if name in records:
        value = records[name]
        text = bad.encode()
        if value.ndim:
            texts = value.ravel().tolist()
            texts[-1] += text
            records[name] = np.array(texts, dtype=bytes).reshape(value.shape)
        elif value.item()[:1] == b"{":
            records[name] = np.asarray(
                np.bytes_(value.item().replace(b'": "', b'": "' + json.dumps(bad)[1:-1].encode(), 1))
            )
        else:
            records[name] = np.asarray(np.bytes_(value.item() + text))
    lies.write(case.path("a.h5"), records, tensors)
    return random.choice(
        [
            ["inspect", "a.h5"],
            ["inspect", "a.h5", "probe"],
            ["inspect", "a.h5", "lineage"],
            ["inspect", "a.h5", "tokenizer"],
            ["inspect", "a.h5", "training"],
            ["inspect", "a.h5", "config"],
            ["diff", "a.h5", case.seeds["rl.h5"]],
            ["verify", "a.h5"],
            ["tokenize", "a.h5", "<think><short>" + bad],
        ]
    )
