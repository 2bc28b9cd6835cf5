#!/usr/bin/env python3
"""Writes small word problems in the form of GSM8K rows ({"question", "answer" with working and "#### result"}).

They serve to try ckpt on a real model without GSM8K; the texts are made from the templates below.
Usage: scripts/research/word-problems.py COUNT SEED > rows.jsonl
"""

import json
import random
import sys

NAMES = ["Ada", "Ben", "Chen", "Dara", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Juno", "Kofi", "Lena"]
THINGS = ["apples", "pencils", "stamps", "marbles", "cards", "shells", "books", "candles", "tickets", "stones"]


def buying(r):
    name, thing = r.choice(NAMES), r.choice(THINGS)
    count, price, paid = r.randint(2, 12), r.randint(2, 9), r.choice([50, 100, 120])
    cost = count * price
    question = f"{name} buys {count} {thing} for ${price} each and pays with ${paid}. How much change is due?"
    working = f"The {thing} cost {count} * {price} = ${cost}.\nThe change is {paid} - {cost} = ${paid - cost}."
    return question, working, paid - cost


def sharing(r):
    name, thing = r.choice(NAMES), r.choice(THINGS)
    friends, each, extra = r.randint(2, 9), r.randint(3, 12), r.randint(1, 20)
    total = friends * each + extra
    question = (
        f"{name} has {total} {thing}, keeps {extra} of them and shares the rest equally among {friends} friends. "
        f"How many {thing} does each friend get?"
    )
    working = f"There are {total} - {extra} = {total - extra} {thing} to share.\nEach friend gets {total - extra} / {friends} = {each}."
    return question, working, each


def walking(r):
    name = r.choice(NAMES)
    first, days, more = r.randint(2, 9), r.randint(2, 6), r.randint(1, 8)
    question = (
        f"{name} walks {first} km on Monday and {more} km more than that on each of the next {days} days. "
        "How many km is that in all?"
    )
    each = first + more
    working = (
        f"On each of the later days it is {first} + {more} = {each} km.\n"
        f"Those days come to {days} * {each} = {days * each} km.\nIn all it is {days * each} + {first} = {days * each + first} km."
    )
    return question, working, days * each + first


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    r = random.Random(seed)
    seen = set()
    while len(seen) < count:
        question, working, result = r.choice([buying, sharing, walking])(r)
        if question in seen or result < 0:
            continue
        seen.add(question)
        print(json.dumps({"question": question, "answer": f"{working}\n#### {result}"}))


if __name__ == "__main__":
    main()
