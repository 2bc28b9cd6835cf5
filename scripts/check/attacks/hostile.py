"""Hostile values, and edits of JSON texts that put them anywhere."""

import json
import sys

# Texts that an earlier edit has nested deeply are written again.
sys.setrecursionlimit(20_000)

NUMBERS = [
    "-1",
    "0",
    "1",
    "2",
    "7",
    "255",
    "65536",
    "1e19",
    "1e18",
    "1e308",
    "1e999",
    "-1e999",
    "1e-320",
    "0.5",
    "-0.0",
    "NaN",
    "Infinity",
    "-Infinity",
    str(2**31 - 1),
    str(2**31),
    str(2**32),
    str(2**40),
    str(2**40 + 1),
    str(2**53 + 1),
    str(2**62),
    str(2**63 - 1),
    str(2**63),
    str(-(2**63)),
    str(2**64 - 1),
    str(2**64),
    "9" * 400,
    "1e-400",
    "0x10",
    "01",
    "+1",
    "1.",
]
STRINGS = [
    "",
    "\0",
    "\n",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202eabc\u2066",
    "\x9b31m",
    "a\nckpt: error: forged",
    "\u2028",
    "/etc/passwd",
    "../../escape",
    "/",
    ".",
    "..",
    "a/b",
    "%s%n%99999d",
    "\ufffe\uffff",
    "é" * 700,
    "x" * 1025,
    "y" * 61441,
    "z" * 1_000_000,
    "\U0010ffff",
    "e\u0301" * 2000,
    "<think>",
    "</think>",
    "<short>",
    "$(touch owned)",
    "`touch owned`",
    "-o",
    "--force",
    "nan",
    "null",
    "\x7f",
    "model.embed_tokens.weight",
    "{{ 1 }}",
    "(a+)+$",
    "\\p{L}+|(?<x>",
    "command:touch owned",
    "1e19",
]
RAW = ["\\ud800", "\\u0000", "\\udc00\\ud800", "\\x", "\\u12"]  # as they stand between quotes in JSON


class Literal:
    """Text that goes into JSON unchanged."""

    def __init__(self, text):
        self.text = text


def dump(value):
    """JSON with literals, also such as json.dumps cannot write."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(key)}:{dump(member)}" for key, member in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(member) for member in value) + "]"
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


class Members(list):
    """An object of JSON as pairs, so that keys can repeat."""


def load(text):
    return json.loads(text, object_pairs_hook=Members)


def places(value, parent=None, key=None):
    """All values as (parent, index in parent)."""
    found = [] if parent is None else [(parent, key)]
    members = (
        [member for _, member in value] if isinstance(value, Members) else value if isinstance(value, list) else []
    )
    for index, member in enumerate(members):
        found += places(member, value, index)
    return found


def value(random, old=None):
    """A value that should not be there, often of the same type as the old one."""
    kind = random.randrange(10)
    if isinstance(old, bool):
        kind = random.choice([0, 0, 1, 3, 4])
    elif isinstance(old, (int, float)) and random.random() < 0.7:
        kind = 0
    elif isinstance(old, str) and random.random() < 0.7:
        kind = 1
    if kind == 0:
        return Literal(random.choice(NUMBERS))
    if kind == 1:
        return random.choice(STRINGS) if random.random() < 0.85 else Literal('"' + random.choice(RAW) + '"')
    if kind == 2:
        return random.choice([True, False])
    if kind == 3:
        return None
    if kind == 4:
        return []
    if kind == 5:
        return Members()
    if kind == 6:
        return [Literal(random.choice(NUMBERS)) for _ in range(random.choice([1, 3, 1000, 100_000]))]
    if kind == 7:
        depth = random.choice([40, 600, 20_000])
        return Literal("[" * depth + "]" * depth)
    if kind == 8:
        return Members((random.choice(STRINGS[:20]), 1) for _ in range(random.choice([1, 3, 10_000])))
    return Literal(dump(old) * 2) if random.random() < 0.3 else [old, old]


def edit(random, text, times=None):
    """Changes one to three places of a JSON text; one that an earlier edit nested too deeply for Python is replaced."""
    try:
        tree = load(text)
    except RecursionError:
        return dump(value(random))
    for _ in range(times or random.choice([1, 1, 1, 2, 3])):
        found = places(tree)
        if not found:
            return dump(value(random))
        parent, index = random.choice(found)
        is_object = isinstance(parent, Members)
        old = parent[index][1] if is_object else parent[index]
        action = random.randrange(12)
        if action < 7:
            new = value(random, old)
            parent[index] = (parent[index][0], new) if is_object else new
        elif action == 7:
            del parent[index]
        elif action == 8:
            parent.insert(random.randrange(len(parent) + 1), parent[index])
        elif action == 9 and is_object:
            parent[index] = (random.choice(STRINGS[:29]), old)
        elif action == 10:
            other, at = random.choice(found)
            taken = other[at][1] if isinstance(other, Members) else other[at]
            if not isinstance(taken, (list, Members)):
                parent[index] = (parent[index][0], taken) if is_object else taken
        elif isinstance(old, list) and not isinstance(old, Members):
            parent[index] = (parent[index][0], old * 2) if is_object else old * 2
        elif is_object:
            parent.append((parent[index][0], value(random, old)))
    result = dump(tree)
    if random.random() < 0.08:
        result = spoil(random, result.encode()).decode("utf-8", "surrogateescape")
    return result


def spoil(random, content):
    """Changes bytes without regard to structure."""
    content = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 4])):
        if not content:
            break
        at = random.randrange(len(content))
        action = random.randrange(5)
        if action == 0:
            content[at] ^= 1 << random.randrange(8)
        elif action == 1:
            content[at] = random.choice([0, 10, 34, 92, 255, 0xC0, 0xED])
        elif action == 2:
            del content[at:]
        elif action == 3:
            content[at:at] = random.randbytes(random.choice([1, 4, 300]))
        else:
            end = min(len(content), at + random.choice([1, 8, 200]))
            content[at:at] = content[at:end] * random.choice([1, 3])
    return bytes(content)
