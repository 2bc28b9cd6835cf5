#!/usr/bin/env python3
"""Makes rl_step.json and rl_step.bin: policy losses and their gradients through a tiny Llama, by PyTorch's autograd.

The model is that of sft_step (its parameters are read from there). The JSON holds sequences, what of every sample is
constant, and for each case its options, loss, KL and mean entropy; the .bin holds float32 little-endian gradients, case
after case, all parameters in the order of sft_step.json.

Usage: python make_rl_step.py     (made with torch 2.15.0, transformers 5.23.0)
"""

import json
import pathlib

import numpy
import torch
import transformers

torch.manual_seed(11)
here = pathlib.Path(__file__).parent
sft = json.loads((here / "sft_step.json").read_text())
options = {key: value for key, value in sft["config"].items() if key != "model_type"}
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**options)).float().eval()
numbers = numpy.fromfile(here / "sft_step.bin", "<f4")
parameters = dict(model.named_parameters())
place = 0
for name in sft["parameters"]:
    count = parameters[name].numel()
    parameters[name].data = torch.tensor(numbers[place : place + count]).view_as(parameters[name])
    place += count

TEMPERATURE = 0.8
lengths = [(5, [4, 9, 1]), (3, [6, 2, 5])]  # one response is its control token alone
sequences, groups = [], []
for prompt_length, responses in lengths:
    prompt = torch.randint(2, 41, (prompt_length,)).tolist()
    for length in responses:
        sequences.append({"prompt": prompt, "response": torch.randint(2, 41, (length,)).tolist()})
advantages = [0.8, 0.3, -1.1, 0.5, 0.0, -0.5]
masked = [False, False, False, False, False, True]


def scores(sequence):
    ids = torch.tensor([sequence["prompt"] + sequence["response"]])
    logits = model(ids).logits[0, len(sequence["prompt"]) - 1 : -1] / TEMPERATURE
    log = torch.log_softmax(logits, -1)
    return log[range(len(sequence["response"])), sequence["response"]], -(log.exp() * log).sum(-1)


with torch.no_grad():
    start = [scores(s)[0] for s in sequences]
old = [(s + 0.25 * torch.randn_like(s)).tolist() for s in start]
reference = [(s + 0.4 * torch.randn_like(s)).tolist() for s in start]
mixture = [(float(s[0]) + 0.7 * (i % 3 - 1)) for i, s in enumerate(start)]
CAP = 1.5


def losses(case):
    low, high, alpha = 0.1, 0.15, 0.6
    counted = [i for i in range(len(sequences)) if not masked[i]]
    count = len(sequences)
    tokens = sum(len(sequences[i]["response"]) for i in counted)
    total = kl_total = entropy_total = 0.0
    entropy_sum = 0.0
    for i in counted:
        new, entropy = scores(sequences[i])
        length = len(new)
        ratio = (new - (torch.tensor(old[i]) if case["old"] else new.detach())).exp()
        surrogate = torch.minimum(ratio * advantages[i], ratio.clamp(1 - low, 1 + high) * advantages[i])
        difference = torch.tensor(reference[i]) - new
        kl = {"k1": -difference, "k2": difference**2 / 2, "k3": difference.exp() - difference - 1}[case["estimator"]]
        if case["balanced"]:
            weight = (new[0] - mixture[i]).exp()
            # Capped in value, its gradient alive: the score function times a constant.
            capped = weight.clamp(max=CAP) + (weight.detach().clamp(max=CAP)) * (new[0] - new[0].detach())
            control = (capped if weight > CAP else weight) * advantages[i]
        else:
            control = surrogate[0]
        rest = surrogate[1:].sum()
        per = {
            "degrpo": (alpha / count, 1 / (max(length - 1, 1) * count), 1 / (length * count)),
            "degrpo-released": (alpha / len(counted), 1 / (tokens - len(counted)), 1 / tokens),
            "grpo": (1 / (length * count),) * 3,
            "grpo-token-mean": (1 / tokens,) * 3,
            "dr-grpo": (1 / (12 * count),) * 3,
        }[case["kind"]]
        total = total - per[0] * control - per[1] * rest
        kl_total = kl_total + per[2] * kl.sum()
        entropy_total = entropy_total + per[2] * entropy.sum()
        entropy_sum += entropy.sum().item()
    value = total + case["kl"] * kl_total - case["entropy"] * entropy_total
    return value, kl_total.item(), entropy_sum / tokens


cases = [
    {"kind": "degrpo", "old": True, "kl": 0.1, "estimator": "k3", "entropy": 0.02, "balanced": False},
    {"kind": "degrpo-released", "old": True, "kl": 0.1, "estimator": "k2", "entropy": 0.02, "balanced": False},
    {"kind": "grpo", "old": False, "kl": 0, "estimator": "k3", "entropy": 0, "balanced": False},
    {"kind": "degrpo", "old": True, "kl": 0, "estimator": "k3", "entropy": 0, "balanced": True},
    {"kind": "grpo-token-mean", "old": True, "kl": 0.05, "estimator": "k1", "entropy": 0.01, "balanced": False},
    {"kind": "dr-grpo", "old": True, "kl": 0.05, "estimator": "k3", "entropy": 0, "balanced": False},
]
gradients = []
for case in cases:
    model.zero_grad()
    value, kl, entropy = losses(case)
    value.backward()
    case |= {"loss": value.item(), "kl_loss": kl, "mean_entropy": entropy}
    gradients += [parameters[name].grad.flatten() for name in sft["parameters"]]

(here / "rl_step.bin").write_bytes(torch.cat(gradients).numpy().astype("<f4").tobytes())
fixture = {
    "temperature": TEMPERATURE, "cap": CAP, "sequences": sequences, "advantages": advantages, "masked": masked,
    "old": old, "reference": reference, "mixture": mixture, "cases": cases,
}
(here / "rl_step.json").write_text(json.dumps(fixture) + "\n")
print([(case["kind"], case["loss"]) for case in cases])
