"""Writes tokenizers as GGUF files with the pre-tokenizer names of llama.cpp, and the ids of their originals.

    python make_gguf_tokenizers.py
        Writes the fixtures smollm.gguf, qwen2.gguf, deepseek-r1-qwen.gguf and llama-bpe.gguf from the tokenizers that
        make_tokenizer_fixtures.py trained, and gguf-tokenizers.json with the ids of the texts in tokenizers.json.
    python make_gguf_tokenizers.py SOURCES FOLDER
        Writes published vocabularies as tokenizer.json and GGUF files, for

            tokenization-bench ids FILE.gguf
            python fuzz_against_tokenizers.py BENCH FOLDER/qwen2.json COUNT SEED FOLDER/qwen2.gguf

        SOURCES holds qwen.tiktoken (package dashscope), tokenizer.model (package llama-models, llama3) and llama.cpp's
        ggml-vocab-{qwen2,llama-bpe}.gguf with their .inp and .out (source package of llama-cpp-python). The originals
        are converted from the first two as transformers does and must reproduce .out.

Needs `tokenizers` and `gguf`; published vocabularies also need `transformers` and `tiktoken`. llama.cpp's files have no
tensors, so each tokenizer is put into the smallest model that can be imported.
"""

import json
import pathlib
import sys

import gguf
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, __version__
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from make_tokenizer_fixtures import LLAMA3, QWEN2

HERE = pathlib.Path(__file__).parent
DEEPSEEK = (  # content, special: the added tokens of DeepSeek-R1-Distill-Qwen, from id 151643 on
    ("<｜end▁of▁sentence｜>", True), ("<｜User｜>", False), ("<｜Assistant｜>", False), ("<｜begin▁of▁sentence｜>", True),
    ("<|EOT|>", False), ("<think>", False), ("</think>", False), ("<|quad_start|>", True), ("<|quad_end|>", True),
    ("<|vision_start|>", True), ("<|vision_end|>", True), ("<|vision_pad|>", True), ("<|image_pad|>", True),
    ("<|video_pad|>", True), ("<tool_call>", False), ("</tool_call>", False), ("<|fim_prefix|>", False),
    ("<|fim_middle|>", False), ("<|fim_suffix|>", False), ("<|fim_pad|>", False), ("<|repo_name|>", False),
    ("<|file_sep|>", False))
# These two convert between bytes and GPT-2's alphabet; the pattern is in the Split.
BYTES = dict(add_prefix_space=False, use_regex=False)


def bpe(vocabulary, merges, pattern, added, *, nfc, ignore_merges=False, beginning=None):
    t = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=ignore_merges))
    if nfc:
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(**BYTES)])
    t.decoder = decoders.ByteLevel()
    for content, special in added:  # one by one, to keep this order of ids
        (t.add_special_tokens if special else t.add_tokens)([AddedToken(content, normalized=False, special=special)])
    if beginning:
        t.post_processor = processors.TemplateProcessing(
            single=f"{beginning} $A", pair=f"{beginning} $A {beginning}:1 $B:1",
            special_tokens=[(beginning, t.token_to_id(beginning))])
    return t


def write(path, t, pre, beginning, end, padded=0):
    """The tokenizer in a model of one zero layer, followed by `padded` unused ids as in published files."""
    state = json.loads(t.to_str())
    vocabulary = {i: token for token, i in t.get_vocab(with_added_tokens=True).items()}
    added = {entry["id"]: entry["special"] for entry in state["added_tokens"]}
    rows = max(vocabulary) + 1 + padded
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in {
            writer.add_block_count: 1, writer.add_context_length: 64, writer.add_embedding_length: 8,
            writer.add_feed_forward_length: 8, writer.add_head_count: 1, writer.add_head_count_kv: 1,
            writer.add_layer_norm_rms_eps: 1e-5, writer.add_rope_dimension_count: 8}.items():
        add(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([vocabulary.get(i, f"[PAD{i}]") for i in range(rows)])
    # ggml's kinds: 1 normal, 3 control, 4 user-defined, 5 unused
    writer.add_token_types([5 if i not in vocabulary else {None: 1, True: 3, False: 4}[added.get(i)] for i in range(rows)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in state["model"]["merges"]])
    if beginning:
        writer.add_bos_token_id(t.token_to_id(beginning))
        if pre != "llama-bpe":  # llama.cpp's default for this tokenizer
            writer.add_add_bos_token(True)
    writer.add_eos_token_id(t.token_to_id(end))
    shapes = {"token_embd": (rows, 8), "output_norm": (8,), "blk.0.attn_norm": (8,), "blk.0.ffn_norm": (8,)}
    shapes |= {f"blk.0.{name}": (8, 8) for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
    for name, shape in shapes.items():
        writer.add_tensor(name + ".weight", np.zeros(shape, dtype=np.float32 if len(shape) == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def fixtures():
    texts = json.loads((HERE / "tokenizers.json").read_text(encoding="utf-8"))["texts"]

    def trained(name):
        return json.loads((HERE / f"{name}.tokenizer.json").read_text(encoding="utf-8"))

    qwen, llama = trained("qwen2")["model"], trained("llama3")["model"]
    merges = [tuple(m) for m in qwen["merges"]]
    cases = [
        ("smollm", Tokenizer.from_file(str(HERE / "smollm.tokenizer.json")), None, "<|im_end|>", 0),
        ("qwen2", bpe(qwen["vocab"], merges, QWEN2, [
            ("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True), ("<think>", False), ("</think>", False)],
            nfc=True), None, "<|im_end|>", 5),
        ("deepseek-r1-qwen", bpe(qwen["vocab"], merges, QWEN2, DEEPSEEK, nfc=True, beginning=DEEPSEEK[3][0]),
         DEEPSEEK[3][0], DEEPSEEK[0][0], 3),
        ("llama-bpe", bpe(llama["vocab"], [tuple(m) for m in llama["merges"]], LLAMA3, [
            ("<|begin_of_text|>", True), ("<|eot_id|>", True)], nfc=False, ignore_merges=True, beginning="<|begin_of_text|>"),
         "<|begin_of_text|>", "<|eot_id|>", 0)]
    result = {"made_with": f"tokenizers {__version__}, gguf 0.19.0", "tokenizers": []}
    for pre, t, beginning, end, padded in cases:
        write(HERE / f"{pre}.gguf", t, pre, beginning, end, padded)
        result["tokenizers"].append({
            "name": pre, "ids": [t.encode(text, add_special_tokens=False).ids for text in texts],
            "special": t.encode("fox<think>").ids,
            "added": [[entry["id"], entry["content"], entry["special"]] for entry in json.loads(t.to_str())["added_tokens"]]})
    lines = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    (HERE / "gguf-tokenizers.json").write_text(lines + "\n", encoding="utf-8")


def originals(sources, folder):
    from transformers.convert_slow_tokenizer import TikTokenConverter, bytes_to_unicode

    def vocabulary_file(name):
        """Tokens, kinds and merges of a vocabulary file of llama.cpp."""
        fields = gguf.GGUFReader(sources / f"ggml-vocab-{name}.gguf").fields
        return [fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges")]

    def qwen(path):
        """Converts as transformers does: the merge of a token is the pair that earlier merges leave of it."""
        ranks = TikTokenConverter.load_tiktoken_bpe(str(path))
        encoder = bytes_to_unicode()
        merges = []
        for token, rank in ranks.items():
            parts = [bytes([b]) for b in token]
            while len(parts) > 2:
                pairs = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
                best, i = min(pairs)
                if best >= rank:
                    break
                parts[i:i + 2] = [parts[i] + parts[i + 1]]
            if len(token) > 1:
                assert len(parts) == 2, token
                merges.append(tuple("".join(encoder[b] for b in part) for part in parts))
        return {"".join(encoder[b] for b in token): rank for token, rank in ranks.items()}, merges

    def check(name, t, tokens=None):
        blocks = (sources / f"ggml-vocab-{name}.gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
        wanted = [[int(i) for i in line.split()] for line in (sources / f"ggml-vocab-{name}.gguf.out").read_text().splitlines()]
        ids = [t.encode(block, add_special_tokens=False).ids for block in blocks]
        differ = sum(a != b for a, b in zip(ids, wanted))
        print(f"{name}: original against llama.cpp's .out: {len(wanted)} texts, {differ} differ")

    vocabulary, merges = qwen(sources / "qwen.tiktoken")
    tokens, kinds, listed = vocabulary_file("qwen2")
    base = [token for token, kind in zip(tokens, kinds) if kind == 1]
    print("qwen2: vocabulary", "same" if sorted(vocabulary, key=vocabulary.get) == base else "OTHER",
          "merges", "same" if [" ".join(m) for m in merges] == listed else "OTHER")
    added = [(token, kind == 3) for token, kind in zip(tokens, kinds) if kind in (3, 4)]
    t = bpe(vocabulary, merges, QWEN2, added, nfc=True)
    check("qwen2", t)
    t.save(str(folder / "qwen2.json"))
    write(folder / "qwen2.gguf", t, "qwen2", None, "<|endoftext|>", len(tokens) - t.get_vocab_size())

    t = bpe(vocabulary, merges, QWEN2, DEEPSEEK, nfc=True, beginning=DEEPSEEK[3][0])
    t.save(str(folder / "deepseek-r1-qwen.json"))
    write(folder / "deepseek-r1-qwen.gguf", t, "deepseek-r1-qwen", DEEPSEEK[3][0], DEEPSEEK[0][0], 271)

    vocabulary, merges = TikTokenConverter(str(sources / "tokenizer.model")).extract_vocab_merges_from_model(
        str(sources / "tokenizer.model"))
    tokens, kinds, listed = vocabulary_file("llama-bpe")
    print("llama-bpe: vocabulary",
          "same" if sorted(vocabulary, key=vocabulary.get) == [t for t, kind in zip(tokens, kinds) if kind == 1] else "OTHER",
          "merges", "same" if [" ".join(m) for m in merges] == listed else "OTHER")
    added = [(token, True) for token, kind in zip(tokens, kinds) if kind == 3]
    t = bpe(vocabulary, merges, LLAMA3, added, nfc=False, ignore_merges=True, beginning="<|begin_of_text|>")
    check("llama-bpe", t)
    t.save(str(folder / "llama-bpe.json"))
    write(folder / "llama-bpe.gguf", t, "llama-bpe", "<|begin_of_text|>", "<|end_of_text|>")


if len(sys.argv) > 2:
    pathlib.Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    originals(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
else:
    fixtures()
