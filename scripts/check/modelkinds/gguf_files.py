"""Writes a model as a GGUF file with the gguf package, without ckpt."""

import json

import gguf
import numpy as np
import safetensors.numpy

from modelkinds.tokens import FIXTURES, GGUF_TOKENIZERS, MODELS, ids
from make_tokenizer_fixtures import proto

PRECISION = {
    "float32": gguf.GGMLQuantizationType.F32,
    "float16": gguf.GGMLQuantizationType.F16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
}


def write(path, folder, kind):
    """Converts a folder; its weights become the rounded values that the file stands for."""
    config = json.loads((folder / "config.json").read_text())
    architecture = "llama" if kind.family == "mistral" else kind.family
    writer = gguf.GGUFWriter(path, architecture)
    keys(writer, config, architecture)
    tokenizer(writer, folder, kind)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    rows = tensors["model.embed_tokens.weight"].shape[0]
    writer.add_vocab_size(rows)
    names = gguf.get_tensor_name_map(
        next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture), config["num_hidden_layers"]
    )
    heads = config["num_attention_heads"]
    for name, values in tensors.items():
        stem, suffix = name.rsplit(".", 1)
        type_ = PRECISION[kind.dtype] if values.ndim == 2 else PRECISION["float32"]
        if values.shape[-1] % gguf.GGML_QUANT_SIZES[type_][0]:
            type_ = PRECISION["float16"]
        if stem.endswith(("q_proj", "k_proj")) and architecture in ("llama", "smollm3"):
            count = heads if stem.endswith("q_proj") else config.get("num_key_value_heads", heads)
            values = values.reshape(count, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
            order = lambda v: v.reshape(count, -1, 2, *v.shape[1:]).swapaxes(1, 2).reshape(v.shape)  # noqa: E731
        else:
            order = lambda v: v  # noqa: E731
        data = gguf.quantize(values, type_)
        writer.add_tensor(f"{names.get_name(stem)}.{suffix}", data, raw_dtype=type_)
        tensors[name] = np.ascontiguousarray(order(gguf.dequantize(data, type_).reshape(values.shape)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def keys(writer, config, architecture):
    heads = config["num_attention_heads"]
    head = config.get("head_dim", config["hidden_size"] // heads)
    rope = config["rope_parameters"]
    rotated = int(head * rope.get("partial_rotary_factor", 1))
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6 if architecture != "phi3" else 1e-5))
    writer.add_rope_dimension_count(rotated)
    writer.add_rope_freq_base(rope["rope_theta"])
    if architecture == "phi3" or config.get("sliding_window") and config["model_type"] == "mistral":
        writer.add_sliding_window(config.get("sliding_window") or 0)
    kind = rope["rope_type"]
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "attention_factor" in rope:
            writer.add_rope_scaling_attn_factors(rope["attention_factor"] / (0.1 * np.log(rope["factor"]) + 1))
    if kind == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3(rope, rotated))
    if kind == "longrope":
        original = config["original_max_position_embeddings"]
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(
            1.0 if scale <= 1 else float(np.sqrt(1 + np.log(scale) / np.log(original)))
        )
        for name in ("long", "short"):
            writer.add_tensor(f"rope_factors_{name}.weight", np.array(rope[name + "_factor"], np.float32))


def llama3(rope, dimension):
    """The divisors of llama3 scaling, as in llama.cpp's converter."""
    lengths = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, dimension, 2) / dimension)
    low, high = (rope["original_max_position_embeddings"] / rope[f"{name}_freq_factor"] for name in ("low", "high"))
    smooth = (rope["original_max_position_embeddings"] / lengths - rope["low_freq_factor"]) / (
        rope["high_freq_factor"] - rope["low_freq_factor"]
    )
    between = 1 / ((1 - smooth) / rope["factor"] + smooth)
    return np.where(lengths < high, 1, np.where(lengths > low, rope["factor"], between)).astype(np.float32)


def tokenizer(writer, folder, kind):
    name = GGUF_TOKENIZERS[kind.tokenizer]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    if kind.tokenizer in MODELS:
        model = proto((FIXTURES / MODELS[kind.tokenizer]).read_bytes())
        pieces = [(p.piece, p.score, p.type) for p in model.pieces]
        writer.add_tokenizer_model(name)
        writer.add_tokenizer_pre("default")
        writer.add_token_scores([score for _, score, _ in pieces])
        writer.add_add_space_prefix(True)
        writer.add_remove_extra_whitespaces(model.normalizer_spec.remove_extra_whitespaces)
        if model.normalizer_spec.precompiled_charsmap:
            writer.add_precompiled_charsmap(model.normalizer_spec.precompiled_charsmap)
        writer.add_unk_token_id(0)
    else:
        state = json.loads((folder / "tokenizer.json").read_text())
        special = {t["id"]: 3 if t["special"] else 4 for t in state["added_tokens"]}
        vocabulary = ids(state["model"]["vocab"]) | {t["content"]: t["id"] for t in state["added_tokens"]}
        pieces = [(text, 0, special.get(i, 1)) for text, i in sorted(vocabulary.items(), key=lambda item: item[1])]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(name)
        writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in state["model"]["merges"]])
    writer.add_token_list([text for text, *_ in pieces])
    writer.add_token_types([type_ for *_, type_ in pieces])
    numbers = {text: i for i, (text, *_) in enumerate(pieces)}
    if config.get("bos_token"):
        writer.add_bos_token_id(numbers[config["bos_token"]])
    writer.add_eos_token_id(numbers[config["eos_token"]])
    writer.add_chat_template((folder / "chat_template.jinja").read_text())
