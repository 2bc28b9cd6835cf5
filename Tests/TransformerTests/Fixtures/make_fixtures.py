#!/usr/bin/env python3
"""Writes reference numbers of tiny random transformers models to fixtures.bin (float32, little-endian), and their
places in that file to fixtures.json. Run by hand with torch and transformers installed; the tests only read the two
files.

    python make_fixtures.py
"""

import json
import os

import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForCausalLM, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config, SmolLM3Config)

HERE = os.path.dirname(os.path.abspath(__file__))
SMALL = dict(
    vocab_size=35, hidden_size=16, intermediate_size=22, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=16, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
    pad_token_id=None)


def rope(kind, **fields):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=10000.0, **fields))


PHI3 = {**SMALL, "num_attention_heads": 2, "num_key_value_heads": 1, "partial_rotary_factor": 0.75}
# name -> (config, name of the case whose weights it uses or None, whether gradients are stored)
CASES = {
    "llama": (LlamaConfig(**SMALL, tie_word_embeddings=True), None, True),
    "llama-biases-untied": (
        LlamaConfig(**{**SMALL, "num_key_value_heads": 1}, attention_bias=True, mlp_bias=True, head_dim=6,
                    tie_word_embeddings=False), None, True),
    "qwen2-tied": (Qwen2Config(**{**SMALL, "num_attention_heads": 2}, tie_word_embeddings=True), None, True),
    "qwen2-untied": (Qwen2Config(**{**SMALL, "num_key_value_heads": 4}, tie_word_embeddings=False,
                                 rope_parameters=dict(rope_type="default", rope_theta=1e6)), None, True),
    "qwen3": (Qwen3Config(**SMALL, head_dim=10, tie_word_embeddings=True), None, True),
    "llama-linear": (LlamaConfig(**SMALL, tie_word_embeddings=True, **rope("linear", factor=2.5)), "llama", False),
    "llama-dynamic": (LlamaConfig(**SMALL, tie_word_embeddings=True, **rope("dynamic", factor=2.0)), "llama", False),
    "llama-llama3": (
        LlamaConfig(**SMALL, tie_word_embeddings=True, **rope(
            "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)),
        "llama", False),
    "llama-yarn": (
        LlamaConfig(**SMALL, tie_word_embeddings=True, **rope(
            "yarn", factor=4.0, beta_fast=4.0, beta_slow=1.0, original_max_position_embeddings=8)),
        "llama", True),
    # Heads wide enough for the attention kernels, with several blocks of queries and keys.
    "llama-wide-heads": (
        LlamaConfig(**{**SMALL, "num_hidden_layers": 1, "num_key_value_heads": 1},
                    head_dim=64, tie_word_embeddings=True), None, True),
    "qwen3-wide-heads": (Qwen3Config(**{**SMALL, "num_hidden_layers": 1}, head_dim=80, tie_word_embeddings=True), None,
                         True),
    "mistral": (MistralConfig(**SMALL, head_dim=6, sliding_window=5), None, True),
    "mistral-wide-heads": (
        MistralConfig(**{**SMALL, "num_hidden_layers": 1, "num_key_value_heads": 1}, head_dim=64, sliding_window=37,
                      tie_word_embeddings=True), None, True),
    # A window that is longer than a block of keys.
    "mistral-long-window": (
        MistralConfig(**{**SMALL, "num_hidden_layers": 1, "num_key_value_heads": 1}, head_dim=64, sliding_window=263,
                      tie_word_embeddings=True), "mistral-wide-heads", True),
    "mistral-without-window": (MistralConfig(**SMALL, head_dim=6, sliding_window=None), "mistral", False),
    "qwen2-window": (Qwen2Config(**{**SMALL, "num_attention_heads": 2}, tie_word_embeddings=True,
                                 use_sliding_window=True, sliding_window=4, max_window_layers=1), "qwen2-tied", True),
    "qwen3-window": (Qwen3Config(**SMALL, head_dim=10, tie_word_embeddings=True, use_sliding_window=True,
                                 sliding_window=6, layer_types=["sliding_attention", "full_attention"]), "qwen3",
                     True),
    "smollm3": (SmolLM3Config(**{**SMALL, "num_hidden_layers": 4}), None, True),
    "smollm3-window": (
        SmolLM3Config(**{**SMALL, "num_hidden_layers": 4}, no_rope_layers=[0, 1, 1, 0], use_sliding_window=True,
                      sliding_window=5), "smollm3", True),
    "phi3": (Phi3Config(**PHI3, sliding_window=9), None, True),
    "phi3-longrope": (
        Phi3Config(**{**PHI3, "max_position_embeddings": 40}, original_max_position_embeddings=10, **rope(
            "longrope", short_factor=[1.0, 1.1, 1.5], long_factor=[1.3, 2.5, 4.0], partial_rotary_factor=0.75)),
        "phi3", True),
}
LENGTHS = [7, 1, 13, 24]
LONGER = {"llama-wide-heads": [61, 1, 13, 24, 290], "mistral-wide-heads": [61, 1, 36, 24, 290],
          "mistral-long-window": [5, 1, 290, 24, 275], "qwen3-wide-heads": [100, 17, 16, 24, 49]}
PROMPT = 6
NEW_TOKENS = 14

binary = bytearray()


def put(tensor):
    """Appends a tensor and returns [offset in floats, count]."""
    data = tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
    place = [len(binary) // 4, len(data) // 4]
    binary.extend(data)
    return place


def named(model, values):
    return {name: put(values(p)) for name, p in model.named_parameters()}


def log_softmax(model, sequence, temperature):
    ids = torch.tensor([sequence])
    return torch.log_softmax(model(ids).logits[0] / temperature, dim=-1)


def main():
    out = dict(
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, numpy=np.__version__), cases=[])
    states = {}
    for index, (name, (config, source, with_gradients)) in enumerate(CASES.items()):
        torch.manual_seed(100 + index)
        config._attn_implementation = "eager"
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        if source is None:
            with torch.no_grad():
                for key, p in model.named_parameters():
                    is_norm = "norm" in key
                    p.copy_(torch.randn_like(p) * (0.2 if is_norm else 0.25) + (1.0 if is_norm else 0.0))
            states[name] = model.state_dict()
        else:
            model.load_state_dict(states[source])
        case = dict(name=name, config=json.dumps(config.to_dict()), weightsOf=source or name)
        if source is None:
            case["weights"] = named(model, lambda p: p)
        generator = torch.Generator().manual_seed(7)
        sequences = [torch.randint(3, SMALL["vocab_size"], (n,), generator=generator).tolist()
                     for n in LONGER.get(name, LENGTHS)]
        case["sequences"] = sequences
        with torch.no_grad():
            case["logits"] = [put(model(torch.tensor([s])).logits[0]) for s in sequences]
            scored = [log_softmax(model, s, 1.0) for s in sequences]
            case["logProbabilities"] = [
                put(torch.stack([l[i, s[i + 1]] for i in range(len(s) - 1)]) if len(s) > 1 else torch.zeros(0))
                for l, s in zip(scored, sequences)]
            case["entropies"] = [put(-(l.exp() * l).sum(-1)) for l in scored]
        if name != "llama-dynamic":
            prompt = sequences[3][:PROMPT]
            with torch.no_grad():
                tokens = list(prompt)
                for _ in range(NEW_TOKENS):
                    tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
            case["greedy"] = dict(prompt=prompt, tokens=tokens[PROMPT:])
        if with_gradients:
            model.zero_grad()
            count = sum(len(s) - 1 for s in sequences)
            loss = sum(
                -log_softmax(model, s, 1.0)[:-1].gather(1, torch.tensor(s[1:])[:, None]).sum()
                for s in sequences if len(s) > 1) / count
            loss.backward()
            case["crossEntropy"] = float(loss)
            case["gradients"] = named(model, lambda p: p.grad)
        if name == "llama":
            # Two AdamW steps with the same gradients; weight decay on matrices only.
            matrices = [p for p in model.parameters() if p.dim() == 2]
            others = [p for p in model.parameters() if p.dim() != 2]
            adam = dict(learningRate=1e-2, beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.1)
            copy = {k: v.clone() for k, v in model.state_dict().items()}
            optimizer = torch.optim.AdamW(
                [dict(params=matrices, weight_decay=0.1), dict(params=others, weight_decay=0.0)], lr=1e-2,
                betas=(0.9, 0.95), eps=1e-8)
            optimizer.step()
            adam["afterOne"] = named(model, lambda p: p)
            optimizer.step()
            adam["afterTwo"] = named(model, lambda p: p)
            case["adamW"] = adam
            model.load_state_dict(copy)
            # A loss of log-probabilities and entropies at another temperature, with weights of alternating sign.
            model.zero_grad()
            total = 0
            for s in sequences:
                if len(s) < 2:
                    continue
                l = log_softmax(model, s, 0.7)[:-1]
                weight = torch.tensor([(-1.0) ** i / (i + 1) for i in range(len(s) - 1)])
                total = total + (weight * l.gather(1, torch.tensor(s[1:])[:, None])[:, 0]).sum()
                total = total + 0.3 * (weight * -(l.exp() * l).sum(-1)).sum()
            total.backward()
            case["mixed"] = dict(temperature=0.7, entropyWeight=0.3, gradients=named(model, lambda p: p.grad))
        out["cases"].append(case)
    with open(os.path.join(HERE, "fixtures.json"), "w") as file:
        json.dump(out, file, indent=1)
        file.write("\n")
    with open(os.path.join(HERE, "fixtures.bin"), "wb") as file:
        file.write(binary)


if __name__ == "__main__":
    main()
