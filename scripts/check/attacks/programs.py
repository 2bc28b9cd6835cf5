"""Hostile reward programs, and hostile teachers."""

import http.server
import json
import os
import shlex
import threading

from attacks import writers

PYTHON = "python3 -c "
GOOD = "import sys,json\nfor l in sys.stdin:\n r=json.loads(l)['responses']\n "
PROGRAMS = {
    "floods": "yes",
    "floods without lines": "cat /dev/zero",
    "floods errors": "yes >&2",
    "dies": "exit 3",
    "dies by signal": "kill -9 $$",
    "closes": "exec >&- ; sleep 60",
    "silent": "sleep 777",
    "echoes": "cat",
    "late": PYTHON
    + shlex.quote(GOOD + "import time; time.sleep(5); print(json.dumps({'results':[True]*len(r)}),flush=True)"),
    "partial line": "printf '{\"results\":'; sleep 60",
    "partial line and end": "printf '{\"results\": []'",
    "orphan": "sleep 778 & sleep 779 & wait",
    "orphan that ignores signals": "trap '' TERM HUP INT; sleep 780 & sleep 781",
    "orphan in a session": "setsid sleep 6 & cat > /dev/null",
    "invalid UTF-8": r"while read l; do printf '{\"results\":[\"\377\376\"]}\n'; done",
    "control characters": r"while read l; do printf '\033]0;owned\007\033[2J\n'; done",
    "huge line": PYTHON + shlex.quote("print('['*50_000_000,flush=True)"),
    "huge number": PYTHON
    + shlex.quote(GOOD + "print(json.dumps({'results':[{'right':True,'reward':1e308}]*len(r)}),flush=True)"),
    "not a number": PYTHON
    + shlex.quote(
        GOOD + "print('{\"results\":['+','.join(['{\"right\":true,\"reward\":NaN}']*len(r))+']}',flush=True)"
    ),
    "overflow": PYTHON + shlex.quote(GOOD + "print('{\"results\":['+','.join(['1e999']*len(r))+']}',flush=True)"),
    "too many": PYTHON + shlex.quote(GOOD + "print(json.dumps({'results':[True]*(len(r)+1)}),flush=True)"),
    "too few": PYTHON + shlex.quote(GOOD + "print(json.dumps({'results':[]}),flush=True)"),
    "two lines": PYTHON + shlex.quote(GOOD + "print(json.dumps({'results':[True]*len(r)})*1+'\\n{}',flush=True)"),
    "deep": PYTHON + shlex.quote("print('['*100000+']'*100000,flush=True)"),
    "dies later": PYTHON
    + shlex.quote(
        GOOD
        + "print(json.dumps({'results':[True]*len(r)}),flush=True)\n if r: break\nsys.stderr.write('x'*100000+'\\x1b[2J\\nlast words\\n'); sys.exit(7)"
    ),
    "closes its input": "exec <&-; sleep 60",
    "not found": "./no-such-program",
    "good": PYTHON + shlex.quote(GOOD + "print(json.dumps({'results':[True]*len(r)}),flush=True)"),
    "byte by byte": PYTHON
    + shlex.quote(
        GOOD
        + "import time\n for c in json.dumps({'results':[True]*len(r)})+'\\n': sys.stdout.write(c); sys.stdout.flush(); time.sleep(0.001)"
    ),
    "floods errors and answers": PYTHON
    + shlex.quote(GOOD + "sys.stderr.write('e'*3_000_000); print(json.dumps({'results':[True]*len(r)}),flush=True)"),
    "leaves a child": PYTHON
    + shlex.quote(
        "import subprocess\nsubprocess.Popen(['sleep','782'])\n"
        + GOOD
        + "print(json.dumps({'results':[True]*len(r)}),flush=True)"
    ),
}


def attack(case):
    if case.number % 2:
        return distill(case)
    random = case.random
    names = list(PROGRAMS)
    name = names[case.number // 2 % len(names)]
    options = ["--reward", "command:" + PROGRAMS[name], "--reward-timeout", "2"]
    if random.random() < 0.6:
        case.run(
            "grade",
            case.seeds["good-responses.jsonl"],
            *options,
            "-o",
            "out.jsonl",
            outputs=["out.jsonl"],
            statuses=(0, 2),
        )
    else:
        case.run(
            *writers.small_training("rl", case.seeds["model.h5"], case.seeds["task"] + "/rl.jsonl", "run"),
            *options,
            outputs=["run"],
            run_folder="run",
            statuses=(0, 2),
        )
    if name != "orphan in a session":  # A program that leaves the process group escapes; the sleep ends by itself.
        case.judge_survivors()


# Teachers

ANSWERS = [
    "drop",
    "drop half",
    "stall",
    "flood",
    "flood header",
    "status 500",
    "status 429",
    "status 200 html",
    "redirect",
    "lie length",
    "short length",
    "deep",
    "huge number",
    "control",
    "null",
    "wrong types",
    "empty",
    "key echo",
    "good",
    "chunk lie",
    "not http",
    "many choices",
    "bom",
    "invalid utf8",
]


def reply(content):
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 3},
    }


class Teacher(http.server.BaseHTTPRequestHandler):
    """Answers as its server's `manner` says; stops with the server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.send(json.dumps({"object": "list", "data": [{"id": "teacher"}]}).encode())

    def send(self, content, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        manner = self.server.manner
        good = json.dumps(reply("<think>1+1</think>\\boxed{2}")).encode()
        self.close_connection = True
        try:
            if manner == "drop":
                return
            if manner == "drop half":
                self.send(good[:20], length=len(good))
            elif manner == "stall":
                self.server.stopped.wait(20)
            elif manner == "flood":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while not self.server.stopped.is_set():
                    self.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
            elif manner == "flood header":
                while not self.server.stopped.is_set():
                    self.wfile.write(b"X-A: " + b"a" * 65536 + b"\r\n")
            elif manner == "status 500":
                self.send(b"\x1b[2Jbroken\nckpt: error: forged", 500)
            elif manner == "status 429":
                self.send(b"{}", 429, Retry_After=self.server.random.choice(["1", "-5", "nan", "1e400", "x" * 60_000]))
            elif manner == "status 200 html":
                self.send(b"<html>\x1b]0;owned\x07</html>")
            elif manner == "redirect":
                self.send(b"", 302, Location="http://127.0.0.1:1/")
            elif manner == "lie length":
                self.send(good, length=2**62)
            elif manner == "short length":
                self.send(good, length=10)
            elif manner == "deep":
                self.send(b"[" * 500_000)
            elif manner == "huge number":
                self.send(good.replace(b": 3}", b": 1e999}").replace(b'"index": 0', b'"index": 99999999999999999999'))
            elif manner == "control":
                self.send(json.dumps(reply("\x1b[2J\u202e\0</think>\\boxed{2}<think>")).encode())
            elif manner == "null":
                self.send(b'{"choices": null}')
            elif manner == "wrong types":
                self.send(b'{"choices": [{"message": {"content": 7}, "finish_reason": []}]}')
            elif manner == "empty":
                self.send(b"")
            elif manner == "key echo":
                self.send(b"denied for " + self.headers.get("Authorization", "").encode(), 401)
            elif manner == "chunk lie":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"FFFFFFFFFFFFFFFF\r\nabc\r\n")
            elif manner == "not http":
                self.wfile.write(b"\0\1\2 nonsense\r\n\r\n")
            elif manner == "many choices":
                self.send(json.dumps({"choices": reply("x")["choices"] * 50_000}).encode())
            elif manner == "bom":
                self.send(b"\xef\xbb\xbf" + good)
            elif manner == "invalid utf8":
                self.send(good.replace(b"1+1", b"\xff\xc0"))
            else:
                self.send(good)
        except OSError:
            pass


def distill(case):
    manner = ANSWERS[case.number // 2 % len(ANSWERS)]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    server.daemon_threads, server.manner, server.stopped, server.random = True, manner, threading.Event(), case.random
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/v1"
        key = "sk-secret-0123456789abcdef"
        result = case.run(
            "distill",
            case.seeds["task"] + "/dev.jsonl",
            "-o",
            "pairs.jsonl",
            "--think-teacher",
            address,
            "--short-teacher",
            address,
            "--limit",
            "2",
            "--think-key-env",
            "ATTACK_KEY",
            "--short-key-env",
            "ATTACK_KEY",
            "--timeout",
            "2",
            "--retries",
            "1",
            "--retry-delay",
            "0.1",
            env={"ATTACK_KEY": key},
            # 1 if no pair was kept.
            statuses=(0, 1, 2),
            slow=20,
            outputs=["pairs.jsonl", "pairs.jsonl.answers"],
            may_finish=True,
        )  # The journal is resumed from.
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
    texts = [result.stdout, result.stderr]
    for name in os.listdir(case.folder):
        with open(case.path(name), "rb") as file:
            texts.append(file.read())
    if any(key.encode() in text for text in texts):
        case.fail("other", "the key of the server was printed")
    case.judge_survivors()
