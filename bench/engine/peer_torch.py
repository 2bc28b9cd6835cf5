#!/usr/bin/env python3
"""PyTorch and transformers on the work that engine-bench measures: same shapes, random weights, two threads.

    python peer_torch.py train  --shape smol --batch 4 --length 256 [--repeats 3]
    python peer_torch.py decode --shape smol --rows 64 --prompt 64 --new 64
"""

import argparse
import resource
import statistics
import time

import torch
import transformers

SHAPES = {
    "tiny": (64, 128, 352, 3, 4, 4), "smol": (49152, 576, 1536, 30, 9, 3),
    "0.5b": (49152, 960, 2560, 32, 15, 5),
}


def processor():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime


def build(shape):
    vocabulary, hidden, intermediate, layers, heads, kv = SHAPES[shape]
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv, tie_word_embeddings=True, max_position_embeddings=131072)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32), vocabulary


def tokens(rows, length, vocabulary):
    i = torch.arange(length)[None]
    r = torch.arange(rows)[:, None]
    return (i * 7919 + r * 104729 + i * i * 31) % vocabulary


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "decode"])
    parser.add_argument("--shape", default="smol")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, vocabulary = build(options.shape)
    walls, processors = [], []
    if options.what == "train":
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        ids = tokens(options.batch, options.length, vocabulary)
        count = ids.numel()

        def step():
            optimizer.zero_grad(set_to_none=False)
            model(ids, labels=ids).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    else:
        model.eval()
        ids = tokens(options.rows, options.prompt, vocabulary)
        count = options.rows * options.new

        def step():
            with torch.no_grad():
                model.generate(
                    ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, max_new_tokens=options.new,
                    min_new_tokens=options.new, pad_token_id=0)

    for _ in range(options.repeats):
        start, before = time.perf_counter(), processor()
        step()
        walls.append(time.perf_counter() - start)
        processors.append(processor() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"torch {torch.__version__} transformers {transformers.__version__} {options.what} {options.shape}: "
        f"{count / statistics.median(walls):.0f} tokens/s, {statistics.median(processors) * 1e6 / count:.1f} us of "
        f"processor a token, peak {peak} MB")


if __name__ == "__main__":
    main()
