"""Writes merge.json: small tensors and the results of merging them with mergekit.

    python make_merge.py

Needs mergekit and torch; the file names their versions.
"""
import json
import pathlib
from importlib.metadata import version

import torch
from mergekit.merge_methods.base import TensorBatch, TensorGroup
from mergekit.merge_methods.generalized_task_arithmetic import GeneralizedTaskArithmeticMerge
from mergekit.merge_methods.linear import linear_merge
from mergekit.merge_methods.slerp import slerp

generator = torch.Generator().manual_seed(11)


def tensor(*shape, scale=0.1):
    return torch.randn(*shape, generator=generator) * scale


base = tensor(6, 10)
near = base + tensor(6, 10, scale=0.001)
models = [base + tensor(6, 10, scale=0.03) for _ in range(2)]


def linear(tensors, weights):
    batch = TensorBatch(tensors=[t.unsqueeze(0) for t in tensors], base_index=None)
    return linear_merge.merge_batch(batch, weight=torch.tensor([weights]), normalize=True).squeeze(0)


def task_arithmetic(base, tensors, weights):
    method = GeneralizedTaskArithmeticMerge(None, None, False, False, "task_arithmetic", None, None)
    group = TensorGroup.from_tensors([base] + tensors, base_index=0)
    return method.merge_group(group, weight=dict(enumerate(weights, start=1)), normalize=False, **{"lambda": 1.0})


cases = [
    {"method": "linear", "weights": w, "models": models, "result": linear(models, w)}
    for w in ([0.5, 0.5], [3.0, 1.0], [0.2, 0.3])
]
for weight in (0.0, 0.25, 0.7, 1.0):
    for pair in ([models[0], models[1]], [tensor(6, 10), tensor(6, 10)], [base, near]):
        cases.append({"method": "slerp", "weights": [1 - weight, weight], "models": pair,
                      "result": slerp(torch.tensor([weight]), pair[0].unsqueeze(0), pair[1].unsqueeze(0)).squeeze(0)})
cases.append({"method": "task-arithmetic", "weights": [1.0, 0.4], "base": base, "models": models,
              "result": task_arithmetic(base, models, [1.0, 0.4])})


def plain(value):
    if isinstance(value, torch.Tensor):
        return [float(f"{x:.9g}") for x in value.flatten().tolist()]
    return [plain(v) for v in value] if isinstance(value, list) and isinstance(value[0], torch.Tensor) else value


path = pathlib.Path(__file__).with_name("merge.json")
path.write_text(json.dumps({
    "made_with": {"mergekit": version("mergekit"), "torch": version("torch")},
    "shape": [6, 10],
    "cases": [{key: plain(value) for key, value in case.items()} for case in cases],
}) + "\n")
