#!/usr/bin/env python3
"""A linear probe on the warm-up's hidden state as router, for the tables of story_report.py.

Usage: scripts/research/linear_probe.py FOLDER      (the folder of scripts/rl-smollm2)

The probe is a logistic regression on the last hidden state of the prompt, after the final norm: the state from which the
control token's logit is computed. Its labels say whether the warm-up's short answer to a problem of training fails. The
strength of its regularisation is chosen on dev. FOLDER/answers/linear-probe.json gets the probability that the short
answer fails, for each problem of dev, test and unseen.

`ckpt` is taken from CKPT or PATH. Needs torch and transformers.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
import transformers

from findings import auc, read_answers

PROBLEMS = 2000


def ckpt(*arguments):
    subprocess.run([os.environ.get("CKPT", "ckpt"), *map(str, arguments)], check=True)


def fails(rows):
    return torch.tensor([float(row["outcome"]["boxed"] != "right") for row in rows])


def states(model, tokenizer, problems, rows):
    """Hidden states `[problems, hidden]` at the last token of each prompt, in the order of the problems."""
    found = torch.empty(len(problems), model.config.hidden_size)
    for place, (problem, row) in enumerate(zip(problems, rows, strict=True)):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": problem["problem"]}], add_generation_prompt=True, return_tensors="pt",
            return_dict=True)["input_ids"]
        if ids.shape[1] != row["prompt_tokens"]:
            sys.exit(f"problem {place}: {ids.shape[1]} tokens here, {row['prompt_tokens']} in ckpt")
        with torch.no_grad():
            found[place] = model(ids).last_hidden_state[0, -1].float()
    return found


def fit(inputs, labels, decay):
    """Weights of a logistic regression: the mean loss plus `decay` times half of the squared norm."""
    weight = torch.zeros(inputs.shape[1], requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weight + bias, labels)
        value = value + decay / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return weight.detach(), bias.detach()


def main(folder):
    answers = folder / "answers"
    states_of_warm_up = sorted((folder / "sft").glob("step-*.h5"))
    if not states_of_warm_up or not (answers / "warm-unseen.jsonl").exists():
        sys.exit(f"{folder}: no warm-up with answers; run scripts/rl-smollm2 first")
    warm = states_of_warm_up[-1]
    problems = {}
    for name in ("train", "dev", "test", "unseen"):
        with open(folder / "task" / ("rl.jsonl" if name == "train" else f"{name}.jsonl")) as file:
            problems[name] = [json.loads(line) for line in file]
    problems["train"] = problems["train"][:PROBLEMS]
    labelled = folder / "probe-train.jsonl"
    labelled.write_text("".join(json.dumps(problem) + "\n" for problem in problems["train"]))
    ckpt("eval", warm, "--data", labelled, "--mode", "short", "--prompt", "plain", "--answer", "boxed", "--temperature", 1,
         "--top-p", 1, "--max-new-tokens", 96, "--products", "auto", "--answers", answers / "warm-train.jsonl")
    ckpt("export", warm, "-o", folder / "warm-hf", "--force")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "warm-hf")
    model = transformers.AutoModel.from_pretrained(folder / "warm-hf", dtype=torch.float32).eval()

    inputs, labels = {}, {}
    for name, rows in problems.items():
        short = read_answers(answers / f"warm-{name}.jsonl")["short"]
        inputs[name], labels[name] = states(model, tokenizer, rows, short), fails(short)
    mean, deviation = inputs["train"].mean(0), inputs["train"].std(0)
    inputs = {name: (values - mean) / deviation for name, values in inputs.items()}
    best = None
    for decay in (1e-3, 1e-2, 1e-1, 1, 10):
        weight, bias = fit(inputs["train"], labels["train"], decay)
        scores = {name: torch.sigmoid(values @ weight + bias).tolist() for name, values in inputs.items()}
        areas = {name: auc(scores[name], labels[name].bool().tolist()) for name in inputs}
        print(f"decay {decay}: AUC " + ", ".join(f"{name} {area:.3f}" for name, area in areas.items()))
        if best is None or areas["dev"] > best[0]:
            best = (areas["dev"], decay, scores)
    print(f"chosen on dev: {best[1]}")
    del best[2]["train"]
    (answers / "linear-probe.json").write_text(json.dumps(best[2]) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
