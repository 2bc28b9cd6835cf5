"""Limits of file size, memory, descriptors and processes, and full disks."""

import math
import os

from attacks import writers


def attack(case):
    random = case.random
    name, (arguments, outputs, folder) = random.choice(list(writers.writers(case).items()))
    kind = random.choice(["file size", "memory", "descriptors", "processes", "disk", "disk"])
    forced = random.random() < 0.3 and folder is None and outputs[0] != "out" and name != "eval"
    if kind == "disk":
        return disk(case, name, arguments, outputs, folder)
    if forced:
        writers.place_old(case, outputs)
        arguments = [*arguments, "--force"]
    if kind == "file size":
        limit = f"ulimit -f {int(math.exp(random.uniform(0, 7)))}"
    elif kind == "memory":
        limit = f"ulimit -v {int(math.exp(random.uniform(math.log(30_000), math.log(2_000_000))))}"
    elif kind == "descriptors":
        limit = f"ulimit -n {random.randrange(3, 24)}"
    else:
        if os.getuid() == 0:  # Root is not limited, so the command runs as another user.
            os.chmod(case.folder, 0o777)
            user = 40000 + case.number
            case.run(
                *arguments,
                outputs=outputs,
                run_folder=folder,
                judged=True,
                statuses=(0, 1, 2, 126, 127),
                loses_errors=True,
                shell=f'exec setpriv --reuid={user} --clear-groups bash -c "ulimit -u {random.randrange(1, 12)}; exec \\"\\$0\\" \\"\\$@\\"" "$0" "$@"',
            )
            return end(case, outputs)
        limit = f"ulimit -u {random.randrange(1, 40)}"
    case.run(
        *arguments,
        outputs=outputs,
        run_folder=folder,
        shell=f'{limit}; exec "$0" "$@"',
        statuses=(0, 1, 2, 127),
        loses_errors=True,
        may_finish=name == "eval",
    )
    last = case.last
    # 127: the loader has too little memory or too few descriptors; nothing of ckpt has run.
    started = last.status != 127 or b"error while loading shared libraries" not in last.stderr
    if started and last.status == 2 and not last.hung:
        case.judge_text(last, " ".join(arguments)[:100], arguments[0], loses_errors=False)
    elif last.status == 127 and started:
        case.fail("other", f"status 127: {last.stderr[-200:]!r}")
    end(case, outputs)
    if folder and last.status != 0 and not last.hung:
        case.judge_next_run(arguments, folder)


def end(case, outputs):
    if case.last.status == 0:
        writers.check_output(case, outputs)


def disk(case, name, arguments, outputs, folder):
    """A tmpfs that is too small."""
    random = case.random
    size = int(math.exp(random.uniform(math.log(4096), math.log(3_000_000)))) // 4096 * 4096
    arguments = [f"disk/{word}" if word in (*outputs, "run") else word for word in arguments]
    os.makedirs(case.path("disk"))
    if case.execute(["--version"], shell='unshare -m bash -c "mount -t tmpfs none disk"').status != 0:
        case.notes.append("A tmpfs cannot be mounted here (needs root), so full disks were not tried.")
        return case.run("--version")
    listing_file = case.folder + ".listing"
    shell = (
        f'unshare -m bash -c \'mount -t tmpfs -o size={size},nr_inodes=40 none disk; "$0" "$@"; status=$?; '
        f'find disk -mindepth 1 -printf "%y %P\\n" > {listing_file}; '
        f'for file in disk/*.h5 disk/run/*.h5; do [ ! -e $file ] || "$0" verify $file > /dev/null || echo broken $file >> {listing_file}; done; '
        f'exit $status\' "$0" "$@"'
    )
    result = case.run(*arguments, shell=shell, statuses=(0, 1, 2))
    with open(listing_file) as file:
        left = [line.rstrip("\n").split(" ", 1) for line in file]
    os.remove(listing_file)
    for kind, path in left:
        if kind == "broken":
            case.fail("silent wrong", f"{path} was left and is not whole")
        elif (
            ".ckpt-" in path
            or path.endswith((".partial", ".tmp"))
            or result.status == 2
            and not folder
            and name != "eval"
        ):
            case.fail(
                "leftovers",
                f"{path} on a disk of {size} bytes, status {result.status}: {name}: {result.stderr[-200:]!r}",
            )
