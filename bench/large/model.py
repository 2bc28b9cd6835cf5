#!/usr/bin/env python3
"""Makes a model folder with random weights in the shapes of DeepSeek-R1-Distill-Qwen-1.5B, in bfloat16.

Usage: bench/large/model.py TOKENIZER OUT [--layers N]

TOKENIZER is a folder with tokenizer.json and tokenizer_config.json of at most 151,936 tokens, such as one that
`ckpt export` writes. The weights are normal with a deviation of 0.02 and repeat every 64 MB; norms are one, biases zero.
The 28 layers take 3.6 GB. Needs NumPy.
"""
import argparse
import json
import pathlib
import shutil
import struct

import numpy

CONFIG = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 1536, "intermediate_size": 8960,
    "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "attention_dropout": 0.0, "initializer_range": 0.02,
    "sliding_window": 4096, "use_sliding_window": False, "max_window_layers": 21, "use_cache": True,
}


def tensors(config):
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    narrow = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", [hidden]
        for projection, width in (("q", hidden), ("k", narrow), ("v", narrow)):
            yield f"{name}self_attn.{projection}_proj.weight", [width, hidden]
            yield f"{name}self_attn.{projection}_proj.bias", [width]
        yield name + "self_attn.o_proj.weight", [hidden, hidden]
        yield name + "post_attention_layernorm.weight", [hidden]
        yield name + "mlp.gate_proj.weight", [middle, hidden]
        yield name + "mlp.up_proj.weight", [middle, hidden]
        yield name + "mlp.down_proj.weight", [hidden, middle]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [config["vocab_size"], hidden]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=28)
    arguments = parser.parse_args()
    config = dict(CONFIG, num_hidden_layers=arguments.layers)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(arguments.tokenizer / name, arguments.out / name)
    tokens = json.loads((arguments.out / "tokenizer_config.json").read_text())
    end = tokens.get("eos_token")
    vocabulary = json.loads((arguments.out / "tokenizer.json").read_text())
    ids = {token["content"]: token["id"] for token in vocabulary["added_tokens"]} | vocabulary["model"]["vocab"]
    config["eos_token_id"] = ids[end if isinstance(end, str) else end["content"]]
    (arguments.out / "config.json").write_text(json.dumps(config, indent=2))

    numbers = numpy.random.default_rng(1).standard_normal(1 << 25, dtype=numpy.float32) * 0.02
    noise = (numbers.view(numpy.uint32) >> 16).astype("<u2").tobytes()
    one = struct.pack("<H", 0x3F80)
    header, offset = {}, 0
    for name, shape in tensors(config):
        size = 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(arguments.out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for index, (name, shape) in enumerate(tensors(config)):
            size = 2 * int(numpy.prod(shape))
            if "norm" in name:
                file.write(one * shape[0])
            elif name.endswith("bias"):
                file.write(bytes(size))
            else:
                start = 2 * (index * 7919 % 4096)
                while size > 0:
                    part = noise[start:start + size]
                    file.write(part)
                    size -= len(part)
                    start = 0


main()
