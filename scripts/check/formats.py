#!/usr/bin/env python3
"""Checks import and export of models against transformers, gguf and llama.cpp; exits with 1 if anything differs.

Usage: scripts/check/formats.py FOLDER [MODEL.h5]

Hugging Face: tiny llama, qwen2 and qwen3 models with random weights, and MODEL.h5 if given, go from transformers
through a checkpoint and back, in one file and in shards. Every tensor must be byte-identical, and transformers must
compute equal logits. Run this with transformers 4 and with 5. FP8 weights must be those of transformers 5.
GGUF: the import of every quantised type must be bit-equal to the values that the gguf package computes. llama.cpp loads
exports of the tiny models, and its logits must be close to transformers'. MODEL.h5 must greedily continue five prompts
with the same text in llama.cpp and in transformers. Skipped if llama_cpp_python or gguf is not installed.

`ckpt` is taken from PATH. Tested with transformers 4.57.6 and 5.23.0, llama_cpp_python 0.3.36, gguf 0.19.0.
"""

import gc
import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import safetensors
import safetensors.torch
import torch
import transformers

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
PROMPTS = [
    "What is 17+25?",
    "Name the capital of France.",
    "Write a short poem about rain.",
    "Explain in one sentence why the sky is blue.",
    "List three prime numbers.",
]
failures = []
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def check(name, holds, detail):
    print(f"{'ok  ' if holds else 'FAIL'} {name}: {detail}", flush=True)
    if not holds:
        failures.append(name)


def ckpt(*arguments):
    result = subprocess.run(["ckpt", *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"ckpt {' '.join(map(str, arguments))}: {result.stderr}")
    return result.stdout


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def load(folder, dtype):
    # Version 4 of transformers only knows the older name of the argument.
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", **{name: dtype})
    return model.eval()


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def tensors(folder):
    """Type, shape and bytes of every tensor of a folder."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                found[name] = entry["dtype"], tuple(entry["shape"]), content[8 + length + start : 8 + length + end]
    return found


def tiny(family, tied):
    torch.manual_seed(5)
    common = dict(
        vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=tied, rms_norm_eps=1e-5,
    )
    config, kind = {
        "llama": (transformers.LlamaConfig(**common), transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config(**common), transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config(head_dim=32, **common), transformers.Qwen3ForCausalLM),
    }[family]
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms and biases start out constant; larger values everywhere let a mix-up show in the logits.
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def there_and_back(folder, name, model, ids, dtype, shard):
    """transformers → checkpoint → folder: bytes and logits."""
    first, second = folder / f"{name}-first", folder / f"{name}-second"
    for path in (first, second):
        shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(first, max_shard_size=shard or "5GB")
    ckpt("import", first, "-o", folder / f"{name}.h5", "--force")
    ckpt("export", folder / f"{name}.h5", "-o", second, *(["--max-shard-size", shard] if shard else []))
    before, after = tensors(first), tensors(second)
    count = len(list(second.glob("*.safetensors")))
    check(
        f"{name}, {shard or 'one file'}: tensors", before == after and (count > 1) == bool(shard),
        f"{len(after)} tensors in {count} files, byte-identical")
    equal = np.array_equal(logits(load(first, dtype), ids), logits(load(second, dtype), ids))
    check(f"{name}, {shard or 'one file'}: logits of transformers {transformers.__version__}", equal, "equal")


def float8(matrix, method):
    """A matrix in FP8 with the scales of 32 × 32 blocks (fp8) or of its rows (compressed-tensors)."""
    values = matrix.float()
    rows, columns = values.shape
    if method == "fp8":
        blocks = values.reshape(rows // 32, 32, columns // 32, 32)
        scales = blocks.abs().amax((1, 3)) / 448
        return (blocks / scales[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn), scales, "_scale_inv"
    scales = (values.abs().amax(1, keepdim=True) / 448).to(torch.bfloat16)
    return (values / scales.float()).to(torch.float8_e4m3fn), scales, "_scale"


def float8_import(folder):
    """FP8 weights in the forms of DeepSeek and of llm-compressor must be what transformers makes of them."""
    group = {"num_bits": 8, "type": "float", "symmetric": True}
    configurations = {
        "fp8": {"activation_scheme": "dynamic", "weight_block_size": [32, 32]},
        "compressed-tensors": {
            "format": "float-quantized", "quantization_status": "compressed", "ignore": ["lm_head"],
            "config_groups": {"group_0": {
                "targets": ["Linear"], "weights": group | {"strategy": "channel", "dynamic": False},
                "input_activations": group | {"strategy": "token", "dynamic": True}}}},
    }
    for method, configuration in configurations.items():
        if method == "compressed-tensors" and not version(method):
            continue
        source = folder / f"tiny-{method}"
        shutil.rmtree(source, ignore_errors=True)
        tiny("llama", True).to(torch.bfloat16).save_pretrained(source)
        stored = {}
        for name, tensor in safetensors.torch.load_file(source / "model.safetensors").items():
            if ".layers." in name and tensor.ndim == 2:
                stored[name], scales, suffix = float8(tensor, method)
                stored[name + suffix] = scales.contiguous()
            else:
                stored[name] = tensor
        safetensors.torch.save_file(stored, source / "model.safetensors", {"format": "pt"})
        config = json.loads((source / "config.json").read_text())
        config["quantization_config"] = configuration | {"quant_method": method}
        (source / "config.json").write_text(json.dumps(config))
        ckpt("import", source, "-o", folder / f"{method}.h5", "--force")
        ckpt("export", folder / f"{method}.h5", "-o", folder / f"{method}-hf", "--dtype", "bfloat16", "--force")
        found = safetensors.torch.load_file(folder / f"{method}-hf" / "model.safetensors")
        options = (
            transformers.FineGrainedFP8Config(dequantize=True, weight_block_size=(32, 32)) if method == "fp8"
            else transformers.CompressedTensorsConfig(run_compressed=False))
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, quantization_config=options, dtype=torch.bfloat16)
        expected = model.state_dict()
        equal = all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
        check(f"FP8 as of {method}", equal, f"{len(found)} tensors equal to those of transformers in bfloat16")


def quantised_import(folder):
    import gguf

    rng = np.random.default_rng(3)
    for kind in (
        "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 "
        "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S TQ1_0 TQ2_0".split()):
        type_ = gguf.GGMLQuantizationType[kind]
        elements, size = gguf.GGML_QUANT_SIZES[type_]
        path = folder / f"{kind}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_block_count(1)
        writer.add_context_length(64)
        writer.add_embedding_length(256)
        writer.add_feed_forward_length(256)
        writer.add_head_count(4)
        writer.add_layer_norm_rms_eps(1e-5)
        data = rng.integers(0, 256, (512, 256 // elements * size), dtype=np.uint8)
        if kind in ("F32", "F16", "BF16"):
            values = rng.standard_normal((512, 256)).astype(np.float32)
            data = gguf.quantize(values, type_)
        else:
            # Scales are float16; random bits would make many of them infinite or NaN.
            places = {
                "Q4_1": [0, 2], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q2_K": [80, 82],
                "Q3_K": [108], "MXFP4": [], "IQ1_M": [], "TQ1_0": [52], "TQ2_0": [64]}.get(kind, [0])
            blocks = data.reshape(-1, size)
            if kind == "MXFP4":
                # The exponents of the scales, without those of infinite values.
                blocks[:, 0] = np.minimum(blocks[:, 0], 251)
            if kind == "IQ1_M":
                # The upper bits of the scale's exponent, in the last nibble, without those of infinite values.
                blocks[:, 55] &= 0xBF
            for place in places:
                scales = (rng.standard_normal(len(blocks)) * 0.1).astype(np.float16)
                blocks[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
        writer.add_tensor("token_embd.weight", data, raw_dtype=type_)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        ckpt("import", path, "-o", folder / f"{kind}.h5", "--force")
        ckpt("export", folder / f"{kind}.h5", "-o", folder / f"{kind}-hf", "--dtype", "float32", "--force", "--partial")
        _, _, found = tensors(folder / f"{kind}-hf")["model.embed_tokens.weight"]
        expected = gguf.dequantize(data, type_).astype("<f4").tobytes()
        check(f"import of {kind}", found == expected, f"{len(found) // 4} values bit-equal to gguf {version('gguf')}")


def rounded(folder, path):
    """A Hugging Face folder with the rounded values of a GGUF file."""
    ckpt("import", path, "-o", folder / "again.h5", "--force")
    ckpt("export", folder / "again.h5", "-o", folder / "again", "--dtype", "float32", "--force")
    return folder / "again"


def llama_cpp_model(path, **options):
    import llama_cpp

    # Keys and values as float32, so that only the weights' types make a difference.
    return llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, verbose=False, type_k=0, type_v=0, flash_attn=False, **options)


def llama_cpp_logits(path, ids):
    model = llama_cpp_model(path, logits_all=True)
    model.reset()
    model.eval(ids)
    result = np.array(model.scores[: len(ids)], dtype=np.float32)
    model.close()
    return result


def families_in_llama_cpp(folder, tokenizer_folder):
    """Random models of every family, with the files of a tokenizer, since llama.cpp needs a vocabulary."""
    ids = [3, 17, 250, 99, 4, 4, 123, 319, 0, 64, 31, 200, 77]
    for family, tied in [("llama", True), ("llama", False), ("qwen2", False), ("qwen3", True)]:
        model = tiny(family, tied)
        name = f"{family}-{'tied' if tied else 'untied'}"
        source = folder / f"{name}-gguf"
        shutil.rmtree(source, ignore_errors=True)
        model.save_pretrained(source)
        for file in tokenizer_folder.iterdir():
            shutil.copy(file, source)
        ckpt("import", source, "-o", folder / f"{name}.h5", "--force")
        for dtype in ["float32", "float16", "bfloat16", "q8_0"]:
            path = folder / f"{name}-{dtype}.gguf"
            ckpt("export", folder / f"{name}.h5", "-o", path, "--dtype", dtype, "--force")
            # transformers computes with the rounded weights of the file, so that only the arithmetic differs.
            again = rounded(folder, path)
            expected = logits(load(again, torch.float32), ids)
            found = llama_cpp_logits(path, ids)
            error = float(np.abs(found - expected).max() / np.abs(expected).max())
            # llama.cpp rounds activations to the type of the weights; for q8_0 to 8 bits.
            limit = {"float32": 1e-5, "float16": 3e-3, "bfloat16": 2e-2, "q8_0": 4e-2}[dtype]
            check(f"{name} as {dtype} in llama.cpp", error < limit, f"largest relative error of logits {error:.1e}")


def tiny_tokenizer(folder):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(f"<|{number}|>", normalized=False) for number in range(64)])
    shutil.rmtree(folder, ignore_errors=True)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|0|>").save_pretrained(folder)
    return folder


def same_text(folder, checkpoint):
    """Greedy continuations by llama.cpp of every export, against transformers with the same weights.

    llama.cpp rounds activations, for q8_0 to 8 bits, which can decide a near tie differently. So each token it takes is
    compared with transformers' logits at that position: it must be the first choice, or for q8_0 close behind it.
    """
    for dtype in ["float32", "float16", "bfloat16", "q8_0"]:
        path = folder / f"model-{dtype}.gguf"
        ckpt("export", checkpoint, "-o", path, "--dtype", dtype, "--force")
        again = rounded(folder, path)
        tokenizer = transformers.AutoTokenizer.from_pretrained(again)
        reference = load(again, torch.float32)
        model = llama_cpp_model(path)
        count, others, widest, same = 0, 0, 0.0, 0
        for prompt in PROMPTS:
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            own = model.tokenize(text.encode(), add_bos=False, special=True)
            assert own == ids, f"llama.cpp splits the prompt into {own}, the tokenizer into {ids}"
            found = []
            for token in model.generate(ids, top_k=1, temp=0.0, repeat_penalty=1.0):
                found.append(token)
                if token == tokenizer.eos_token_id or len(found) == 40:
                    break
            rows = logits(reference, ids + found)[len(ids) - 1 : -1]
            gaps = rows.max(axis=1) - rows[np.arange(len(found)), found]
            count += len(found)
            others += int((gaps > 0).sum())
            widest = max(widest, float(gaps.max()))
            same += not gaps.any()
        model.close()
        check(
            f"greedy text of {dtype} in llama.cpp", widest <= (0.5 if dtype == "q8_0" else 0) and others <= count // 20,
            f"{same} of {len(PROMPTS)} texts the same; of {count} tokens {others} are not transformers' first choice, "
            f"by at most {widest:.2f} in logits")
        del reference
        gc.collect()


def main():
    folder = pathlib.Path(sys.argv[1])
    checkpoint = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    folder.mkdir(parents=True, exist_ok=True)
    print(", ".join(f"{name} {version(name)}" for name in ["transformers", "safetensors", "torch", "gguf", "llama_cpp_python"]))
    ids = list(range(1, 60, 3))
    for family, tied, dtype in [("llama", True, "bfloat16"), ("qwen2", False, "float32"), ("qwen3", True, "float16")]:
        for shard in [None, "60KB"]:
            there_and_back(folder, f"tiny-{family}", tiny(family, tied).to(TYPES[dtype]), ids, TYPES[dtype], shard)
    if checkpoint:
        ckpt("export", checkpoint, "-o", folder / "model", "--force")
        for shard in [None, "100MB"]:
            there_and_back(folder, "model", load(folder / "model", "auto"), ids, torch.float32, shard)
    if int(transformers.__version__.split(".")[0]) >= 5:
        float8_import(folder)
    if version("gguf"):
        quantised_import(folder)
    if version("llama_cpp_python"):
        families_in_llama_cpp(folder, tiny_tokenizer(folder / "tokenizer"))
        if checkpoint:
            same_text(folder, checkpoint)
    sys.exit(1 if failures else 0)


main()
