"""Draws the kind of a model: family, fields of config.json, element type, format and tokenizer."""

import dataclasses
import random

from modelkinds.tokens import FOLDER_TOKENIZERS, GGUF_TOKENIZERS

FAMILIES = ["llama", "mistral", "phi3", "qwen2", "qwen3", "smollm3"]
ROPES = ["default", "theta", "linear", "dynamic", "llama3", "yarn", "longrope"]
CLASSES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "phi3": "Phi3",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "smollm3": "SmolLM3",
}
# Fields that none of the classes reads, as found in published files.
HARMLESS = {
    "max_sequence_length": 2048,
    "unk_token_id": 0,
    "_model_name_or_path": "x/y",
    "neftune_noise_alpha": 5.0,
    "temperature": 0.7,
    "do_sample": True,
    "_flash_attn_2_enabled": True,
    "pretraining_tp": 2,
    "logit_scale": 2.0,
    "sep_token_id": None,
    "tf_legacy_loss": False,
    "is_llama_config": True,
    "use_mrope": False,
    "top_k": 50,
}
FORMATS = ["safetensors", "shards", "gguf"]


@dataclasses.dataclass
class Kind:
    """What a model is; `rng` continues to draw what its checks need."""

    number: int
    family: str
    rope: str
    style: str  # Who wrote config.json: 4 or 5 by hand, saved by 4, saved by 5, saved by 5 and then by 4.
    format: str
    dtype: str
    tokenizer: str
    saved: str  # Who wrote the tokenizer's files.
    fields: dict
    rng: random.Random

    def __str__(self):
        tokenizer = f"{self.tokenizer} {self.saved}"
        return f"{self.family}, {self.rope}, config {self.style}, {self.format} {self.dtype}, {tokenizer}"


def draw(seed, number):
    rng = random.Random(f"{seed} {number}")
    family = FAMILIES[number % len(FAMILIES)]
    ropes = {"phi3": ["default", "theta", "longrope"]}.get(family, ROPES)
    rope = ropes[number // len(FAMILIES) % len(ropes)]
    format = rng.choice(FORMATS)
    if format == "gguf":
        allowed = ["default", "theta", "linear", "yarn"] + (["llama3"] if family in ("llama", "mistral") else [])
        rope = rope if rope in allowed or family == "phi3" else rng.choice(allowed)
    fields = {"model_type": family, "architectures": [CLASSES[family] + "ForCausalLM"], "hidden_act": "silu"}
    sizes(rng, family, fields, format)
    switches(rng, family, fields, format)
    style = "5" if format == "gguf" else rng.choice(["4", "5", "saved by 4", "saved by 5", "saved by 5, 4"])
    rotary(rng, family, rope, fields, style, format)
    for name in rng.sample(sorted(HARMLESS), rng.choice([0, 0, 1, 3])):
        fields[name] = HARMLESS[name]
    tokenizer = rng.choice(list(GGUF_TOKENIZERS) if format == "gguf" else FOLDER_TOKENIZERS)
    return Kind(
        number,
        family,
        rope,
        style,
        format,
        rng.choice(["float32", "float16", "q8_0"] if format == "gguf" else ["float32", "bfloat16", "float16"]),
        tokenizer,
        rng.choice(["by hand", "older files", "by 4", "by 5"]),
        fields,
        rng,
    )


def sizes(rng, family, fields, format):
    heads = rng.choice([2, 4])
    fields |= {
        "hidden_size": rng.choice([32, 64, 96]),
        "intermediate_size": rng.choice([64, 80, 96]),
        "num_hidden_layers": rng.choice([4, 5]) if family == "smollm3" else rng.choice([1, 2]),
        "num_attention_heads": heads,
        "num_key_value_heads": rng.choice([n for n in (1, 2, 4) if heads % n == 0]),
        "max_position_embeddings": rng.choice([128, 256]),
        "pad_token_id": None,
        "tie_word_embeddings": rng.random() < 0.5,
    }
    if rng.random() < 0.8:
        fields["rms_norm_eps"] = rng.choice([1e-5, 1e-6])
    # llama.cpp does not load heads of another width of qwen2.
    if family == "qwen2" and format == "gguf":
        return
    # qwen3's heads have 128 dimensions without this field; Phi-3's lists of divisors are checked without it.
    if family != "phi3" and (rng.random() < 0.6 or family == "qwen3"):
        fields["head_dim"] = rng.choice([8, 16, 32])
    if rng.random() < 0.1 and family in ("llama", "phi3"):
        del fields["num_key_value_heads"]  # As many as query heads.


def switches(rng, family, fields, format):
    # llama.cpp has these biases only for llama.
    biases = 0.3 if family == "llama" or format != "gguf" else 0
    if family in ("llama", "smollm3", "qwen3"):
        fields["attention_bias"] = rng.random() < biases
    if family in ("llama", "smollm3"):
        fields["mlp_bias"] = rng.random() < biases
    window = rng.choice([None, 4096, 8, 21])
    if family in ("mistral", "phi3") and (rng.random() < 0.8 or format == "gguf"):
        fields["sliding_window"] = window
    if family in ("qwen2", "qwen3", "smollm3") and rng.random() < 0.7:
        uses = window is not None and rng.random() < 0.4 and format != "gguf"
        fields |= {"use_sliding_window": uses, "sliding_window": window}
        if family != "smollm3":
            fields["max_window_layers"] = rng.choice([0, 1, 28])
    if family == "llama" and format != "gguf" and rng.random() < 0.1:
        fields["sliding_window"] = rng.choice([None, 4096, 16])
    if family == "smollm3" and rng.random() < 0.5 and format != "gguf":
        if rng.random() < 0.5:
            fields["no_rope_layer_interval"] = rng.choice([2, 3])
        else:
            fields["no_rope_layers"] = [rng.randint(0, 1) for _ in range(fields["num_hidden_layers"])]


def rotary(rng, family, rope, fields, style, format):
    """The rotary fields, in the spelling of transformers 4 or 5."""
    heads, hidden = fields["num_attention_heads"], fields["hidden_size"]
    head = fields.get("head_dim", hidden // heads)
    share = rng.choice([1.0, 0.75, 0.5]) if family == "phi3" and head >= 16 else 1.0
    pairs = int(head * share) // 2
    theta = rng.choice([10000.0, 500000.0]) if rope != "default" else None
    original = rng.choice([32, 64])
    scaling = {
        "default": None,
        "theta": None,
        "linear": {"factor": rng.choice([1.0, 2.0, 2.5])},
        "dynamic": {"factor": 2.0},
        "llama3": {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": original,
        },
        "yarn": {"factor": 4.0, "original_max_position_embeddings": original},
        "longrope": {
            "short_factor": [round(1 + rng.random(), 2) for _ in range(pairs)],
            "long_factor": [round(1 + 9 * rng.random(), 2) for _ in range(pairs)],
        },
    }[rope]
    if rope == "yarn" and rng.random() < 0.5:
        extra = [{"attention_factor": 1.0}, {"attention_factor": 0.9}]
        if format != "gguf":
            extra += [{"mscale": 1.0, "mscale_all_dim": 0.7}, {"beta_fast": 16.0}, {"truncate": False}]
        scaling |= rng.choice(extra)
    if rope == "dynamic":
        fields["max_position_embeddings"] = 64  # Shorter than the longest text.
    if rope == "longrope":
        if rng.random() < 0.3:
            scaling["long_factor"] = scaling["short_factor"]
        if family == "phi3":
            fields["original_max_position_embeddings"] = original
        else:
            scaling["original_max_position_embeddings"] = original
    if share != 1:
        fields["partial_rotary_factor"] = share
    # Phi-3's class in transformers 4 knows `type` alone.
    name = "type" if style.startswith("4") and (family == "phi3" or rng.random() < 0.4) else "rope_type"
    if style == "5" or style.startswith("saved by 5"):
        parameters = {"rope_type": rope if scaling else "default"} | (scaling or {})
        parameters["rope_theta"] = theta or 10000.0
        if share != 1:
            parameters["partial_rotary_factor"] = fields.pop("partial_rotary_factor")
        fields["rope_parameters"] = parameters
    else:
        if theta:
            fields["rope_theta"] = theta
        if scaling or rng.random() < 0.5:
            if scaling and family == "phi3":
                name = "type"
            fields["rope_scaling"] = {name: rope} | scaling if scaling else None
