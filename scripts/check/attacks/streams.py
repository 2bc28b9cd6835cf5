"""Standard output and error full, closed, or a pipe whose reader has gone, in all commands."""

from attacks import writers

FULL, CLOSED, GONE = "full", "closed", "gone"


def commands(case):
    """All commands as (arguments, outputs, training folder)."""
    seeds, task = case.seeds, case.seeds["task"]
    found = [(name, *entry) for name, entry in writers.writers(case).items()]
    reading = {
        "inspect": ["inspect", seeds["sft.h5"]],
        "verify": ["verify", seeds["model.h5"]],
        "tokenize": ["tokenize", seeds["model.h5"], "1+2?"],
        "generate": ["generate", seeds["model.h5"], "--prompt", "1+2?", "--max-new-tokens", "3"],
        "check-data": ["check-data", task + "/train.jsonl"],
        "history": ["inspect", seeds["rl.h5"], "history"],
    }
    return found + [(name, arguments, [], None) for name, arguments in reading.items()]


WITH_JSON = {
    "add-tokens",
    "cast",
    "rename",
    "extract",
    "graft",
    "merge",
    "strip",
    "resize-vocab",
    "make-task",
    "check-data",
    "tokenize",
    "eval",
    "grade",
    "generate",
    "inspect",
    "diff",
    "verify",
}
STREAMS = [
    (FULL, None),
    (CLOSED, None),
    (GONE, None),
    (None, FULL),
    (None, CLOSED),
    (None, GONE),
    (FULL, FULL),
    (CLOSED, CLOSED),
]


def attack(case):
    listed = commands(case)
    variants = [
        (command, form, streams)
        for command in listed
        for form in ("plain", "--json", "--help")
        for streams in STREAMS
        if form != "--json" or command[1][0] in WITH_JSON
    ]
    (name, arguments, outputs, folder), form, (out, error) = variants[case.number % len(variants)]
    if form == "--help":
        arguments, outputs, folder = [arguments[0], "--help"], [], None
    elif form == "--json":
        arguments = [*arguments, "--json"]
    if case.number >= len(variants):  # Errors also have nowhere to go.
        arguments = [arguments[0], "/nonexistent"]
    # What the command does with sound streams, in another folder.
    plain = case.execute([f"plain-{word}" if word in outputs else word for word in arguments])
    case.transcript.clear()
    redirect = {FULL: "/dev/full", CLOSED: "&-"}
    shell = 'exec "$0" "$@"'
    if out in redirect:
        shell += f" >{redirect[out]}"
    if error in redirect:
        shell += f" 2>{redirect[error]}"
    if GONE in (out, error):
        # The reader has gone before the command starts.
        number = 1 if out == GONE else 2
        shell = f"exec {number}> >(exec true); sleep 0.1; {shell}"
    wants_output = bool(plain.stdout)
    if out in redirect and wants_output:
        expected = (2,)
    elif out == GONE and wants_output:
        expected = (141,)
    else:
        expected = (plain.status,)
    result = case.run(
        *arguments,
        outputs=outputs,
        run_folder=folder,
        shell=shell,
        statuses=expected,
        loses_errors=error is not None,
        may_finish=True,
    )
    if out == GONE and result.status == 141 and b"error" in result.stderr:
        case.fail("several lines", f"a closed pipe is not quiet: {result.stderr[-200:]!r}")
