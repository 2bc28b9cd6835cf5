#!/usr/bin/env python3
"""Checks rotary embedding and config fields of ckpt against transformers and llama.cpp; exits with 1 if anything differs.

Usage: scripts/check/rotary.py FOLDER TOKENIZER      (TOKENIZER: a folder with tokenizer.json of at least 256 tokens)

For each variant of the rotary fields and each family, a tiny random model is saved by transformers and imported. Three
things must agree with transformers on the original folder: the greedy text of `ckpt generate`; the log-probabilities
that transformers computes on the exported folder; those that llama.cpp computes on the exported GGUF file, and
transformers on that file imported and exported again. What ckpt refuses to write is listed. `ckpt` is taken from PATH.
Tested with transformers 5.24.0 and xllamacpp 2026.10.11549.
"""
import json
import pathlib
import shutil
import subprocess
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "head_dim": 16, "initializer_range": 0.3,
}
SHORT = [1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.2, 3.0]
LONG = [1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 17.0, 33.0]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
LONGROPE = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 64}
VARIANTS = {
    "default": {}, "theta": {"rope_theta": 500000.0},
    "rope_parameters": {"rope_theta": 10000.0, "rope_scaling": None,
                        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
    "linear": {"rope_scaling": {"type": "linear", "factor": 2.5}},
    "factor 1": {"rope_scaling": {"type": "linear", "factor": 1.0}},
    "dynamic": {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "llama3": {"rope_scaling": LLAMA3},
    "llama3, other bounds": {"rope_scaling": {**LLAMA3, "low_freq_factor": 1.5, "high_freq_factor": 3.0}},
    "yarn": {"rope_scaling": YARN}, "yarn, attention 1": {"rope_scaling": {**YARN, "attention_factor": 1.0}},
    "yarn, mscale": {"rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.7}},
    "yarn, beta": {"rope_scaling": {**YARN, "beta_fast": 16.0}},
    "yarn, whole": {"rope_scaling": {**YARN, "truncate": False}},
    "longrope": {"rope_scaling": LONGROPE},
    "longrope, one list": {"rope_scaling": {**LONGROPE, "long_factor": SHORT, "attention_factor": 1.2}},
    "biases": {"attention_bias": True, "mlp_bias": True}, "tied": {"tie_word_embeddings": True},
    "harmless": {"max_sequence_length": 2048, "unk_token_id": 0, "_model_name_or_path": "x", "logit_scale": 2.0},
    "window off": {"use_sliding_window": False, "sliding_window": None, "max_window_layers": 0},
}
LLAMA_CPP = """
import sys, json, xllamacpp as x
p = x.CommonParams(); p.model.path = sys.argv[1]; p.n_ctx = 512; p.n_parallel = 1; p.warmup = False; p.verbosity = -1
p.cache_type_k = p.cache_type_v = x.ggml_type.GGML_TYPE_F32
p.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
r = x.Server(p).handle_completions({"prompt": json.loads(sys.argv[2]), "n_predict": 4, "temperature": 0, "n_probs": 1,
    "ignore_eos": True, "samplers": ["top_k"], "top_k": 1, "cache_prompt": False})
print(json.dumps([[c["id"], c["logprob"]] for c in r["choices"][0]["logprobs"]["content"]]))
"""
failures = []


def check(name, difference, limit):
    print(f"{'ok  ' if difference <= limit else 'FAIL'} {name}: {difference:.2g}", flush=True)
    if not difference <= limit:
        failures.append(name)


def ckpt(*arguments):
    return subprocess.run(["ckpt", *map(str, arguments)], capture_output=True, text=True)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def save(config, seed, folder):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).float()
    for key, value in model.state_dict().items():
        if key.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3)
    model.save_pretrained(folder)


def greedy(model, ids, count=4):
    """The first greedy tokens and their log-probabilities, each by a forward pass over the whole text."""
    result = []
    with torch.no_grad():
        for _ in range(count):
            scores = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1], -1)
            result.append((int(scores.argmax()), float(scores.max())))
            ids = ids + [result[-1][0]]
    return result


def distance(one, other):
    return max(abs(a[1] - b[1]) if a[0] == b[0] else 9.0 for a, b in zip(one, other))


def main(folder, tokenizer_folder):
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    text = "the answer is 6*7 and the other one is not the same"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    # Longer than 64 tokens: where long frequencies of longrope apply.
    ids = (ids * 20)[:90]
    for family in ("llama", "qwen2", "qwen3"):
        for variant, fields in VARIANTS.items():
            name = f"{family}, {variant}"
            work = folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            original = work / "original"
            config = {"model_type": family, **SIZES, "vocab_size": len(tokenizer), **fields}
            (work / "config.json").write_text(json.dumps(config))
            # Weights with which the text has neither special tokens, at which ckpt stops, nor parts of characters,
            # which llama.cpp does not report.
            for seed in range(100):
                save(AutoConfig.from_pretrained(work), seed, original)
                # The variant's own fields, not those that save_pretrained writes.
                saved = {key: value for key, value in json.loads((original / "config.json").read_text()).items()
                         if not key.startswith("rope_")}
                (original / "config.json").write_text(json.dumps({**saved, **config}))
                wanted = greedy(load(original), ids)
                tokens = [token for token, _ in wanted]
                if not set(tokens) & set(tokenizer.all_special_ids) and not any(
                        "\ufffd" in tokenizer.decode([token]) for token in tokens):
                    break
            tokenizer.save_pretrained(original)
            imported = ckpt("import", original, "-o", work / "m.h5")
            if imported.returncode or "warning" in imported.stderr:
                failures.append(name)
                print("FAIL", name, imported.stderr.strip())
                continue
            prompt = tokenizer.decode(ids)
            if tokenizer(prompt, add_special_tokens=False)["input_ids"] == ids:
                run = ckpt("generate", work / "m.h5", "--prompt", prompt, "--temperature", 0, "--max-new-tokens", 4,
                           "--json")
                text = json.loads(run.stdout)["completion"] if run.returncode == 0 else run.stderr
                check(name + ", engine", float(text != tokenizer.decode([token for token, _ in wanted])), 0)
            ckpt("export", work / "m.h5", "-o", work / "out")
            check(name + ", folder", distance(wanted, greedy(load(work / "out"), ids)), 1e-4)
            exported = ckpt("export", work / "m.h5", "-o", work / "m.gguf")
            if exported.returncode:
                print("     refused:", exported.stderr.strip().split("error: ")[-1])
                continue
            run = subprocess.run([sys.executable, "-c", LLAMA_CPP, str(work / "m.gguf"), json.dumps(ids)],
                                 capture_output=True, text=True)
            lines = run.stdout.strip().splitlines()
            got = json.loads(lines[-1]) if lines else []
            check(name + ", llama.cpp", distance(wanted, got) if len(got) == len(wanted) else 9.0, 1e-3)
            ckpt("import", work / "m.gguf", "-o", work / "g.h5")
            ckpt("export", work / "g.h5", "-o", work / "back")
            check(name + ", GGUF and back", distance(wanted, greedy(load(work / "back"), ids)), 1e-3)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
