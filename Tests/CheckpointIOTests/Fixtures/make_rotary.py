#!/usr/bin/env python3
"""Writes rotary.json: config.json texts and the rotary frequencies that transformers derives from them.

Needs torch and transformers 5; written with 5.24.0. For each text the families' rotary module gives the frequencies and
the factor on sine and cosine, for sequences of several lengths.
"""
import json
import os
import tempfile

import torch
import transformers
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

MODULES = {"llama": LlamaRotaryEmbedding, "qwen2": Qwen2RotaryEmbedding, "qwen3": Qwen3RotaryEmbedding}
SIZES = {
    "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "head_dim": 16,
}
SHORT = [1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.2, 3.0]
LONG = [1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 17.0, 33.0]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
LONGROPE = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG}
VARIANTS = [
    {}, {"rope_theta": 500000.0}, {"rope_scaling": None, "rope_theta": 777.0}, {"rope_scaling": {}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 300.0}},
    {"rope_parameters": {"rope_theta": 300.0}, "rope_theta": 10000.0, "rope_scaling": None},
    {"rope_scaling": {"type": "linear", "factor": 2.5}, "rope_theta": 99.0},
    {"rope_parameters": {"rope_type": "linear", "factor": 3.0}, "rope_theta": 99.0},
    {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "default", "rope_theta": 9.0}},
    {"rope_scaling": {"rope_type": "default", "type": "linear", "factor": 2.0}},
    {"rope_scaling": {"rope_type": "dynamic", "factor": 3.0}},
    {"rope_scaling": {"type": "dynamic", "factor": 1.0}, "rope_theta": 5000.0},
    {"rope_scaling": LLAMA3}, {"rope_parameters": {**LLAMA3, "rope_theta": 500000.0}},
    {"rope_scaling": {**LLAMA3, "low_freq_factor": 1.5, "high_freq_factor": 3.0}},
    {"rope_scaling": {k: v for k, v in LLAMA3.items() if k != "original_max_position_embeddings"}},
    {"rope_scaling": YARN}, {"rope_scaling": {**YARN, "factor": 1.0}}, {"rope_scaling": {**YARN, "factor": None}},
    {"rope_scaling": {**YARN, "attention_factor": 0.7}}, {"rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.7}},
    {"rope_scaling": {**YARN, "mscale": 1.0}}, {"rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.0}},
    {"rope_scaling": {**YARN, "beta_fast": 16, "beta_slow": 2}}, {"rope_scaling": {**YARN, "beta_fast": 0}},
    {"rope_scaling": {**YARN, "truncate": False}}, {"rope_scaling": YARN, "original_max_position_embeddings": 64},
    {"rope_scaling": {"type": "yarn", "factor": 2.0}}, {"rope_parameters": {**YARN, "rope_theta": 1e6}},
    {"rope_scaling": {**LONGROPE, "original_max_position_embeddings": 32}},
    {"rope_scaling": {**LONGROPE, "original_max_position_embeddings": 32, "factor": 2.0}},
    {"rope_scaling": {**LONGROPE, "original_max_position_embeddings": 32, "attention_factor": 1.3}},
    {"rope_scaling": LONGROPE}, {"rope_scaling": {**LONGROPE, "factor": 4.0}, "original_max_position_embeddings": 64},
]


def main():
    cases = []
    for index, fields in enumerate(VARIANTS):
        family = list(MODULES)[index % 3]
        config = {"model_type": family, **SIZES, **fields}
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "config.json"), "w") as file:
                json.dump(config, file)
            loaded = AutoConfig.from_pretrained(folder)
        # Only these types depend on the length.
        depends = any(word in json.dumps(fields) for word in ("dynamic", "longrope"))
        for length in [1, 33, 65, 129, 300] if depends else [300]:
            module = MODULES[family](loaded)
            module(torch.zeros(1, 1, 1), torch.arange(length)[None])
            cases.append({
                "config": json.dumps(config), "length": length, "factor": float(module.attention_scaling),
                "frequencies": [float(f"{x:.9g}") for x in module.inv_freq.tolist()],
            })
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rotary.json")
    with open(path, "w") as file:
        json.dump({"transformers": transformers.__version__, "cases": cases}, file, indent=0)
        file.write("\n")
    print(path, len(cases), "cases")


main()
