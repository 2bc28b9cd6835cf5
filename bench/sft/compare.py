#!/usr/bin/env python3
"""Compares the losses of ckpt train-sft and of TRL's SFTTrainer: same model, batches, order and AdamW, fp32.

Prints both losses at every step, their largest relative difference, and tokens per second.

    swift build -c release --product ckpt
    python3 bench/sft/compare.py MODEL.h5 [--data gsm8k-train.jsonl] [--steps 50] [--pairs 2] [--max-length 128]
                                 [--lora RANK]

With --lora, both train adapters of this rank on all projections, with the same random start, and TRL uses PEFT.

MODEL.h5 is an imported model without control tokens, such as SmolLM2-135M-Instruct (scripts/real-model imports it). The
data are GSM8K rows, of which scripts/research/gsm8k-pairs.py makes pairs; without any,
scripts/research/word-problems.py makes some.
Both sides get the same ids: this script encodes prompts and responses with transformers, and checks the first pair
against `ckpt check-data`. Loss on control token, response and end token, mean over the tokens of the update.

TRL runs in the Python that runs this script if trl is installed there, else in .build/bench-sft/venv, which is created
once (torch, transformers, trl and peft from PyPI, some gigabytes). Exit status 1 if the losses differ by more than 1 %.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / ".build" / "bench-sft"
CKPT = ROOT / ".build" / "release" / "ckpt"
TOLERANCE = 0.01
RATE, BETAS, DECAY, CLIP = 5e-5, (0.9, 0.95), 0.1, 1.0


def run(*command, quiet=True):
    result = subprocess.run([str(part) for part in command], capture_output=quiet, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr or ''}")
    return result.stdout or ""


def rows_of(text):
    """Lines of JSON; splitlines() would also split at Unicode line separators within a text."""
    return text.rstrip("\n").split("\n")


def prepare(options):
    """Prepares pairs within the maximum length for all steps, and one problem for the probe."""
    WORK.mkdir(parents=True, exist_ok=True)
    run(CKPT, "add-tokens", options.model, "--init", "auto", "-o", WORK / "tokens.h5", "--force")
    run(CKPT, "export", WORK / "tokens.h5", "-o", WORK / "hf", "--force")
    wanted = options.steps * options.pairs
    if options.data:
        lines = rows_of(pathlib.Path(options.data).read_text(encoding="utf-8"))
    else:
        lines = rows_of(run(sys.executable, ROOT / "scripts" / "research" / "word-problems.py", wanted + 1, 1))
    (WORK / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pairs = rows_of(run(sys.executable, ROOT / "scripts" / "research" / "gsm8k-pairs.py", WORK / "rows.jsonl"))
    # Short ones, so that fifty steps take minutes: about four characters a token.
    limit = 3 * (options.max_length - 40)
    pairs = [line for line in pairs if len(json.loads(line)["problem"] + json.loads(line)["think"]) < limit]
    if len(pairs) <= wanted:
        sys.exit(f"{options.data}: {len(pairs)} pairs of at most {options.max_length} tokens; {wanted + 1} are needed")
    (WORK / "pairs.jsonl").write_text("\n".join(pairs[:wanted]) + "\n", encoding="utf-8")
    (WORK / "probe.jsonl").write_text(pairs[wanted] + "\n", encoding="utf-8")


def peak_memory(command, environment=None):
    """Runs a command; its output and the largest resident memory of the process in bytes."""
    with open(WORK / "output", "w+b") as output, open(WORK / "errors", "w+b") as errors:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [(WORK / name).read_text(errors="replace") for name in ("output", "errors")]
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{texts[1][-3000:]}")
    return texts[0], usage.ru_maxrss * 1024


def train_ckpt(options):
    adapters = ["--lora", f"r={options.lora},alpha={2 * options.lora},rows=none"] if options.lora else []
    _, memory = peak_memory([
        CKPT, "train-sft", WORK / "tokens.h5", "--data", WORK / "pairs.jsonl", "--probe", WORK / "probe.jsonl",
        "-o", WORK / "run", "--force", "--steps", options.steps, "--batch-pairs", options.pairs, "--order", "file",
        "--lr", RATE, "--control-lr-scale", 1, "--schedule", "constant", "--warmup", 0, "--beta1", BETAS[0],
        "--beta2", BETAS[1], "--weight-decay", DECAY, "--clip-norm", CLIP, "--eval-problems", 0, *adapters])
    rows = [json.loads(line) for line in rows_of((WORK / "run" / "metrics.jsonl").read_text())]
    return {
        "memory": memory, "loss": [row["loss"] for row in rows], "grad_norm": [row["grad_norm"] for row in rows],
        "tokens_per_second": sum(row["tokens"] for row in rows)
        / sum(row["tokens"] / row["tokens_per_second"] for row in rows),
    }


def python_with_trl():
    if importlib.util.find_spec("trl") and importlib.util.find_spec("torch"):
        return sys.executable
    python = WORK / "venv" / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", WORK / "venv")
        run(python, "-m", "pip", "install", "torch", "transformers", "trl", "peft", quiet=False)
    return python


def train_trl(options):
    request = {"folder": str(WORK), "steps": options.steps, "pairs": options.pairs, "lora": options.lora}
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    output, memory = peak_memory([python_with_trl(), __file__, "--trl", json.dumps(request)], environment)
    return json.loads(output.splitlines()[-1]) | {"memory": memory}


def encoded(tokenizer, pair):
    """Ids of the prompt and of both responses, with control and end tokens."""
    # Like in ckpt, text never becomes an added token, and the response is encoded apart from the prompt.
    def plain(text):
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def token(text):
        (only,) = tokenizer(text, add_special_tokens=False)["input_ids"]
        return only

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": pair["problem"]}], add_generation_prompt=True, return_dict=True)["input_ids"]
    working, answer = pair["think"].split("</think>")
    end = tokenizer.eos_token_id
    think = [token("<think>"), *plain("\n" + working), token("</think>"), *plain(answer), end]
    short = [token("<short>"), *plain("\n" + pair["short"]), end]
    return prompt, [think, short]


def trl_child(request):
    """Runs in the Python with trl; the last line of its output holds the measurements."""
    import time

    import datasets
    import torch
    import transformers
    import trl

    folder = pathlib.Path(request["folder"])
    torch.set_num_threads(os.cpu_count())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "hf")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32)
    pairs = [json.loads(line) for line in rows_of((folder / "pairs.jsonl").read_text(encoding="utf-8"))]
    rows, first = [], None
    for pair in pairs:
        prompt, responses = encoded(tokenizer, pair)
        first = first or [prompt + response for response in responses]
        rows += [{"input_ids": prompt + ids, "labels": [-100] * len(prompt) + ids} for ids in responses]

    class Trainer(trl.SFTTrainer):
        def _get_train_sampler(self, *_, **__):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    class Log(transformers.TrainerCallback):
        def __init__(self):
            self.loss, self.norm, self.seconds = [], [], 0.0

        def on_step_begin(self, *_, **__):
            self.start = time.perf_counter()

        def on_step_end(self, *_, **__):
            self.seconds += time.perf_counter() - self.start

        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs:
                self.loss.append(logs["loss"])
                self.norm.append(logs["grad_norm"])

    log = Log()
    config = trl.SFTConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False,
        per_device_train_batch_size=2 * request["pairs"], gradient_accumulation_steps=1, max_steps=request["steps"],
        learning_rate=RATE, lr_scheduler_type="constant", optim="adamw_torch", adam_beta1=BETAS[0],
        adam_beta2=BETAS[1], weight_decay=DECAY, max_grad_norm=CLIP, max_length=None, packing=False, report_to=[],
        save_strategy="no", logging_steps=1, disable_tqdm=True)
    adapters = None
    if request["lora"]:
        import peft

        adapters = peft.LoraConfig(
            r=request["lora"], lora_alpha=2 * request["lora"], lora_dropout=0.0, target_modules="all-linear",
            task_type="CAUSAL_LM")
    trainer = Trainer(
        peft_config=adapters, model=model, args=config, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer,
        callbacks=[log])
    if adapters:
        set_adapters(trainer.model)
    trainer.train()
    print(json.dumps({
        "loss": log.loss, "grad_norm": log.norm, "first": first,
        "tokens_per_second": sum(len(row["input_ids"]) for row in rows) / log.seconds,
        "version": f"TRL {trl.__version__}, torch {torch.__version__}, transformers {transformers.__version__}",
    }))


def set_adapters(model):
    """Sets A of every adapter to the numbers that ckpt draws with seed 0 (Sources/Parallel/CounterRandom.swift)."""
    import numpy
    import torch

    def mix(value):
        value = value + numpy.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return value ^ (value >> numpy.uint64(31))

    weights = {name: weight for name, weight in model.named_parameters() if ".lora_A." in name}
    order = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

    def place(name):
        parts = name.split(".")
        return int(parts[parts.index("layers") + 1]), order.index(next(part for part in parts if part in order))

    with numpy.errstate(over="ignore"), torch.no_grad():
        for number, name in enumerate(sorted(weights, key=place)):
            state = mix(numpy.zeros(1, numpy.uint64))
            for key in (2 * number, 0, 0):  # B follows each A.
                state = mix(state ^ numpy.uint64(key))
            count = numpy.arange(weights[name].numel(), dtype=numpy.uint64)
            uniform = (mix(state ^ count) >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-53
            values = (2 * uniform - 1) / weights[name].shape[1] ** 0.5
            weights[name].copy_(torch.from_numpy(values.astype(numpy.float32)).reshape(weights[name].shape))


def check_ids(first):
    """Checks the ids of the first pair against those shown by ckpt check-data."""
    text = run(CKPT, "check-data", WORK / "pairs.jsonl", "--model", WORK / "tokens.h5")
    shown = [re.sub("[»«]", "", line) for line in text.splitlines() if re.fullmatch(r"[\d »«]+", line)]
    found = [[int(number) for number in line.split()] for line in shown]
    if found != first:
        sys.exit(f"the ids differ:\nckpt {found}\nTRL  {first}")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--trl":
        return trl_child(json.loads(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--lora", type=int, default=0, metavar="RANK")
    options = parser.parse_args()
    prepare(options)
    theirs = train_trl(options)
    check_ids(theirs["first"])
    ours = train_ckpt(options)
    worst = 0.0
    print(f"step  ckpt loss  TRL loss  difference   ckpt |g|   TRL |g|   ({theirs['version']})")
    for step, (a, b) in enumerate(zip(ours["loss"], theirs["loss"], strict=True)):
        worst = max(worst, abs(a - b) / b)
        print(
            f"{step + 1:4}  {a:9.5f}  {b:8.5f}  {100 * (a - b) / b:+9.4f} %  {ours['grad_norm'][step]:9.4f} "
            f"{theirs['grad_norm'][step]:9.4f}")
    print(
        f"tokens per second: ckpt {ours['tokens_per_second']:.0f}, TRL {theirs['tokens_per_second']:.0f} "
        f"(prompts counted twice), {ours['tokens_per_second'] / theirs['tokens_per_second']:.2f} times")
    print(
        f"peak memory: ckpt {ours['memory'] / 1e9:.2f} GB, TRL {theirs['memory'] / 1e9:.2f} GB, "
        f"{ours['memory'] / theirs['memory']:.2f} times")
    print(f"largest difference {100 * worst:.4f} % over {len(ours['loss'])} steps")
    sys.exit(1 if worst > TOLERANCE else 0)


main()
