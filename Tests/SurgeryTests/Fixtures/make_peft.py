"""Adapters of PEFT on tiny random models, and the models that PEFT merges from them.

Usage: python make_peft.py [FOLDER]    (torch, transformers, peft; made with peft 0.21.2)

Each case is a folder with `base/` (a model), `adapter/` (as save_pretrained writes it), and `merged/`, the model after
merge_and_unload in float32, rounded to the type of the base. Two layers of width 8: a folder has some ten KB.
"""

import json
import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "peft")
MODELS = {
    "llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "phi3": (Phi3Config, Phi3ForCausalLM),
}
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def model(family, tied, dtype):
    config, kind = MODELS[family]
    torch.manual_seed(len(family) + tied)
    built = kind(
        config(
            vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=tied, pad_token_id=None,
            bos_token_id=0, eos_token_id=1, initializer_range=0.3,
        )
    )
    for name, parameter in built.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    return built.to(dtype).eval()


def case(name, family, lora, tied=False, dtype=torch.float32, rows=None):
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    base = model(family, tied, dtype)
    base.save_pretrained(place / "base")
    base.name_or_path = base.config._name_or_path = str(place / "base")
    if rows:
        base.resize_token_embeddings(rows, mean_resizing=False)
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora))
    torch.manual_seed(7)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn_like(parameter)
    adapted.save_pretrained(place / "adapter")
    (place / "adapter/README.md").unlink(missing_ok=True)
    # The path of this machine does not belong into a fixture.
    config = json.loads((place / "adapter/adapter_config.json").read_text())
    config["base_model_name_or_path"] = "tiny/" + name
    config["target_modules"] = lora["target_modules"]
    (place / "adapter/adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    adapted = adapted.float()
    ids = torch.arange(1, 13)[None]
    with torch.no_grad():
        expected = adapted(ids).logits
        merged = adapted.merge_and_unload()
        found = merged(ids).logits
    merged.to(dtype).save_pretrained(place / "merged")
    for name in ("base", "merged"):
        (place / name / "generation_config.json").unlink(missing_ok=True)
    print(f"{place.name}: merged differs by {(expected - found).abs().max():.1e}")


case("llama", "llama", dict(r=4, lora_alpha=8, target_modules=ALL))
case("patterns", "llama", dict(
    r=4, lora_alpha=6, use_rslora=True, target_modules="all-linear",
    rank_pattern={"q_proj": 2, r"layers\.1\.mlp\.(up|gate)_proj": 3},
    alpha_pattern={r".*\.layers\.0\..*": 9, "o_proj": 5},
), dtype=torch.bfloat16)
case("tied-rows", "qwen2", dict(
    r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"], bias="all", trainable_token_indices=[19, 3],
), tied=True)
case("rows", "qwen2", dict(
    r=4, lora_alpha=16, target_modules=["k_proj", "down_proj"], layers_to_transform=[1], bias="lora_only",
    trainable_token_indices={"embed_tokens": [2, 18], "lm_head": [18]},
))
case("fused", "phi3", dict(r=4, lora_alpha=8, target_modules=r".*\.(qkv_proj|gate_up_proj|o_proj)"), dtype=torch.bfloat16)
case("saved", "llama", dict(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]))
case("resized", "llama", dict(r=4, lora_alpha=8, target_modules=["o_proj"], modules_to_save=["norm"]), rows=23)
case("embedding", "llama", dict(r=4, lora_alpha=8, target_modules=["embed_tokens", "lm_head", "up_proj"]))
case("resized-tied", "qwen2", dict(r=4, lora_alpha=8, target_modules=["o_proj"]), tied=True, rows=24)
