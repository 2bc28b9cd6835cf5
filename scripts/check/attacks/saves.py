"""A run of thousands of saves in which memory and descriptors must stay flat."""

import os
import statistics
import time


def attack(case):
    saves, samples = case.setup["saves"], []

    def watch(process):
        while not has_ended(process.pid):
            try:
                with open(f"/proc/{process.pid}/status") as file:
                    memory = [int(line.split()[1]) for line in file if line.startswith("VmRSS:")]
                descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
            except OSError:
                break
            if memory:
                samples.append((memory[0] / 1024, descriptors))
            time.sleep(0.05)

    case.run(
        "train-sft",
        case.seeds["model.h5"],
        "--data",
        case.seeds["task"] + "/train.jsonl",
        "-o",
        "run",
        "--steps",
        str(saves),
        "--save-every",
        "1",
        "--batch-pairs",
        "2",
        "--keep-last",
        "1",
        "--probe-every",
        str(saves),
        "--eval-every",
        "1000000",
        outputs=["run"],
        run_folder="run",
        act=watch,
        limit=6 * saves,
        slow=6 * saves,
        statuses=(0,),
    )
    states = [name for name in os.listdir(case.path("run")) if name.endswith(".h5")]
    samples = samples[len(samples) // 20 :]  # Without the start.
    if len(samples) < 40:
        return case.fail("other", f"only {len(samples)} samples of memory")
    quarter = len(samples) // 4
    first, last = samples[:quarter], samples[-quarter:]
    medians = [statistics.median(memory for memory, _ in part) for part in (first, last)]
    descriptors = [max(count for _, count in part) for part in (first, last)]
    case.notes.append(
        f"{saves} saves, {len(states)} states kept, {len(samples)} samples: resident {medians[0]:.1f} MB (median of the first quarter) and {medians[1]:.1f} MB "
        f"(of the last), descriptors at most {descriptors[0]} and {descriptors[1]}."
    )
    if medians[1] > medians[0] * 1.1 + 4 or descriptors[1] > descriptors[0]:
        case.fail("other", "memory or descriptors grow")


def has_ended(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
