#!/usr/bin/env python3
"""Runs every surgery command on a real model and checks the exported result in transformers; exits with 1 on failure.

Usage: scripts/check/surgery.py BASE.h5 FOLDER

BASE.h5 is an imported model with a tied head and without control tokens, such as SmolLM2-135M-Instruct. The results go
to FOLDER. Needs ckpt on the PATH, torch and transformers. scripts/real-model calls this script.
"""

import json
import pathlib
import shutil
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

EMBEDDING = "model.embed_tokens.weight"
TEXT = "A train leaves at nine and needs 3.5 hours. When does it arrive?"
failures = []


def check(name, holds, detail=""):
    print(f"{'ok  ' if holds else 'FAIL'} {name}{': ' if detail else ''}{detail}", flush=True)
    if not holds:
        failures.append(name)


def ckpt(*arguments):
    result = subprocess.run(["ckpt", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"ckpt {' '.join(map(str, arguments))}\n{result.stderr}")
    return result.stdout


def loaded(path):
    """Exports a checkpoint and loads it in transformers: state dict in the stored types, logits, tokenizer, model in fp32."""
    folder = path.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    ckpt("export", path, "-o", folder)
    model, report = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    problems = {key: sorted(value) for key, value in report.items() if value}
    check(f"{path.stem}: transformers loads it, nothing missing or unexpected", not problems, problems or "")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = model.float().eval()
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0]
    return state, logits, tokenizer, model


def same(first, second, names):
    return all(torch.equal(first[name], second[name]) for name in names)


def main(base_path, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.h5"):
        old.unlink()
    place = lambda name: folder / f"{name}.h5"
    shutil.copy(base_path, place("base"))
    base, base_logits, base_tokenizer, _ = loaded(place("base"))
    rows, width = base[EMBEDDING].shape
    others = [name for name in base if name not in (EMBEDDING, "lm_head.weight")]
    low, high = torch.quantile(base[EMBEDDING].float().norm(dim=1), torch.tensor([0.05, 0.95])).tolist()

    for how in ["mean", "auto", "normal", "copy=The"]:
        name = f"tokens-{how.split('=')[0]}"
        ckpt("add-tokens", base_path, "--init", how, "-o", place(name))
        state, logits, tokenizer, model = loaded(place(name))
        check(f"{name}: old rows and all other tensors are the same bits",
              torch.equal(state[EMBEDDING][:rows], base[EMBEDDING]) and same(state, base, others))
        fresh = state[EMBEDDING][rows:]
        norms = fresh.float().norm(dim=1)
        check(f"{name}: three distinct rows with norms from {norms.min():.3f} to {norms.max():.3f}",
              fresh.shape[0] == 3 and len({tuple(row.tolist()) for row in fresh}) == 3)
        if how == "mean":
            check(f"{name}: norms within the 5 and 95 % quantiles, {low:.3f} to {high:.3f}", bool(((norms > low) & (norms < high)).all()))
        check(f"{name}: logits of the old vocabulary", torch.allclose(logits[:, :rows], base_logits, atol=1e-4, rtol=1e-5),
              f"largest difference {(logits[:, :rows] - base_logits).abs().max():.1e}")
        ids = [tokenizer.convert_tokens_to_ids(token) for token in ("<think>", "</think>", "<short>")]
        text = "<think>\n1+1=2\n</think>\nfoo <short>bar"
        check(f"{name}: one id each, in context too, and kept when special tokens are skipped",
              ids == [rows, rows + 1, rows + 2] and [i for i in tokenizer(text).input_ids if i >= rows] == ids
              and tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text)
        check(f"{name}: head still tied", model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr())

    reserved = next(token for token in base_tokenizer.all_special_tokens + list(base_tokenizer.get_added_vocab())
                    if token not in (base_tokenizer.bos_token, base_tokenizer.eos_token, base_tokenizer.unk_token,
                                     base_tokenizer.pad_token))
    ckpt("add-tokens", base_path, "--rename", f"{reserved}=<short>", "-o", place("renamed-token"))
    state, _, tokenizer, _ = loaded(place("renamed-token"))
    check(f"renamed-token: {reserved} became <short> with its id and row",
          tokenizer("<short>").input_ids == base_tokenizer(reserved).input_ids and state[EMBEDDING].shape[0] == rows + 2
          and torch.equal(state[EMBEDDING][:rows], base[EMBEDDING]))

    tokens = loaded(place("tokens-mean"))
    ckpt("resize-vocab", place("tokens-mean"), "--pad-to-multiple-of", 128, "-o", place("padded"))
    state, logits, _, _ = loaded(place("padded"))
    wanted = (rows + 3 + 127) // 128 * 128
    check(f"padded: {wanted} rows, the old ones the same bits",
          state[EMBEDDING].shape[0] == wanted and torch.equal(state[EMBEDDING][: rows + 3], tokens[0][EMBEDDING])
          and torch.allclose(logits[:, : rows + 3], tokens[1], atol=1e-4, rtol=1e-5))

    for dtype in ["bfloat16", "float16", "float32"]:
        ckpt("cast", base_path, "--dtype", dtype, "-o", place(f"cast-{dtype}"))
        state, _, _, _ = loaded(place(f"cast-{dtype}"))
        wanted = getattr(torch, dtype)
        check(f"cast-{dtype}: every element as torch rounds it",
              all(state[name].dtype == wanted and torch.equal(state[name], base[name].to(wanted)) for name in base))

    ckpt("rename", base_path, "model.layers.*=blocks.*", "-o", place("renamed"))
    ckpt("rename", place("renamed"), "blocks.*=model.layers.*", "-o", place("renamed-back"))
    digests = [json.loads(ckpt("inspect", path, "--json"))["digest"] for path in (base_path, place("renamed-back"))]
    state, _, _, _ = loaded(place("renamed-back"))
    check("renamed-back: the original digest", digests[0] == digests[1] and same(state, base, base), digests[0][:16])

    # A second model of the same shape, made by extract, rename and graft: layer 7 becomes a copy of layer 3.
    ckpt("extract", base_path, "--tensor", "model.layers.3.*", "-o", place("layer3"))
    ckpt("rename", place("layer3"), "model.layers.3.*=model.layers.7.*", "-o", place("layer7"))
    ckpt("graft", base_path, place("layer7"), "--tensor", "model.layers.7.*", "-o", place("grafted"))
    state, _, _, _ = loaded(place("grafted"))
    moved = [name for name in others if name.startswith("model.layers.7.")]
    check("grafted: layer 7 is layer 3's, the rest the model's own",
          len(moved) == 9 and same(state, base, [name for name in others if name not in moved])
          and all(torch.equal(state[name], base[name.replace("layers.7.", "layers.3.")]) for name in moved))

    for method, weights, extra in [
        ("linear", (0.25, 0.75), ()), ("slerp", (0.5, 0.5), ()), ("task-arithmetic", (0.7, 0.4), ("--base", place("rounded"))),
    ]:
        if method == "task-arithmetic":
            # A third model as the base: the weights rounded to float16.
            ckpt("cast", place("cast-float16"), "--dtype", "float32", "-o", place("rounded"))
            third = loaded(place("rounded"))[0]
        ckpt("merge", place("cast-float32"), place("grafted"), "--method", method, "--weight", weights[0], "--weight",
             weights[1], *extra, "-o", place(f"merged-{method}"))
        result = loaded(place(f"merged-{method}"))[0]
        worst = 0.0
        for name in base:
            a, b = base[name].double(), state[name].double()
            if method == "linear":
                wanted = weights[0] * a + weights[1] * b
            elif method == "task-arithmetic":
                c = third[name].double()
                wanted = c + weights[0] * (a - c) + weights[1] * (b - c)
            else:
                cosine = ((a * b).sum() / (a.norm() * b.norm())).clamp(-1, 1)
                if 1 - cosine < 5e-4 or a.dim() == 0:
                    wanted = (1 - weights[1]) * a + weights[1] * b
                else:
                    angle = torch.acos(cosine)
                    wanted = (torch.sin((1 - weights[1]) * angle) * a + torch.sin(weights[1] * angle) * b) / torch.sin(angle)
            worst = max(worst, float((result[name].double() - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)))
        check(f"merged-{method}: the formula in float64", worst < 1e-6, f"largest relative difference {worst:.1e}")


main(sys.argv[1], pathlib.Path(sys.argv[2]))
sys.exit(1 if failures else 0)
