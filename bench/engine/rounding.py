#!/usr/bin/env python3
"""Measures the error of bfloat16 against transformers in float32, on the same weights and tokens.

    swift build -c release --product ckpt && swift build -c release --product engine-bench
    python bench/engine/rounding.py MODEL.h5 TEXT [--tokens 300]

MODEL.h5 is an imported model such as SmolLM2-135M-Instruct in fp32; TEXT any text file. Needs torch and transformers.
Prints the largest error of a logit relative to the largest logit, the errors of the tokens' log-probabilities, the mean
Kullback-Leibler divergence in nats, and the share of positions with the same most likely token; for ckpt in both
precisions of its products, for PyTorch's autocast, and for a PyTorch model entirely in bfloat16.
"""

import argparse
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
import transformers

BINARIES = pathlib.Path(__file__).resolve().parents[2] / ".build" / "release"


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--tokens", type=int, default=300)
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        hf, output = f"{folder}/hf", f"{folder}/logits.f32"
        subprocess.run([BINARIES / "ckpt", "export", options.model, "-o", hf], check=True, capture_output=True)
        text = pathlib.Path(options.text).read_text()[: 20 * options.tokens]
        ids = transformers.AutoTokenizer.from_pretrained(hf)(text)["input_ids"][: options.tokens]
        model = transformers.AutoModelForCausalLM.from_pretrained(hf, dtype=torch.float32).eval()

        def theirs():
            with torch.no_grad():
                return model(torch.tensor([ids])).logits[0].double().numpy()

        def ours(*flags):
            listed = ",".join(map(str, ids))
            subprocess.run(
                [BINARIES / "engine-bench", "logits", "--file", options.model, "--tokens", listed, "--output", output,
                 *flags],
                check=True)
            return np.fromfile(output, np.float32).reshape(len(ids), -1).astype(np.float64)

        reference = theirs()
        exact = log_softmax(reference)
        places = np.arange(len(ids) - 1), np.array(ids[1:])

        def show(name, logits):
            found = log_softmax(logits)
            differences = np.abs(found[places] - exact[places])
            print(
                f"{name:26} logits {np.abs(logits - reference).max() / np.abs(reference).max():.1e}"
                f"  log-probabilities: mean {differences.mean():.4f}, largest {differences.max():.3f}"
                f"  KL {(np.exp(exact) * (exact - found)).sum(-1).mean():.1e}"
                f"  same token {100 * (logits.argmax(-1) == reference.argmax(-1)).mean():.1f} %")

        print(f"{len(ids)} tokens")
        show("ckpt, fp32", ours())
        show("ckpt, --products bf16", ours("--bfloat16-products"))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            show("PyTorch, autocast", theirs())
        model.to(torch.bfloat16)
        show("PyTorch, bfloat16 model", theirs())


if __name__ == "__main__":
    main()
