"""The commands that write, small enough to run hundreds of times."""

import os
import shutil


def small_training(stage, model, data, folder):
    """The command line of one training step, of train-sft or train-rl."""
    sizes = {
        "sft": ["--batch-pairs", "1"],
        "rl": ["--prompts", "1", "--samples", "2", "--max-new-tokens", "4"],
    }
    return [f"train-{stage}", model, "--data", data, "-o", folder, "--steps", "1", *sizes[stage]]


def writers(case, large=False):
    """Name → (arguments, outputs, training folder). Outputs go to `disk/` if that is where the case wants them."""
    seeds, task = case.seeds, case.seeds["task"]
    model, donor = (seeds["large.h5"],) * 2 if large else (seeds["model.h5"], seeds["donor.h5"])
    surgery = {
        "cast": ["cast", model, "--dtype", "bfloat16"],
        "rename": ["rename", model, "model.norm.weight=model.normed.weight"],
        "extract": ["extract", model, "--tensor", "*"],
        "graft": ["graft", model, donor, "--tensor", "*norm*"],
        "merge": ["merge", model, donor, "--method", "linear"],
        "strip": ["strip", model if large else seeds["sft.h5"]],
        "resize-vocab": ["resize-vocab", model, "--pad-to-multiple-of", "64"],
        "add-tokens": ["add-tokens", model, "--token", "<new>", "--report", "fast"],
    }
    found = {name: ([*words, "-o", "out.h5"], ["out.h5"], None) for name, words in surgery.items()}
    shape = (
        ["--hidden-size", "256", "--layers", "4", "--heads", "4"]
        if large
        else ["--hidden-size", "32", "--layers", "1", "--heads", "2"]
    )
    found |= {
        "import": (["import", seeds["hf"], "-o", "out.h5"], ["out.h5"], None),
        "init": (["init", "-o", "out.h5", *shape], ["out.h5"], None),
        "export": (["export", model, "-o", "out"], ["out"], None),
        "make-task": (
            ["make-task", "-o", "out", "--train", "40", "--rl", "40", "--dev", "4", "--test", "4", "--probe", "2"],
            ["out"],
            None,
        ),
        "grade": (["grade", seeds["responses.jsonl"], "-o", "out.jsonl"], ["out.jsonl"], None),
        "eval": (
            [
                "eval",
                seeds["model.h5"],
                "--data",
                task + "/dev.jsonl",
                "--max-new-tokens",
                "4",
                "--answers",
                "out.jsonl",
            ],
            ["out.jsonl"],
            None,
        ),
        "diff": (["diff", seeds["sft-old.h5"], seeds["sft.h5"], "--html", "out.html"], ["out.html"], None),
        "train-sft": (
            [
                "train-sft",
                seeds["model.h5"],
                "--data",
                task + "/train.jsonl",
                "-o",
                "run",
                "--steps",
                "6",
                "--save-every",
                "1",
                "--batch-pairs",
                "2",
            ],
            ["run"],
            "run",
        ),
        "train-rl": (
            [
                "train-rl",
                seeds["model.h5"],
                "--data",
                task + "/rl.jsonl",
                "-o",
                "run",
                "--steps",
                "4",
                "--save-every",
                "1",
                "--prompts",
                "2",
                "--samples",
                "2",
                "--max-new-tokens",
                "8",
                "--probe",
                task + "/probe.jsonl",
            ],
            ["run"],
            "run",
        ),
    }
    return found


def place_old(case, outputs):
    """Puts an older output in place, which --force would replace."""
    for output in outputs:
        if output == "out.h5":
            shutil.copyfile(case.seeds["donor.h5"], case.path(output))
        elif "." in output:
            case.write(output, '{"old": 1}\n')


def check_output(case, outputs):
    for output in outputs:
        if output.endswith(".h5"):
            case.verify_written(output)
    run = case.path("run")
    if os.path.isdir(run):
        for name in sorted(os.listdir(run)):
            if name.endswith(".h5"):
                case.verify_written(f"run/{name}")
