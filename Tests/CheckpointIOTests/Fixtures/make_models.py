"""Makes the fixtures of the model formats: tiny models saved by transformers, the same models as GGUF files, one split
into shards, one in FP8, and blocks of every quantised type with the values that the gguf package decodes.

    python make_models.py            writes to ./models, with the versions of the packages in versions.json

The models are random with a fixed seed; nothing is downloaded.
"""

import json
import pathlib
import shutil
import zlib

import gguf
import numpy as np
import safetensors
import safetensors.torch
import tokenizers
import torch
import transformers
from gguf import GGMLQuantizationType as Q
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).parent / "models"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXT = ["the quick brown fox jumps over the lazy dog. " * 4, "Numbers 1234567 and 2025, it's a test; don't panic!\n\n  x"]
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer(kind):
    bpe = Tokenizer(models.BPE())
    if kind == "smollm":
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    else:
        bpe.normalizer = normalizers.NFC()
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    bpe.decoder = decoders.ByteLevel()
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=names if kind == "smollm" else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXT, trainer)
    if kind != "smollm":
        bpe.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    bpe.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        chat_template=TEMPLATE, clean_up_tokenization_spaces=False,
    )


def model(family, rows, hidden, dtype, tied):
    torch.manual_seed(7)
    common = dict(
        vocab_size=rows, hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=tied, rms_norm_eps=1e-5,
        rope_theta=100000.0, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )
    config, cls = {
        "llama": (transformers.LlamaConfig(**common), transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config(**common), transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config(head_dim=32, **common), transformers.Qwen3ForCausalLM),
    }[family]
    result = cls(config)
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            # Norms and biases are initialised to constants; distinct values reveal a mix-up.
            parameter.add_(torch.randn_like(parameter) * (0.1 if parameter.ndim == 1 else 0.02))
    return result.to(dtype)


def digest(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def table(entries):
    return [dict(name=n, dtype=d, shape=list(s), crc32=h) for n, d, s, h in sorted(entries)]


def save_folder(name, family, kind, dtype, tied, shard="5GB"):
    folder = ROOT / name
    tok = tokenizer(kind)
    made = model(family, len(tok) + 2, 64, dtype, tied)
    made.save_pretrained(folder, max_shard_size=shard)
    tok.save_pretrained(folder)
    entries = []
    for path in folder.glob("*.safetensors"):
        for key, tensor in safetensors.torch.load_file(path).items():
            raw = tensor.contiguous().view(torch.uint8).numpy() if tensor.ndim else tensor.numpy()
            entries.append((key, str(tensor.dtype).removeprefix("torch."), tensor.shape, digest(raw)))
    (folder / "expected.json").write_text(json.dumps(table(entries), indent=1) + "\n")
    return made, tok


def interleave(weights, heads):
    """Permutes the rows of each head from Hugging Face's order to llama.cpp's."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def separate(weights, heads):
    return weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    for hf, short in [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")]:
        if name.startswith(hf):
            return name.replace(hf, short)
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{kind}"


def save_gguf(name, family, made, tok, pre, types, **extra):
    config = made.config
    writer = gguf.GGUFWriter(ROOT / name, family)
    writer.add_name("tiny " + family)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(100000.0)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(head)
    if family == "qwen3":
        writer.add_key_length(head)
        writer.add_value_length(head)
    backend = tok.backend_tokenizer
    vocabulary = {v: k for k, v in backend.get_vocab(with_added_tokens=True).items()}
    added = {token.content: token.special for token in tok.added_tokens_decoder.values()}
    tokens, kinds = [], []
    for index in range(config.vocab_size):
        token = vocabulary.get(index)
        tokens.append(token if token is not None else f"[PAD{index}]")
        kinds.append(5 if token is None else 1 if token not in added else 3 if added[token] else 4)
    writer.add_tokenizer_model("gpt2")
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = json.loads(backend.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tok.bos_token_id)
    writer.add_eos_token_id(tok.eos_token_id)
    writer.add_pad_token_id(tok.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    entries = []
    for index, (key, parameter) in enumerate(made.state_dict().items()):
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = parameter.float().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
        heads = heads if family == "llama" else None
        if heads:
            values = interleave(values, heads)
        kind = Q.F32 if values.ndim == 1 else types[index % len(types)]
        data = gguf.quantize(values, kind)
        writer.add_tensor(gguf_name(key), data, raw_dtype=kind)
        if kind in (Q.F16, Q.BF16):
            logical, dtype = data, "float16" if kind == Q.F16 else "bfloat16"
            logical = logical.view(np.uint16).reshape(values.shape)
        else:
            logical, dtype = gguf.dequantize(data, kind).reshape(values.shape), "float32"
        if heads:
            logical = separate(logical, heads)
        entries.append((key, dtype, values.shape, digest(logical)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (ROOT / name).with_suffix(".expected.json").write_text(json.dumps(table(entries), indent=1) + "\n")


def save_blocks():
    """Eight blocks per type of random bytes with finite scales, and the values that the gguf package decodes."""
    rng = np.random.default_rng(11)
    scales = {
        "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
        "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
        "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
        "TQ1_0": [52], "TQ2_0": [64]}
    for name, places in scales.items():
        size, count = gguf.GGML_QUANT_SIZES[Q[name]][1], 8
        blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
        for place in places:
            values = rng.standard_normal(count).astype(np.float16)
            # Include the smallest subnormal, zero, and a large value.
            values[:3] = [np.float16(6e-8), np.float16(-0.0), np.float16(60000)]
            blocks[:, place : place + 2] = values.view(np.uint8).reshape(count, 2)
        if name == "MXFP4":
            # Exponents: subnormal scales, the smallest normal one, and the largest without infinite values.
            blocks[:, 0] = [0, 1, 2, 100, 127, 128, 150, 251]
        if name == "IQ1_M":
            # The nibbles of the scale are in four bytes; this one has the sign and the exponent's upper bits.
            blocks[:, 55] = [0x00, 0x80, 0x70, 0x30, 0xB0, 0x2A, 0xA5, 0x1F]
        (ROOT / f"blocks-{name}.bin").write_bytes(blocks.tobytes() + gguf.dequantize(blocks, Q[name]).astype("<f4").tobytes())


def save_encoded():
    """64 rows of float32 values of all magnitudes, then their Q8_0 blocks as encoded by the gguf package."""
    rng = np.random.default_rng(13)
    values = rng.standard_normal((64, 32)).astype(np.float32) * np.float32(10.0) ** rng.integers(-6, 4, (64, 1))
    values = values.astype(np.float32)
    values[0] = 0
    # Halves, which round away from zero.
    values[1] = np.arange(32, dtype=np.float32) - 15.5
    values[1, 31] = 127
    (ROOT / "encode-Q8_0.bin").write_bytes(values.tobytes() + gguf.quantize(values, Q.Q8_0).tobytes())


def save_split(name, folder):
    """A GGUF file as shards of eight tensors, the first without any, as llama-gguf-split writes them on request."""
    reader = gguf.GGUFReader(ROOT / name)
    (ROOT / folder).mkdir()
    writer = gguf.GGUFWriter(
        ROOT / folder / name, reader.fields["general.architecture"].contents(), split_max_tensors=8,
        small_first_shard=True)
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def save_float8():
    """The Llama model with FP8 matrices and a scale for each block, and tensors with other scales and their values."""
    source, folder = ROOT / "llama-tied-bf16", ROOT / "llama-fp8"
    folder.mkdir()
    rows, columns = 32, 48
    stored, entries = {}, []
    for name, tensor in safetensors.torch.load_file(source / "model.safetensors").items():
        if ".layers." in name and tensor.ndim == 2:
            values = tensor.float()
            scales = torch.empty(-(-values.shape[0] // rows), -(-values.shape[1] // columns))
            blocks = [(i, j) for i in range(scales.shape[0]) for j in range(scales.shape[1])]
            logical = torch.empty_like(values)
            eighths = torch.empty_like(values, dtype=torch.float8_e4m3fn)
            for i, j in blocks:
                part = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
                scales[i, j] = values[part].abs().max() / 448
                eighths[part] = (values[part] / scales[i, j]).to(torch.float8_e4m3fn)
                logical[part] = eighths[part].float() * scales[i, j]
            stored[name], stored[name + "_scale_inv"] = eighths, scales
            entries.append((name, "float32", logical.shape, digest(logical.numpy())))
        else:
            stored[name] = tensor
            entries.append((name, "bfloat16", tensor.shape, digest(tensor.view(torch.uint8).numpy())))
    safetensors.torch.save_file(stored, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {
        "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [rows, columns]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "expected.json").write_text(json.dumps(table(entries), indent=1) + "\n")

    bits = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(6, 10, generator=generator).to(torch.float8_e4m3fn)
    by_row = (torch.rand(6, 1, generator=generator) + 0.5).to(torch.bfloat16)
    tensors = {"row.weight": weight, "row.weight_scale": by_row, "expected.row.weight": weight.float() * by_row.float()}
    tensors |= {"whole.weight": weight.clone(), "whole.weight_scale": torch.tensor(0.3), "whole.input_scale": torch.ones(1)}
    tensors["expected.whole.weight"] = weight.float() * torch.tensor(0.3)
    for name, kind in [("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)]:
        tensors |= {name: bits.clone().view(kind), "expected." + name: bits.view(kind).float()}
    safetensors.torch.save_file(tensors, ROOT / "float8.safetensors")


if __name__ == "__main__":
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    llama, smollm = save_folder("llama-tied-bf16", "llama", "smollm", torch.bfloat16, True)
    qwen2, qwen = save_folder("qwen2-sharded-f32", "qwen2", "qwen2", torch.float32, False, shard="150KB")
    qwen3, _ = save_folder("qwen3-f16", "qwen3", "qwen2", torch.float16, True)
    quantised = [Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.F32]
    save_gguf("llama-quantised.gguf", "llama", llama, smollm, "smollm", quantised)
    save_gguf("qwen2-f16.gguf", "qwen2", qwen2, qwen, "qwen2", [Q.F16])
    save_gguf("qwen3-bf16.gguf", "qwen3", qwen3, qwen, "qwen2", [Q.BF16])
    save_split("llama-quantised.gguf", "llama-split")
    save_float8()
    save_blocks()
    save_encoded()
    peers = [gguf, np, safetensors, tokenizers, torch, transformers]
    versions = {peer.__name__: getattr(peer, "__version__", None) for peer in peers}
    versions["gguf"] = __import__("importlib.metadata").metadata.version("gguf")
    (ROOT / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
