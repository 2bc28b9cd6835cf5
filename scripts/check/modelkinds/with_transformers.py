"""What transformers, version 4 or 5, makes and computes."""

import json
import os
import pathlib
import sys

sys.path.append(os.environ["MODELKINDS_SITE"])

import numpy as np  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from modelkinds.peers import serve  # noqa: E402

transformers.utils.logging.set_verbosity_error()
if hasattr(transformers.utils.logging, "disable_progress_bar"):
    transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "q8_0": torch.float32}
loaded = {}
tokenizers = {}


def version():
    return transformers.__version__


def load(folder):
    """The model in float32; kept, since a folder is asked about several times."""
    if folder not in loaded:
        loaded.clear()
        name = "dtype" if version().startswith("5") else "torch_dtype"
        loaded[folder] = AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager", **{name: torch.float32}
        ).eval()
    return loaded[folder]


def tokenizer(folder):
    """The tokenizer by the class that the folder names; AutoTokenizer passes over it for some types of models."""
    if folder not in tokenizers:
        tokenizers.clear()
        path = pathlib.Path(folder)
        name = json.loads((path / "tokenizer_config.json").read_text()).get("tokenizer_class", "")
        config = path / "config.json"
        kind = AutoTokenizer
        if config.exists() and json.loads(config.read_text())["model_type"] in ("qwen2", "phi3"):
            plain = ("TokenizersBackend", "PreTrainedTokenizerFast")
            kind = transformers.PreTrainedTokenizerFast if name in plain else getattr(transformers, name)
        tokenizers[folder] = kind.from_pretrained(folder)
    return tokenizers[folder]


def size(folder):
    """The number of tokens."""
    return len(tokenizer(folder))


def resave(folder, what):
    """Lets this version write config.json or the tokenizer's files."""
    (AutoConfig.from_pretrained(folder) if what == "config" else tokenizer(folder)).save_pretrained(folder)
    tokenizers.clear()


def make(folder, seed, dtype, shards, head):
    """Writes random weights of the model that config.json describes; its norms and biases differ from 1 and 0."""
    folder = pathlib.Path(folder)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float()
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            if not head:
                continue
            tensors[name] = tensors["model.embed_tokens.weight"].clone()
        else:
            tensors[name] = (torch.randn_like(tensor) * 0.2 + float("norm" in name)).to(TYPES[dtype])
    if not shards:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return list(tensors)
    places = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(tensors)}
    for file in sorted(set(places.values())):
        safetensors.torch.save_file(
            {n: t for n, t in tensors.items() if places[n] == file}, folder / file, {"format": "pt"}
        )
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": places})
    )
    return list(tensors)


def logits(folder, sequences, to, inputs="float32"):
    """Writes the logits of all sequences, one below the other, to `to`; `inputs` of matrices are rounded to this type."""
    model = load(folder)
    kind = TYPES[inputs]
    matrices = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and kind != torch.float32]
    hooks = [m.register_forward_pre_hook(lambda _, given: (given[0].to(kind).float(),)) for m in matrices]
    with torch.no_grad():
        rows = [model(torch.tensor([ids])).logits[0].float() for ids in sequences]
    for hook in hooks:
        hook.remove()
    np.save(to, torch.cat(rows).numpy())


def greedy(folder, ids, count, stops):
    """Greedy tokens after a prompt, each by a pass over the whole text, with their lead over the second relative to the
    largest logit."""
    model, tokens, leads = load(folder), [], []
    with torch.no_grad():
        while len(tokens) < count:
            row = model(torch.tensor([ids + tokens])).logits[0, -1].float()
            best = row.topk(2).values
            leads.append(float((best[0] - best[1]) / row.abs().max()))
            tokens.append(int(row.argmax()))
            if tokens[-1] in stops:
                break
    return {"tokens": tokens, "leads": leads}


def end(folder):
    """The id of the end token."""
    return tokenizer(folder).eos_token_id


def encode(folder, texts):
    """Of each text: ids without special tokens, ids with them, and the text that the first decode to."""
    found = [(tokenizer(folder).encode(t, add_special_tokens=False), tokenizer(folder).encode(t)) for t in texts]
    return [
        [plain, special, tokenizer(folder).decode(plain, clean_up_tokenization_spaces=False)]
        for plain, special in found
    ]


if __name__ == "__main__":
    serve({f.__name__: f for f in (version, size, resave, make, logits, greedy, end, encode)})
