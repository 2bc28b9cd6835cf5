#!/usr/bin/env python3
"""Makes sft_step.json and sft_step.bin: one SFT step of a tiny random Llama, by PyTorch and transformers.

The JSON holds config, sequences (prompt and response ids) and losses; the .bin holds float32 little-endian numbers: all
parameters in the order of "parameters", then, for each reduction, all gradients in the same order.

Usage: python make_sft_step.py     (made with torch 2.15.0, transformers 5.23.0)
"""

import json
import pathlib

import torch
import transformers

torch.manual_seed(7)
here = pathlib.Path(__file__).parent
config = transformers.LlamaConfig(
    vocab_size=41,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    rope_theta=10000.0,
    tie_word_embeddings=True,
    initializer_range=0.3,
    bos_token_id=None,
    eos_token_id=1,
)
model = transformers.LlamaForCausalLM(config).float().eval()
for parameter in model.parameters():
    if parameter.dim() == 1:
        parameter.data += 0.1 * torch.randn_like(parameter)

lengths = [(5, 9), (5, 2), (3, 6), (3, 3), (8, 1), (8, 7)]
sequences = [
    {"prompt": torch.randint(2, 41, (p,)).tolist(), "response": torch.randint(2, 41, (r,)).tolist()} for p, r in lengths
]
for first, second in zip(sequences[::2], sequences[1::2]):
    second["prompt"] = first["prompt"]  # both halves of a pair


def log_probabilities(sequence):
    ids = torch.tensor([sequence["prompt"] + sequence["response"]])
    logits = model(ids).logits[0, len(sequence["prompt"]) - 1 : -1]
    return torch.log_softmax(logits, -1)[range(len(sequence["response"])), sequence["response"]]


def loss(reduction):
    scores = [log_probabilities(s) for s in sequences]
    if reduction == "token":
        return -torch.cat(scores).mean()
    return -torch.stack([s.mean() for s in scores]).mean()


names = [name for name, _ in model.named_parameters()]
numbers = [p.detach().flatten() for _, p in model.named_parameters()]
losses = {}
for reduction in ("token", "sequence"):
    model.zero_grad()
    value = loss(reduction)
    value.backward()
    losses[reduction] = value.item()
    numbers += [p.grad.flatten() for _, p in model.named_parameters()]
losses["control"] = -torch.stack([log_probabilities(s)[0] for s in sequences]).mean().item()

(here / "sft_step.bin").write_bytes(torch.cat(numbers).numpy().astype("<f4").tobytes())
fixture = {
    "config": {
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
    },
    "parameters": names,
    "sequences": sequences,
    "losses": losses,
}
(here / "sft_step.json").write_text(json.dumps(fixture, indent=1) + "\n")
print(losses)
