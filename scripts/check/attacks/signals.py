"""Signals at random moments while commands write.

After SIGINT, SIGTERM and SIGHUP the exit status is 130, 143 or 129, nothing temporary is left, and an older output is
untouched. After SIGKILL the next command that writes there removes what was left.
"""

import os
import shutil
import signal
import time

from attacks import writers
from attacks.case import listing

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: 137}


def is_whole(path):
    """Whether a page or a file of JSON lines is complete; checkpoints are verified by check_output."""
    if path.endswith(".h5") or not os.path.exists(path):
        return os.path.exists(path)
    with open(path) as file:
        content = file.read()
    return content.rstrip().endswith("</html>" if path.endswith(".html") else "}") and content.endswith("\n")


def attack(case):
    random = case.random
    large = random.random() < 0.6
    name, (arguments, outputs, folder) = random.choice(list(writers.writers(case, large).items()))
    number = random.choice(list(STATUS))
    replaces = folder is None and outputs[0] != "out" and name != "eval" and random.random() < 0.5
    if replaces:
        writers.place_old(case, outputs)
        arguments = [*arguments, "--force"]
    # How long the command takes under the present load, in another folder.
    probe = case.folder + ".probe"
    os.makedirs(probe)
    folder_of_case, case.folder = case.folder, probe
    started = time.monotonic()
    case.execute(arguments)
    span = time.monotonic() - started
    case.folder = folder_of_case
    case.transcript.clear()
    moment = random.uniform(0, span * 1.1)
    twice = random.random() < 0.2

    def act(process):
        time.sleep(moment)
        os.kill(process.pid, number)
        if twice:
            time.sleep(random.uniform(0, 0.02))
            os.kill(process.pid, number)

    before = listing(case.folder)
    result = case.execute(arguments, act=act)
    case.transcript[
        -1
    ] += f"  # {signal.Signals(number).name} after {moment * 1000:.1f} ms of {span * 1000:.1f}{', twice' if twice else ''}"
    shown = f"{signal.Signals(number).name} after {moment * 1000:.1f} ms: " + " ".join(arguments)[:120]
    case.verdict = "ended" if result.status == STATUS[number] else "accepted" if result.status in (0, 1) else "refused"
    case.judge_end(result, shown, (0, 1, STATUS[number]))
    case.judge_text(result, shown, name, loses_errors=True)
    if number == signal.SIGKILL:
        if folder:
            arguments = [*arguments, "--force"] if os.path.isdir(case.path("run")) else arguments
        elif not replaces and any(os.path.exists(case.path(output)) for output in outputs):
            arguments = [*arguments, "--force"]
        again = case.execute(arguments)
        if again.status not in (0, 1):
            case.fail("other", f"the next command fails, status {again.status}: {again.stderr[-300:]!r}; {shown}")
        result = again
    after = listing(case.folder)
    for path in after:
        if os.path.basename(path).startswith(".ckpt-") or path.endswith((".partial", ".tmp")):
            case.fail("leftovers", f"{path}: {shown}")
        elif (
            result.status in (129, 130, 143)
            and path not in before
            and not (folder and path.startswith("run"))
            and not (name == "eval" and path == "out.jsonl")
            and not (path in outputs and os.path.isfile(case.path(path)) and is_whole(case.path(path)))
        ):
            # eval --answers is a journal from which it resumes; an output may be finished before the signal.
            case.fail("leftovers", f"{path}, status {result.status}: {shown}")
    if replaces and result.status not in (0, 1):
        for output in outputs:
            if after.get(output) != before[output] and not is_whole(case.path(output)):
                case.fail("silent wrong", f"{output} is neither the old file nor a whole new one: {shown}")
    writers.check_output(case, outputs)
    case.judge_survivors()
    shutil.rmtree(probe)
