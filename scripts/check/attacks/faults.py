"""System calls that fail: EIO, ENOSPC and others, or short transfers, by a preloaded library."""

import errno
import os
import subprocess

from attacks import writers
from attacks.case import listing

NOTE = (
    "System calls fail by a preloaded library (scripts/check/attacks/fail_io.c), not by device-mapper's error target."
)
CALLS = {
    "read": 40,
    "write": 40,
    "fsync": 12,
    "rename": 8,
    "open": 25,
    "truncate": 6,
    "close": 25,
    "mkdir": 4,
    "unlink": 4,
}


def library(case):
    """The compiled library; made once."""
    folder = os.path.dirname(case.setup["findings"])
    path, source = os.path.join(folder, "fail_io.so"), os.path.join(os.path.dirname(__file__), "fail_io.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        made = f"{path}.{os.getpid()}"
        subprocess.run(["cc", "-O1", "-w", "-shared", "-fPIC", source, "-o", made, "-ldl"], check=True)
        os.replace(made, path)
    return path


def attack(case):
    random = case.random
    case.notes.append(NOTE)
    name, (arguments, outputs, folder) = random.choice(list(writers.writers(case).items()))
    replaces = folder is None and outputs[0] != "out" and name != "eval" and random.random() < 0.4
    if replaces:
        writers.place_old(case, outputs)
        arguments = [*arguments, "--force"]
    # What is done after the rename can fail too, and eval --answers is a journal.
    call = random.choice(list(CALLS))
    code = random.choice([errno.EIO, errno.EIO, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EINTR, 0])
    # A close that fails has closed; a read that fails for ever is not EINTR.
    if call in ("close", "unlink", "mkdir", "rename") and code in (0, errno.EINTR):
        code = errno.EIO
    settings = {
        "LD_PRELOAD": library(case),
        "ATTACK_ROOT": case.folder,
        "ATTACK_CALL": call,
        "ATTACK_AT": str(1 + int(random.random() ** 2 * CALLS[call])),
        "ATTACK_ERRNO": str(code),
    }
    if call in ("read", "open") and random.random() < 0.7:
        settings["ATTACK_ROOT"] = os.path.dirname(case.seeds["model.h5"])  # The inputs.
    if random.random() < 0.3 and code not in (0, errno.EINTR):
        settings["ATTACK_EVERY"] = "1"
    # A folder that cannot be opened cannot be emptied; the next command that writes there removes it.
    keeps_folder = call == "open" and "ATTACK_EVERY" in settings and outputs == ["out"]
    result = case.run(
        *arguments,
        outputs=outputs,
        run_folder=folder,
        env=settings,
        statuses=(0, 1, 2),
        keeps_temporary=call == "unlink" or keeps_folder,
        may_finish=name == "eval" or call in ("fsync", "open", "close", "unlink"),
    )
    if keeps_folder and result.status == 2 and not os.path.exists(case.path("out")):
        again = case.execute(arguments)
        if again.status != 0:
            case.fail("other", f"the next command fails, status {again.status}: {again.stderr[-300:]!r}")
        kept = [path for path in listing(case.folder) if os.path.basename(path).startswith(".ckpt-")]
        if kept:
            case.fail("leftovers", f"{kept[0]} after the next command: {' '.join(arguments)[:200]}")
    if result.status in (0, 1):
        writers.check_output(case, outputs)
    elif folder:
        case.judge_next_run(arguments, folder)
    elif replaces and result.status == 2:
        writers.check_output(case, outputs)  # The old one or the new one.
