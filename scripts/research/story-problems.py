#!/usr/bin/env python3
"""Writes word problems whose levels differ in what must be computed, with their worked solutions.

Usage: scripts/research/story-problems.py FOLDER [--pairs 8000] [--rl 2000] [--dev 100] [--test 1000] [--probe 8]
                                      [--unseen 300] [--levels easy,two,two-twin,three,three-twin] [--seed 1]

  easy        one small sum
  two         two operations
  two-twin    the story of `two`, but nothing has to be computed: a number that the story states is asked, or the result
              is stated, or all is lost before
  three       three operations
  three-twin  the story of `three` in the same way; or both have the same number and the difference is asked

Files in FOLDER: pairs.jsonl (the warm-up: problem, think, short), rl.jsonl, dev.jsonl, test.jsonl and probe.jsonl of
the kinds of story in stories.TRAINED; unseen.jsonl of those in stories.UNSEEN. --pairs and --rl count problems of all
levels, the others problems of each level. A set of numbers appears with a kind of story in one file only: its hash
decides in which. Needs Python's standard library.
"""

import argparse
import hashlib
import json
import random
from pathlib import Path

import stories

NAMES = ("Ada Ben Chen Dara Emil Fatima Goran Hana Ivo Juno Kofi Lena Mira Nils Omar Pia Quin Rosa Sven Tara Uma "
         "Vito Wanda Yara Zeno Amal Boris Clara Dina Erik").split()
LEVELS = ["easy", "two", "two-twin", "three", "three-twin"]
# Parts of each file in 100 hash values.
FILES = {
    "pairs": range(0, 42), "rl": range(42, 62), "dev": range(62, 70), "test": range(70, 97), "probe": range(97, 100)}


NOTHING = "It is {}, and nothing has to be computed."


class Story:
    """One drawn story: its numbers, names and sentences."""

    def __init__(self, kind, draw):
        self.kind, self.draw = kind, draw
        people = draw.sample(NAMES, 6)
        self.words = dict(zip("nmo", people), t=draw.choice(kind.things.split()))
        self.chain = people[3:6]
        self.words["p0"] = self.chain[0]
        self.sentences, self.work = [], []

    def say(self, forms):
        self.sentences.append(self.draw.choice(forms).format(**self.words))

    def number(self, name, value):
        self.words[name] = value

    def start(self, computed):
        """The first sentence, from which the quantity x follows."""
        kind, draw = self.kind, self.draw
        self.words["p"] = self.words["q"] = self.chain[0] if kind.chain else self.words["n"]
        if not computed:
            self.number("a", draw.randint(3, 12))
            self.value = self.words["a"]
            self.say(kind.base)
            return
        a, k = draw.randint(*kind.a), draw.randint(*kind.k)
        x0, x = a * k, a * k
        if kind.operation == "quotient":
            x = a
        elif kind.operation == "remainder":
            x0 = k * draw.randint(2, 9) + draw.randint(1, k - 1)
            x = x0 % k
            self.number("d", x0 // k)
        elif kind.operation == "weeks":
            x = 7 * k
        for name, number in (("a", a), ("k", k), ("x0", x0), ("x", x)):
            self.number(name, number)
        self.value = x
        self.say(kind.start)
        self.work.append(kind.work.format(**self.words))

    def step(self, sign):
        """A sentence that takes b away or adds c."""
        kind, value = self.kind, self.value
        if kind.chain:
            at = self.chain.index(self.words["q"])
            self.words["p"], self.words["q"] = self.chain[at], self.chain[at + 1]
        change = self.draw.randint(2, min(9, value - 1) if sign == "-" else 9)
        self.number("b" if sign == "-" else "c", change)
        self.say(kind.less if sign == "-" else kind.more)
        self.value = value - change if sign == "-" else value + change
        self.work.append(f"Then {value} {sign} {change} = {self.value}.")

    def signs(self, count):
        """Which steps come: each of - and + once; - only where something is left."""
        order = self.draw.choice(["-+", "+-"])
        if self.value < 4:
            order = "+-"
        return order[:count]

    def filler(self):
        """A sentence with a number that has nothing to do with the question; the form is that of a fact."""
        number = self.draw.randint(5, 95)
        self.sentences.append(self.draw.choice([
            f"The house of {self.words['o']} has the number {number}.", f"In the hall there stand {number} chairs.",
            f"{self.words['o']} is {number} years old by then."]))

    def key(self):
        return (self.kind.name,) + tuple(self.words.get(name) for name in ("a", "k", "x0", "b", "c"))


def easy(kind, draw):
    story = Story(kind, draw)
    story.start(computed=False)
    story.step(draw.choice("-+") if story.value > 3 else "+")
    story.say(kind.ask)
    return story, ["There is only one thing to work out here."] + story.work, story.value


def computed(kind, draw, operations):
    story = Story(kind, draw)
    story.start(computed=True)
    comparing = operations == 3 and kind.compare and draw.random() < 0.25
    for sign in story.signs(1 if comparing else operations - 1):
        story.step(sign)
    if comparing and story.value > 2:
        value, less = story.value, draw.randint(2, min(9, story.value - 1))
        story.number("c", less)
        story.say(kind.other)
        story.say(kind.compare)
        return story, story.work + [f"The difference is {value} - {less} = {value - less}."], value - less
    if comparing:
        return None
    if draw.random() < 0.3:
        story.filler()
    story.say(kind.ask)
    return story, story.work, story.value


def twin(kind, draw, operations):
    """A story as long as that of `computed`, whose question needs no computation."""
    ways = ["stated", "stated", "fact"] + (["none"] if kind.none else [])
    if operations == 3 and kind.same:
        ways.append("same")
    way = draw.choice(ways)
    story = Story(kind, draw)
    story.start(computed=True)
    if way == "none":
        story.say(kind.none)
        story.work, story.value = ["All of it is gone, so what came before does not matter."], 0
        if operations == 3:
            story.step("+")
        else:
            story.work.append("Nothing comes after that.")
            story.filler()
        story.say(kind.ask)
        return story, story.work, story.value
    for sign in story.signs(1 if way == "same" else operations - 1):
        story.step(sign)
    if way == "same":
        story.say(kind.same)
        story.say(kind.compare)
        work = ["Both have exactly the same, whatever the number is.", "So there is no difference at all between them."]
        return story, work, 0
    if way == "fact":
        story.number("z", story.value)
        story.say(kind.fact)
        story.say(kind.ask)
        work = ["The story itself says what there is at the end.", NOTHING.format(story.value)]
        return story, work, story.value
    names = [name for name in kind.stated if story.words.get(name) is not None]
    # The questions about b and c need their sentence.
    if kind.chain is False:
        names = [name for name in names if name in "ak" or name == "x0" or name in story.words]
    name = draw.choice(names)
    value = story.words[name]
    story.sentences.append(kind.stated[name].format(**story.words))
    return story, ["The question asks only for a number that the story states.", NOTHING.format(value)], value


MAKE = {"easy": easy, "two": lambda *a: computed(*a, 2), "two-twin": lambda *a: twin(*a, 2),
        "three": lambda *a: computed(*a, 3), "three-twin": lambda *a: twin(*a, 3)}


def part(key):
    """The file in which a kind of story with these numbers appears."""
    value = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") % 100
    return next(name for name, values in FILES.items() if value in values)


def problems(kinds, file, level, count, draw, seen):
    made = 0
    while made < count:
        kind = kinds[made % len(kinds)]
        result = MAKE[level](kind, draw)
        if result is None:
            continue
        story, work, answer = result
        text = " ".join(story.sentences)
        if text in seen or (file and part(story.key()) != file):
            continue
        seen.add(text)
        made += 1
        yield {"problem": text, "answer": str(answer), "level": level, "story": kind.name, "work": "\n".join(work)}


def shares(file, levels):
    """How many of a file's problems each level has, as weights.

    In the warm-up, computation needs more practice. In RL, a short answer that fails costs 1.5 against a right thought,
    and one that is right earns 0.5 more: with three problems that need no thinking for each that does, both pulls are
    equal while the model cannot tell the levels apart.
    """
    computed = [level for level in levels if level in ("two", "three")]
    weight = 2 if file == "pairs" else (len(levels) - len(computed)) / 3 / max(1, len(computed))
    return [weight if level in computed else 1 for level in levels]


def write(path, rows, prefix, pairs=False):
    with path.open("w") as out:
        for index, row in enumerate(rows):
            work = row.pop("work")
            row = {"id": f"{prefix}{index}"} | row
            if pairs:
                work += f"\nSo the answer is {row['answer']}."
                box = f"\\boxed{{{row['answer']}}}"
                row |= {"think": f"{work}\n</think>\n{box}", "short": box}
            out.write(json.dumps(row) + "\n")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("Usage: "))
    parser.add_argument("folder", type=Path)
    counts = {"pairs": 8000, "rl": 2000, "dev": 100, "test": 1000, "probe": 8, "unseen": 300}
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--levels", type=lambda text: text.split(","), default=LEVELS)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not set(arguments.levels) <= set(LEVELS):
        parser.error("--levels: give some of " + ", ".join(LEVELS))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    seen = set()
    for number, (file, kinds) in enumerate([
        ("pairs", stories.TRAINED), ("rl", stories.TRAINED), ("dev", stories.TRAINED), ("test", stories.TRAINED),
        ("probe", stories.TRAINED), ("unseen", stories.UNSEEN),
    ]):
        draw = random.Random(f"{arguments.seed} {file}")
        mix = shares(file, arguments.levels)
        rows = []
        for level, weight in zip(arguments.levels, mix):
            count = getattr(arguments, file)
            if file in ("pairs", "rl"):
                count = int(count * weight / sum(mix))
            rows += problems(kinds, None if file == "unseen" else file, level, count, draw, seen)
        if file in ("pairs", "rl"):
            draw.shuffle(rows)
        write(arguments.folder / f"{file}.jsonl", rows, file[0], pairs=file == "pairs")


if __name__ == "__main__":
    main()
