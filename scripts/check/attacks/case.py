"""One attack: a folder, commands run in it, and the rules that each command must keep."""

import os
import random
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import time

HANG = 10.0  # seconds
MEMORY = 600_000_000  # bytes resident, far above what any of the inputs needs
COLUMNS = ["crashes", "hangs", "leftovers", "silent wrong", "several lines", "other"]
CRASH_TEXT = re.compile(
    rb"Fatal error|AddressSanitizer|runtime error:|Stack dump|Program crashed|\*\*\* Signal|swift-backtrace|terminate called"
    rb"|malloc\(\)|free\(\)|corrupted size|double free|Assertion"
)
CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGTRAP}
# Control characters but tab, line feed and carriage return; C1; marks of direction.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TRAINING_FILE = re.compile(
    r"(^|/)(step-\d{6,}\.h5|metrics\.jsonl|rollouts(/step-\d+\.jsonl)?|tensorboard(/events\.[^/]*)?)$"
)


def listing(folder):
    """What lies in a folder: path → (kind, size, time, inode)."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            is_folder = os.path.isdir(path)
            found[os.path.relpath(path, folder)] = (
                ("folder",) if is_folder else ("file", status.st_size, status.st_mtime_ns, status.st_ino)
            )
    return found


class Result:
    """How one command ended. `status` is that of a shell: 128 + signal for a process that a signal ended."""

    def __init__(self, status, seconds, memory, stdout, stderr, hung):
        self.status, self.seconds, self.memory = status, seconds, memory
        self.stdout, self.stderr, self.hung = stdout, stderr, hung


class Case:
    def __init__(self, kind, number, setup):
        self.kind, self.number, self.setup = kind, number, setup
        self.random = random.Random(f"{setup['seed']} {kind} {number}")
        self.ckpt, self.seeds = setup["ckpt"], setup["seeds"]
        self.name = f"{kind}-{number}"
        self.folder = os.path.join(setup["work"], self.name)
        self.transcript, self.findings, self.notes = [], [], []
        self.verdict, self.memory, self.longest, self.mark = None, 0, 0, f"{os.getpid()}-{self.name}"
        os.makedirs(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return path

    def fail(self, column, text):
        assert column in COLUMNS
        self.findings.append((column, text))

    def start(self, arguments, shell=None, env=None, stdout=None, stderr=None, stdin=subprocess.DEVNULL):
        """Starts ckpt in the folder, in a session of its own. `shell` is a bash line in which "$0" "$@" is the command."""
        command = [self.ckpt, *arguments]
        if shell:
            command = ["bash", "-c", shell, *command]
        variables = dict(self.setup["environment"], CKPT_ATTACK=self.mark, **(env or {}))
        words = [f"{key}={shlex.quote(value)}" for key, value in (env or {}).items()]
        self.transcript.append(" ".join(words + [shlex.quote(word) for word in command]))
        return subprocess.Popen(
            command, cwd=self.folder, env=variables, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
        )

    def finish(self, process, limit=HANG * 3):
        """Waits, and ends the process's group if it takes too long.

        Returns (status, most memory in bytes, hung). The kernel counts this process's own memory too, from before exec.
        """
        descriptor = os.pidfd_open(process.pid)
        hung = not select.select([descriptor], [], [], limit)[0]
        os.close(descriptor)
        if hung:
            os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        status = os.waitstatus_to_exitcode(status)
        return (128 - status if status < 0 else status), usage.ru_maxrss * 1024, hung

    def execute(self, arguments, act=None, limit=HANG * 3, **options):
        """Runs to the end. `act` is called with the process while it runs."""
        streams = [open(self.folder + suffix, "w+b") for suffix in (".stdout", ".stderr")]
        started = time.monotonic()
        process = self.start(arguments, stdout=streams[0], stderr=streams[1], **options)
        if act:
            act(process)
        status, memory, hung = self.finish(process, limit)
        seconds = time.monotonic() - started
        texts = []
        for stream in streams:
            stream.seek(0)
            texts.append(stream.read(4 << 20))
            stream.close()
        self.longest = max(self.longest, seconds)
        if memory > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:
            self.memory = max(self.memory, memory)
        return Result(status, seconds, memory, *texts, hung)

    def run(
        self,
        *arguments,
        outputs=(),
        statuses=(0, 1, 2),
        run_folder=None,
        slow=HANG,
        loses_errors=False,
        judged=True,
        may_finish=False,
        keeps_temporary=False,
        **options,
    ):
        """Runs a command and applies all rules.

        `outputs` are the names that may appear or change if it succeeds, and with `may_finish` also if it fails after the
        work is done, as when the report cannot be printed; checkpoints among them must be whole. `run_folder` is a
        training run's folder, in which logs may appear also if the run fails. `keeps_temporary`: it cannot remove.
        """
        before = listing(self.folder)
        result = self.execute(arguments, **options)
        self.last = result
        shown = " ".join(arguments)[:200]
        if judged:
            self.verdict = "accepted" if result.status == 0 else "refused"
        self.judge_end(result, shown, statuses, slow)
        self.judge_text(result, shown, arguments[0], loses_errors)
        self.judge_files(before, result, shown, outputs, run_folder, may_finish, keeps_temporary)
        if may_finish and result.status != 0:
            for output in outputs:
                if output.endswith(".h5"):
                    self.verify_written(output)
        return result

    def judge_end(self, result, shown, statuses, slow=HANG):
        # On a loaded machine a command that has done little work is only waiting for its turn.
        if result.hung or result.seconds > slow and os.getloadavg()[0] < 2 * os.cpu_count():
            self.fail("hangs", f"{result.seconds:.1f} s: {shown}")
        elif result.status - 128 in CRASH_SIGNALS or CRASH_TEXT.search(result.stderr):
            self.fail("crashes", f"status {result.status}: {shown}: {result.stderr[-300:]!r}")
        elif result.memory > max(MEMORY, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024):
            self.fail("other", f"{result.memory / 1e6:.0f} MB: {shown}")
        elif result.status not in statuses:
            self.fail("other", f"status {result.status}: {shown}: {result.stderr[-300:]!r}")

    def judge_text(self, result, shown, command, loses_errors):
        text = result.stderr.decode("utf-8", "replace")
        lines = text.splitlines()
        errors = [line for line in lines if line.startswith("ckpt: error: ") or line.startswith("Error: ")]
        reports = command in ("train-sft", "train-rl", "eval", "distill", "generate")
        if result.status == 2 and not loses_errors and not result.hung:
            if not errors:
                self.fail("other", f"exit 2 without an error line: {shown}: {text[-300:]!r}")
            elif (
                len(errors) > 1
                or (lines[-1] != errors[0])
                or (not reports and any(not line.startswith("ckpt: ") for line in lines))
            ):
                self.fail("several lines", f"{shown}: {text[-600:]!r}")
            elif len(errors[0]) > 4100:
                self.fail("several lines", f"an error of {len(errors[0])} characters: {shown}")
        elif result.status == 0 and errors:
            self.fail("silent wrong", f"an error and exit 0: {shown}: {text[-300:]!r}")
        if CONTROL.search(text):
            self.fail("other", f"control characters on standard error: {shown}: {text[-300:]!r}")

    def judge_files(self, before, result, shown, outputs, run_folder, may_finish, keeps_temporary):
        succeeded = result.status in (0, 1)
        after = listing(self.folder)
        for path, entry in after.items():
            if before.get(path) == entry:
                continue
            name = os.path.basename(path)
            if "/.ckpt-" in "/" + path or name.endswith((".partial", ".tmp")):
                if not keeps_temporary:
                    self.fail("leftovers", f"{path} after status {result.status}: {shown}")
            elif (succeeded or may_finish) and any(
                path == output or path.startswith(output + "/") for output in outputs
            ):
                continue
            elif run_folder and (path == run_folder or path.startswith(run_folder + "/")):
                # The mark says that a run has metrics but no state yet, and that a new start may replace it.
                is_mark = name == ".unsaved" and after.get(run_folder + "/metrics.jsonl", ("file", 0))[1] > 0
                if path != run_folder and not TRAINING_FILE.search(path) and not is_mark:
                    self.fail("leftovers", f"{path} after status {result.status}: {shown}")
            elif path in before:
                self.fail("silent wrong", f"{path} changed, status {result.status}: {shown}")
            else:
                self.fail("leftovers", f"{path} after status {result.status}: {shown}")
        for path in before.keys() - after.keys():
            if not (run_folder and path.startswith(run_folder)):
                self.fail("silent wrong", f"{path} is gone, status {result.status}: {shown}")

    def judge_next_run(self, arguments, run_folder):
        """After a failed run that saved nothing, the same command must start and succeed without --force."""
        folder = self.path(run_folder)
        if os.path.isdir(folder) and not any(name.endswith(".h5") for name in os.listdir(folder)):
            again = self.execute(arguments)
            if again.status != 0:
                self.fail("leftovers", f"what a failed run left stands in the way of the next: {again.stderr[-300:]!r}")

    def verify_written(self, name):
        """What a command wrote must be whole."""
        if os.path.isfile(self.path(name)):
            result = self.execute(["verify", name])
            if result.status != 0:
                self.fail(
                    "silent wrong",
                    f"{name} was written and is not whole: {result.stdout[-300:]!r} {result.stderr[-300:]!r}",
                )

    def survivors(self, within=2.0):
        """Ids of processes started by this case that still live."""
        until = time.monotonic() + within
        while True:
            found = []
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        with open(f"/proc/{entry}/environ", "rb") as file:
                            if f"CKPT_ATTACK={self.mark}\0".encode() in file.read():
                                found.append(int(entry))
                    except OSError:
                        continue
            if not found or time.monotonic() > until:
                return found
            time.sleep(0.05)

    def judge_survivors(self):
        for process in self.survivors():
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ")[:100]
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
            self.fail("leftovers", f"a process lives on: {line!r}")

    def close(self):
        """Removes the folder, or keeps it with the commands if something was found."""
        for suffix in (".stdout", ".stderr"):
            if os.path.exists(self.folder + suffix):
                os.remove(self.folder + suffix)
        if self.findings:
            kept = os.path.join(self.setup["findings"], self.name)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.folder, kept, symlinks=True, ignore_dangling_symlinks=True)
            with open(os.path.join(kept, "commands.sh"), "w") as file:
                file.write(
                    f"# scripts/check/attack --seed {self.setup['seed']} --only {self.kind} --number {self.number}\n"
                )
                file.write("".join(f"# {column}: {text}\n" for column, text in self.findings))
                file.write('cd "$(dirname "$0")"\n' + "\n".join(self.transcript) + "\n")
        shutil.rmtree(self.folder, ignore_errors=True)
