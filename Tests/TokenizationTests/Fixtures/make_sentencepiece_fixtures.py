"""Writes SentencePiece models and GGUF files with SentencePiece tokenizers, and the ids of the reference programs.

    python make_sentencepiece_fixtures.py [--train]

For the texts of tokenizers.json: of the .model files the ids of `sentencepiece`, of the GGUF files those of llama.cpp
(package xllamacpp). Needs `sentencepiece`, `gguf` and xllamacpp.
"""

import json
import pathlib
import sys
import tempfile
import urllib.request

import gguf
import numpy as np
import sentencepiece

from make_tokenizer_fixtures import RULES, proto, sentencepiece_model

HERE = pathlib.Path(__file__).parent
# `tokenizers` applies a rule for several characters only to short grapheme clusters, and one for "\r" to all of "\r\n";
# SentencePiece does not.
SINGLE = [(a, b) for a, b in RULES if len(a) == 1 and a != "\r"]
MODELS = {
    "bpe.model": dict(model_type="bpe", size=800, remove_extra_whitespaces=False),
    "unigram.model": dict(model_type="unigram", size=720, character_coverage=0.98, remove_extra_whitespaces=False),
    "symbols.model": dict(
        model_type="unigram", size=700, rules=SINGLE, character_coverage=0.98, symbols=("<think>", "</think>", "\n\n", "a+b(c)")),
}


def write_gguf(path, model, kind, width=8):
    """The pieces of a SentencePiece model in a model of one zero layer."""
    m = proto(model)
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in {
            writer.add_block_count: 1, writer.add_context_length: 64, writer.add_embedding_length: width,
            writer.add_feed_forward_length: width, writer.add_head_count: 1, writer.add_head_count_kv: 1,
            writer.add_layer_norm_rms_eps: 1e-5, writer.add_rope_dimension_count: width}.items():
        add(value)
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("default")
    pieces = [(p.piece, p.score, p.type) for p in m.pieces]
    for token, score, kind_of_token in (("<think>", -1000.0, 4), ("</think>", -1000.0, 4), ("[PAD]", -10000.0, 5)):
        if token not in [text for text, *_ in pieces]:
            pieces.append((token, score, kind_of_token))
    writer.add_token_list([text for text, *_ in pieces])
    writer.add_token_scores([score for _, score, _ in pieces])
    writer.add_token_types([kind_of_token for *_, kind_of_token in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(True)
    if kind == "t5":
        writer.add_remove_extra_whitespaces(m.normalizer_spec.remove_extra_whitespaces)
        if m.normalizer_spec.precompiled_charsmap:
            writer.add_precompiled_charsmap(m.normalizer_spec.precompiled_charsmap)
    rows = len(pieces)
    shapes = {"token_embd": (rows, width), "output_norm": (width,), "blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,)}
    matrices = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes |= {f"blk.0.{name}": (width, width) for name in matrices}
    for name, shape in shapes.items():
        writer.add_tensor(name + ".weight", np.zeros(shape, dtype=np.float32 if len(shape) == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp(path):
    """A function from a text to the ids of llama.cpp."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 64
    parameters.warmup = False
    server = xllamacpp.Server(parameters)

    def encode(text):
        body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
        request = urllib.request.Request(
            encode.server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["tokens"]

    encode.server = server
    return encode


def near(processor, *divisions):
    first, second = (sum(processor.get_score(i) for i in ids) for ids in divisions)
    return abs(first - second) < 1e-4


def main():
    texts = json.loads((HERE / "tokenizers.json").read_text(encoding="utf-8"))["texts"]
    result = {"made_with": f"sentencepiece {sentencepiece.__version__}, gguf 0.19.0", "tokenizers": []}
    for name, options in MODELS.items():
        path = HERE / name
        if "--train" in sys.argv or not path.exists():
            path.write_bytes(sentencepiece_model(**options))
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        ids = [processor.encode(text) for text in texts]
        if options["model_type"] == "unigram":
            # SentencePiece adds scores in 32 bits, so rounding decides between equally good divisions; they are left out.
            nbest = [processor.nbest_encode(text, nbest_size=2) if text else [] for text in texts]
            ids = [None if len(n) == 2 and near(processor, *n) else i for i, n in zip(ids, nbest)]
        result["tokenizers"].append({"name": name, "ids": ids})
    for name, source, kind in (("llama.gguf", "bpe.model", "llama"), ("t5.gguf", "symbols.model", "t5")):
        write_gguf(HERE / name, (HERE / source).read_bytes(), kind)
        with tempfile.TemporaryDirectory() as folder:  # llama.cpp runs only wider models
            path = pathlib.Path(folder) / name
            write_gguf(path, (HERE / source).read_bytes(), kind, width=64)
            encode = llama_cpp(path)
            result["tokenizers"].append({"name": name, "ids": [encode(text) for text in texts]})
    lines = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    (HERE / "sentencepiece-tokenizers.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
