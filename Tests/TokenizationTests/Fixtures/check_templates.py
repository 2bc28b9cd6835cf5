"""Renders templates with transformers and with ours and compares. Not part of the tests: it needs the peer.

    swift build -c release --product tokenization-bench
    python check_templates.py .build/release/tokenization-bench FOLDER_OF_JINJA_FILES

Published templates are in the source package of llama-cpp-python (vendor/llama.cpp/models/templates).
"""

import datetime
import json
import pathlib
import subprocess
import sys

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

bench, folder = sys.argv[1:3]

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
    [SYSTEM, USER, CALL, RESULT, RESULT, ANSWER, USER], [USER, REASONED, USER], [SYSTEM], [ANSWER, USER], [USER, USER], [],
]
VARIABLES = [
    {}, {"bos_token": "<s>", "eos_token": "</s>"}, {"enable_thinking": False, "bos_token": "<s>", "eos_token": "</s>"},
    {"enable_thinking": True, "date_string": "01 Jan 2026", "bos_token": "<s>", "eos_token": "</s>"},
    {"tools": TOOLS, "bos_token": "<s>", "eos_token": "</s>", "date_string": "01 Jan 2026"},
    {"tools": TOOLS, "tools_in_user_message": False, "bos_token": "<s>", "eos_token": "</s>", "thinking": True},
]

total = wrong = 0
for path in sorted(pathlib.Path(folder).glob("*.jinja")):
    source = path.read_text(encoding="utf-8")
    records = [
        {"messages": messages, "generation": generation, "variables": variables}
        for messages in CONVERSATIONS for variables in VARIABLES for generation in (False, True)]
    run = subprocess.run(
        [bench, "render", str(path)], input="".join(json.dumps(r) + "\n" for r in records).encode(), capture_output=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode or len(answers) != len(records):
        print(f"{path.name}: refused: {run.stderr.decode().strip()[-300:]}")
        continue
    differ, errors = 0, {}
    for record, answer in zip(records, answers):
        try:
            template = _compile_jinja_template(source)
            names = {"tools": None, "documents": None, **record["variables"]}
            wanted = {"text": template.render(
                messages=record["messages"], add_generation_prompt=record["generation"], **names)}
        except Exception as error:  # whatever Python raises is a refusal
            wanted = {"error": f"{type(error).__name__}: {error}"}
        total += 1
        if ("text" in wanted) != ("text" in answer) or ("text" in wanted and wanted != answer):
            differ += 1
            if differ <= 2:
                print(f"{path.name}: {json.dumps(record)[:600]}\n  ours   {answer}\n  theirs {wanted}")
        elif "error" in answer:
            errors[answer["error"][:150]] = wanted["error"][:150]
    wrong += differ
    print(f"{path.name}: {len(records)} renderings, {differ} differ")
    if "--errors" in sys.argv:
        for ours, theirs in errors.items():
            print(f"    {ours}   |   {theirs}")
print(f"{total} renderings, transformers {transformers.__version__}, jinja2 {jinja2.__version__}: {wrong} differ")
sys.exit(wrong > 0)
