"""Refusals that are right, each for the kinds of models that it may concern; any other is a deviation."""

import re


def window(kind):
    return any(kind.config.get(name) for name in ("sliding_window", "use_sliding_window"))


def has(kind, *names):
    """Whether the scaling has one of these members, wherever it stands."""
    return any(
        name in (kind.config.get(place) or {}) for place in ("rope_scaling", "rope_parameters") for name in names
    )


# Name -> (pattern of the message, the kinds that it may concern).
REFUSALS = {
    "llama's cache would apply a window": (
        r'"sliding_window" = \d+ is read by LlamaForCausalLM',
        lambda k: k.family == "llama" and window(k),
    ),
    "window that llama.cpp does not apply": (
        r"a sliding window of (qwen2|qwen3|smollm3), which llama\.cpp does not apply",
        lambda k: window(k),
    ),
    "rotated layers that llama.cpp does not know": (
        r"a rotation of other layers than all but every fourth",
        lambda k: k.family == "smollm3" and ("no_rope_layers" in k.config or "no_rope_layer_interval" in k.config),
    ),
    "heads of a width that llama.cpp does not load": (
        r"another width than hidden_size with model_type (qwen2|phi3)",
        lambda k: k.family in ("qwen2", "phi3") and "head_dim" in k.config,
    ),
    "dynamic scaling in GGUF": (r"RoPE scaling dynamic", lambda k: k.rope == "dynamic"),
    "divisors of frequencies for this architecture": (
        r"RoPE scaling by a divisor for each frequency with model_type (qwen2|qwen3|smollm3)",
        lambda k: k.rope in ("llama3", "longrope"),
    ),
    "yarn's bounds in GGUF": (
        r"RoPE scaling yarn with beta_fast, beta_slow or truncate",
        lambda k: has(k, "beta_fast", "truncate"),
    ),
    "biases that llama.cpp does not load": (
        r"a bias of (o_proj|the MLP) with model_type",
        lambda k: k.config.get("attention_bias") or k.config.get("mlp_bias"),
    ),
    "tokenizer that GGUF does not express": (
        r"(pre_tokenizer|pre-tokenizer|normalizer|tokenizer|BPE without byte_fallback|processor).* in a GGUF file",
        lambda k: k.tokenizer in ("gpt2-prefixed", "unigram-nfkc", "unigram-xlmr", "unigram-t5"),
    ),
}


def explained(message, kind):
    """The name of the refusal; None if it is not one of these."""
    if "\n" in message.strip():
        return None
    for name, (pattern, concerns) in REFUSALS.items():
        if re.search(pattern, message) and concerns(kind):
            return name
    return None
