"""Mutations of tokenizers, configurations, chat templates, data files and YAML options; formats.py chooses one."""

import json
import os

from attacks import hostile
from attacks.inputs import content, copy_model, imports, model

TEMPLATES = [
    "{% for a in range(100000000) %}x{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{{ 'a' * 10000000000 }}",
    "{{ messages | tojson * 99999999 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{% set x = 'aaaaaaaaaaaaaaaa' %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
    "{{ " + "(" * 50000 + ")" * 50000 + " }}",
    "{% if " + "not " * 60000 + "true %}a{% endif %}",
    "{{ messages[0].__class__.__mro__ }}",
    "{{ raise_exception('\x1b[2Jforged\nckpt: error: x') }}",
    "{% for",
    "{{",
    "{% raw %}",
    "{{ 1 / 0 }}",
    "{{ 'x'.join(range(1000000)) }}",
    "{{ [1] * 999999999 }}",
    "{{ 'a' | replace('', 'b' * 1000) }}",
    "{% set ns = namespace(a=1) %}{% for i in range(100000) %}{% set ns.a = ns.a * 3 %}{% endfor %}{{ ns.a }}",
    "{{ strftime_now('%Y' * 100000) }}",
    "{{ '%s' % messages }}",
    "{{ messages[-1e999] }}",
    "{{ (-9223372036854775807 - 1) // -1 }}",
    "{{ (-9223372036854775807 - 1) % -1 }}",
    "{{ 9223372036854775807 + 1 }}",
    "{{ [1,2,3][0:9223372036854775807:-9223372036854775807] }}",
    "{{ range(-9223372036854775807, 9223372036854775807, 1) }}",
    "{{ 'a' | indent(999999999) }}",
    "{{ 'abc' | center(999999999999) }}",
    "{{ {} | tojson(indent=999999999) }}",
    "\0",
    "{{ '\0' }}",
    "{% include 'x' %}",
    "{% macro a() %}{{ caller() }}{% endmacro %}{% call a() %}{{ a() }}{% endcall %}",
    "{{ x.y.z }}",
    "{{ messages | map(attribute='a' * 1000) | list }}",
    "{% for m in messages %}{{ m.content.split('') }}{% endfor %}",
    "{{ 1e308 * 10 | int }}",
    "{{ (1e308 * 10) | int }}",
    "{{ '9' * 5000 | int }}",
    "{{ ('9' * 5000) | int }}",
]


def tokenizer(case):
    random = case.random
    folder = case.seeds["companions"] + "/../../../TokenizationTests/Fixtures"
    if random.random() < 0.6:
        names = sorted(
            name
            for name in os.listdir(folder)
            if name.endswith(".tokenizer.json") and os.path.getsize(f"{folder}/{name}") < 60_000
        )
        names = names or ["smollm.tokenizer.json"]
        text = content(f"{folder}/{random.choice(names)}").decode()
        case.write("tokenizer.json", hostile_tokenizer(random, text).encode("utf-8", "surrogateescape"))
        case.run(
            "tokenize",
            "tokenizer.json",
            random.choice(["Hello  world, it's 2025! <think>", "a" * 3000, "é\u0301\u202e\0x".replace("\0", ""), ""]),
            *random.choice([[], ["--json"], ["--plain"]]),
            statuses=(0, 2),
        )
    else:
        source = model(case)
        copy_model(case, source, ["tokenizer.json"])
        text = content(os.path.join(source, "tokenizer.json")).decode()
        case.write("m/tokenizer.json", hostile_tokenizer(random, text).encode("utf-8", "surrogateescape"))
        imports(case)


def hostile_tokenizer(random, text):
    if random.random() < 0.6:
        return hostile.edit(random, text)
    tree = json.loads(text)
    action = random.randrange(9)
    pattern = random.choice(
        [
            "(a+)+$",
            "(?:a|a)*b",
            "a*" * 40 + "b",
            "(?=x)",
            "",
            "(",
            "\\p{Foo}",
            "(?<n>a)\\k<n>",
            "." * 5000,
            "(?R)",
            "[" * 3000,
            "(" * 5000,
            "(a{0,60000}){0,60000}",
            "\\C",
            "(*UTF)",
            "(?:)",
            "\\K",
            "^",
            "$",
            "(?s).*",
        ]
    )
    steps = [
        {"type": "Replace", "pattern": {"Regex": pattern}, "content": random.choice(["", "aa", "x" * 9000])},
        {"type": "Prepend", "prepend": "y" * random.choice([1, 100_000])},
        {"type": "NFKC"},
        {"type": "Replace", "pattern": {"String": ""}, "content": "b"},
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"},
        {"type": "Lowercase"},
        {"type": "Nmt"},
        {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    ]
    if action == 0:
        tree["normalizer"] = {
            "type": "Sequence",
            "normalizers": [random.choice(steps) for _ in range(random.choice([1, 3, 40, 3000]))],
        }
    elif action == 1:
        tree["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": pattern},
                    "behavior": random.choice(["Isolated", "Removed", "MergedWithNext", "Contiguous", "?"]),
                    "invert": random.choice([True, False]),
                }
            ]
            * random.choice([1, 2, 500]),
        }
    elif action == 2:
        tree["added_tokens"] = [
            {
                "id": random.choice([number, 0, -1, 2**31, 2**63 - 1]),
                "content": random.choice([f"<{number}>", "a", "", "\x1b", " "]),
                "special": number % 2 == 0,
                "lstrip": True,
                "rstrip": True,
                "normalized": number % 3 == 0,
                "single_word": number % 5 == 0,
            }
            for number in range(random.choice([1, 50, 5000]))
        ]
    elif action == 3:
        vocabulary = tree.get("model", {}).get("vocab")
        if isinstance(vocabulary, dict) and vocabulary:
            for _ in range(random.choice([1, 5])):
                vocabulary[random.choice(list(vocabulary))] = random.choice(
                    [0, -1, 2**31, 2**40, 2**63, 1.5, None, "1"]
                )
    elif action == 4:
        merges = tree.get("model", {}).get("merges")
        if isinstance(merges, list) and merges:
            tree["model"]["merges"] = random.choice(
                [merges * 2, merges[::-1], [["a", "b"]] * 50_000, ["a b c"], [[1, 2]], ["  "], [["", ""]], merges[1:]]
            )
    elif action == 5:
        tree["decoder"] = {
            "type": "Sequence",
            "decoders": [
                random.choice(
                    [
                        {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 5000},
                        {"type": "Strip", "content": "a", "start": 2**40, "stop": -1},
                        {"type": "Fuse"},
                        {"type": "ByteFallback"},
                        {"type": "ByteLevel"},
                    ]
                )
                for _ in range(random.choice([1, 4, 2000]))
            ],
        }
    elif action == 6:
        tree["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}] * 100_000,
            "pair": [],
            "special_tokens": {"<x>": {"id": "<x>", "ids": [2**31], "tokens": ["<x>"]}},
        }
    elif action == 7:
        tree["truncation"] = {
            "max_length": random.choice([-1, 0, 2**63 - 1]),
            "strategy": "LongestFirst",
            "stride": -5,
            "direction": "Left",
        }
        tree["padding"] = {
            "strategy": {"Fixed": 2**62},
            "pad_id": -1,
            "pad_type_id": 0,
            "pad_token": "",
            "direction": "Right",
        }
    else:
        return json.dumps(tree) + random.choice([" ", "\0", "{}", "\n" * 100_000, "]"])
    return json.dumps(tree)


def config(case):
    random = case.random
    source = model(case)
    copy_model(case, source, ["config.json"])
    if source == case.seeds["companions"] and random.random() < 0.5:
        path = f"{case.seeds['corpus']}/config/seed-" + random.choice(["llama", "llama3", "qwen2", "qwen3"]) + ".json"
    else:
        path = os.path.join(source, "config.json")
    case.write("m/config.json", hostile.edit(random, content(path).decode()).encode("utf-8", "surrogateescape"))
    imports(case)


def texts(case):
    random = case.random
    source = case.seeds["hf"]
    name = random.choice(["generation_config.json", "tokenizer_config.json"])
    copy_model(case, source, [name])
    text = content(os.path.join(source, name)).decode()
    if name == "tokenizer_config.json" and random.random() < 0.4:
        text = json.dumps(
            {
                **json.loads(text),
                "chat_template": random.choice(
                    [random.choice(TEMPLATES), [{"name": "default", "template": random.choice(TEMPLATES)}], 3]
                ),
            }
        )
    case.write(f"m/{name}", hostile.edit(random, text, random.choice([1, 2])).encode("utf-8", "surrogateescape"))
    imports(case)


def template(case):
    random = case.random
    source = case.seeds["hf"]
    copy_model(case, source, ["chat_template.jinja"])
    folder = case.seeds["corpus"] + "/template"
    if random.random() < 0.5:
        text = random.choice(TEMPLATES)
        if random.random() < 0.4:
            text += random.choice(TEMPLATES)
        text = text.encode()
    else:
        text = hostile.spoil(random, content(f"{folder}/{random.choice(sorted(os.listdir(folder)))}"))
    case.write("m/chat_template.jinja", text)
    if case.run("import", "m", "-o", "a.h5", outputs=["a.h5"], statuses=(0, 2)).status == 0:
        case.verify_written("a.h5")
        case.run(
            *random.choice(
                [
                    ["tokenize", "a.h5", "hello", "--chat"],
                    ["generate", "a.h5", "--prompt", "1+2?", "--max-new-tokens", "3"],
                ]
            ),
            statuses=(0, 2),
        )


# Data files and options

RECORDS = [
    '{"question": "1+1?", "answer": "1+1=2\\n#### 2"}',
    '{"problem": "1+1?", "solution": "so \\\\boxed{2}", "level": "Level 1"}',
    '{"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "<think>1+1</think>2"}], "answer": "2"}',
    '{"data_source": "x", "prompt": [{"role": "user", "content": "1+1?"}], "reward_model": {"ground_truth": "2"}}',
    '{"id": "1", "problem": "1+1?", "answer": "2", "response": "<short>\\\\boxed{2}", "mode": "short", "truncated": false}',
    '{"doc": {"question": "1+1?"}, "target": "2", "resps": [["\\\\boxed{2}"]]}',
    '{"answer": "\\\\boxed{\\\\frac{1}{2}}", "response": "0.5", "problem": "x"}',
]
ANSWERS = [
    "\\frac{1}{0}",
    "9" * 5000,
    "1e999999999",
    "2^{2^{2^{99}}}",
    "{" * 4000,
    "\\sqrt{" * 900 + "}" * 900,
    "((((" * 900,
    "\\boxed{" * 3000,
    "1/3/3/3" * 900,
    "-" * 9000,
    "\\begin{pmatrix}" + "1&" * 5000 + "\\end{pmatrix}",
    "(" + "1," * 9000 + ")",
    "10!!!!!!!!",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "-9223372036854775808",
    "1_000",
]


def data(case):
    """A file of pairs, problems or responses with a hostile row."""
    random, task, model_file = case.random, case.seeds["task"], case.seeds["model.h5"]
    path = random.choice(
        [
            task + "/train.jsonl",
            task + "/rl.jsonl",
            case.seeds["responses.jsonl"],
            case.seeds["good-responses.jsonl"],
            None,
        ]
    )
    rows = content(path).decode().splitlines()[:6] if path else [random.choice(RECORDS) for _ in range(3)]
    at = random.randrange(len(rows))
    if random.random() < 0.25:
        row = json.loads(rows[at])
        row[random.choice(["answer", "response", "short", "completion"])] = random.choice(ANSWERS)
        rows[at] = json.dumps(row)
    else:
        rows[at] = hostile.edit(random, rows[at])
    text = random.choice(["\n", "\n", "\n", "\r\n", "\n\n"]).join(rows) + random.choice(["\n", ""])
    result = text.encode("utf-8", "surrogateescape")
    if random.random() < 0.1:
        result = random.choice(
            [
                b"\xef\xbb\xbf" + result,
                result.decode("utf-8", "replace").encode("utf-16", "surrogatepass"),
                b"[" + result.replace(b"\n", b",") + b"]",
            ]
        )
    case.write("d.jsonl", result)
    run = ["-o", "run", "--dry-run"]
    case.run(
        *random.choice(
            [
                ["check-data", "d.jsonl"],
                ["check-data", "d.jsonl", "--json"],
                ["check-data", "d.jsonl", "--model", model_file],
                ["grade", "d.jsonl"],
                ["grade", "d.jsonl", "--answer", "any", "-o", "out.jsonl"],
                ["train-sft", model_file, "--data", "d.jsonl", *run],
                ["train-rl", model_file, "--data", "d.jsonl", *run],
                ["eval", model_file, "--data", "d.jsonl", "--limit", "2", "--max-new-tokens", "2"],
                ["diff", case.seeds["sft-old.h5"], case.seeds["sft.h5"], "--probe", "d.jsonl"],
                [
                    "distill",
                    task + "/dev.jsonl",
                    "-o",
                    "pairs.jsonl",
                    "--think-teacher",
                    "d.jsonl",
                    "--short-teacher",
                    "d.jsonl",
                ],
            ]
        ),
        outputs=["out.jsonl", "pairs.jsonl", "pairs.jsonl.answers"],
        statuses=(0, 1, 2),
        may_finish=True,
    )


def options(case):
    """A YAML file of options."""
    random = case.random
    lines = [
        "lr: 0.001",
        "steps: 2",
        "batch-pairs: 2",
        "seed: 7",
        "freeze: [model.norm.weight]",
        "schedule: cosine",
        "save-every: 1",
    ]
    for _ in range(random.choice([1, 2])):
        at = random.randrange(len(lines))
        key = lines[at].split(":")[0]
        new = random.choice(
            hostile.NUMBERS
            + hostile.STRINGS[:20]
            + [
                "[" * 5000,
                "&a [*a]",
                "!!python/object:os.system",
                "{a: b",
                "|\n  x",
                "'",
                "\t1",
                "~",
                "yes",
                "1 # c",
                "*b",
            ]
        )
        lines[at] = random.choice(
            [
                f"{key}: {new}",
                f"{new}: 1",
                f"{key}: 1\n{key}: 2",
                f"  {lines[at]}",
                f"{key}:\n  - {new}",
                f'"{key}": "{new}"',
                "<<: *x",
                "%YAML 9",
                "---",
                "- a",
            ]
        )
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    case.write("c.yaml", hostile.spoil(random, text) if random.random() < 0.2 else text)
    task = case.seeds["task"]
    command = random.choice(
        [
            ["train-sft", case.seeds["model.h5"], "--data", task + "/train.jsonl"],
            ["train-rl", case.seeds["model.h5"], "--data", task + "/rl.jsonl"],
        ]
    )
    case.run(*command, "--config", "c.yaml", "-o", "run", "--dry-run", statuses=(0, 2))
