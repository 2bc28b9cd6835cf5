"""Makes policy_loss.json: the policy losses and their gradients on random batches, by PyTorch's autograd in float64.

Written from the formulas, on padded tensors with masks, so that it shares no structure with the code under test.
Made with torch 2.15.0.
"""
import itertools
import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(20261121)


def case(kind, estimator, reduction, coupled, use_old):
    lengths = [1, 5, 2, 9, 3, 1]
    masked = torch.tensor([0, 0, 1, 0, 0, 0]).bool()
    count, longest = len(lengths), max(lengths)
    exists = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    mask = (exists & ~masked[:, None]).double()
    new = (-torch.rand(count, longest) * 3).requires_grad_()
    entropy = (torch.rand(count, longest) * 2).requires_grad_()
    old = new.detach() + torch.randn(count, longest) * 0.3
    reference = new.detach() + torch.randn(count, longest) * 0.5
    advantage = torch.randn(count)
    advantage[4] = 0
    options = {
        "alpha": 0.7, "coupled": coupled, "epsilon_low": 0.15, "epsilon_high": 0.3, "kl_coefficient": 0.2,
        "entropy_coefficient": 0.05, "maximum_new_tokens": 12,
    }

    ratio = (new - old).exp() if use_old else (new - new.detach()).exp()
    advantages = advantage[:, None].expand_as(new)
    loss = -torch.minimum(
        ratio * advantages, ratio.clamp(1 - options["epsilon_low"], 1 + options["epsilon_high"]) * advantages)
    difference = reference - new
    kl = {"k1": -difference, "k2": difference**2 / 2, "k3": difference.exp() - difference - 1}[estimator]

    length = torch.tensor(lengths).double()
    alpha = options["alpha"] / length if coupled else torch.full((count,), options["alpha"])
    control, rest = mask.clone(), mask.clone()
    control[:, 1:] = 0
    rest[:, 0] = 0

    def per_sample(values):
        return ((values * mask).sum(1) / length).mean()

    def token_mean(values, mask=mask):
        return (values * mask).sum() / mask.sum()

    def by_maximum(values):
        return (values * mask).sum() / (count * options["maximum_new_tokens"])

    average = {"degrpo": per_sample, "grpo": per_sample, "dr-grpo": by_maximum}.get(kind, token_mean)
    if kind == "degrpo":
        policy = (alpha * (loss * control).sum(1) + (loss * rest).sum(1) / (length - 1).clamp(min=1)).mean()
    elif kind == "degrpo-released":
        policy = token_mean(loss * alpha[:, None], control) + token_mean(loss, rest)
    else:
        policy = average(loss)
    kl_term = (kl * mask).sum(1).mean() if reduction == "sum" else average(kl)
    total = policy + options["kl_coefficient"] * kl_term - options["entropy_coefficient"] * average(entropy)
    gradient, entropy_gradient = torch.autograd.grad(total, (new, entropy))

    # The read-outs of verl's compute_policy_loss, over its response mask.
    log_ratio = (new - old).detach() if use_old else torch.zeros_like(old)
    clipped = torch.gt(
        -advantages * ratio.clamp(1 - options["epsilon_low"], 1 + options["epsilon_high"]), -advantages * ratio)
    read_outs = {
        "pg_clipfrac": token_mean(clipped.double()).item(), "ppo_kl": token_mean(-log_ratio).item(),
        "ppo_kl_computed": token_mean(-log_ratio, mask * (advantages != 0)).item(),
    }

    def ragged(tensor):
        return [[float(f"{value:.15g}") for value in row[:n]] for row, n in zip(tensor.tolist(), lengths)]

    return options | {
        "kind": kind, "estimator": estimator, "reduction": reduction, "lengths": lengths, "masked": masked.tolist(),
        "advantages": [float(f"{value:.15g}") for value in advantage.tolist()], "new": ragged(new.detach()),
        "old": ragged(old) if use_old else None, "reference": ragged(reference), "entropy": ragged(entropy.detach()),
        "read_outs": read_outs, "loss": total.item(), "kl": kl_term.item(), "gradient": ragged(gradient),
        "entropy_gradient": ragged(entropy_gradient),
    }


kinds = ["degrpo", "degrpo-released", "grpo", "grpo-token-mean", "dr-grpo"]
cases = [case(kind, "k3", "mean", False, True) for kind in kinds]
cases += [case(kind, estimator, "sum", False, True) for kind, estimator in zip(kinds, itertools.cycle(["k1", "k2"]))]
cases += [case(kind, "k3", "mean", True, True) for kind in kinds[:2]]
cases += [case(kind, "k2", "mean", False, False) for kind in kinds]
text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
pathlib.Path(__file__).with_name("policy_loss.json").write_text(text)
