"""The reference programs, each in a process of its own that answers one line of JSON with another."""

import json
import os
import pathlib
import subprocess
import sys


class Peer:
    """A running reference program; started at the first question, and again after it has ended."""

    def __init__(self, python, module, log):
        self.command = [python, "-m", f"modelkinds.{module}"]
        self.log = log
        self.process = None

    def ask(self, name, **arguments):
        """The answer of the peer's function `name`; raises PeerError with its error."""
        if self.process is None or self.process.poll() is not None:
            environment = os.environ | {
                "MODELKINDS_SITE": site(),
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
            }
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=open(self.log, "ab"),
                text=True,
                env=environment,
            )
        try:
            self.process.stdin.write(json.dumps([name, arguments], default=str) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"{self.command[-1]} ended with status {self.process.wait()}, see {self.log}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["value"]


class PeerError(Exception):
    pass


def site():
    """Where this interpreter's packages are: a peer in another one takes from there what it lacks, such as torch."""
    import torch

    return str(pathlib.Path(torch.__file__).parents[1])


def serve(functions):
    """Answers questions until standard input ends; what the functions print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": functions[name](**arguments)}
        except Exception as error:  # The asker decides what it means.
            answer = {"error": f"{type(error).__name__}: {error}"[:600]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
