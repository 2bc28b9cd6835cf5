#!/usr/bin/env python3
"""Compares one RL step of ckpt train-rl and of TRL's GRPOTrainer: same model, same prompts, fp32.

    swift build -c release --product ckpt
    python3 bench/rl/compare.py MODEL.h5 [--data problems.jsonl] [--prompts 8] [--samples 8] [--new-tokens 128]

MODEL.h5 is an imported model without control tokens, such as SmolLM2-135M-Instruct (scripts/real-model imports it). The
data are problems with answers, GSM8K rows for instance; without any, scripts/research/word-problems.py makes some. Both sides
take two steps; the second is measured: sampling, rewards and one update, without KL, saving, probe, and the norm of the
control tokens' gradient, which TRL does not have. ckpt forces half of each group into each mode and rewards the modes
differently; TRL gets rewards of alternating sign. So every sample of both has an advantage and is trained on.

TRL runs in the Python that runs this script if trl is installed there, else in .build/bench-rl/venv, which is created
once (torch, transformers and trl from PyPI, some gigabytes). Prints seconds, tokens, the ratio, and ckpt's time by
phase; exit status 1 if the phases do not add up to the step within 5 %.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / ".build" / "bench-rl"
CKPT = ROOT / ".build" / "release" / "ckpt"


def run(*command, quiet=True):
    result = subprocess.run([str(part) for part in command], capture_output=quiet, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr or ''}")
    return result.stdout or ""


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# MARK: ckpt


def prepare(options):
    """Prepares a model with control tokens, problems for two steps, and one for the probe."""
    WORK.mkdir(parents=True, exist_ok=True)
    run(CKPT, "add-tokens", options.model, "--init", "auto", "-o", WORK / "tokens.h5", "--force")
    wanted = 2 * options.prompts + 1
    if options.data:
        lines = pathlib.Path(options.data).read_text(encoding="utf-8").split("\n")[:wanted]
    else:
        lines = run(sys.executable, ROOT / "scripts" / "research" / "word-problems.py", wanted, 1).splitlines()
    if len(lines) < wanted:
        sys.exit(f"{options.data}: {len(lines)} problems; {wanted} are needed")
    (WORK / "problems.jsonl").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    (WORK / "probe.jsonl").write_text(lines[-1] + "\n", encoding="utf-8")


def measure_ckpt(options):
    folder = WORK / "run"
    run(
        CKPT, "train-rl", WORK / "tokens.h5", "--data", WORK / "problems.jsonl", "--probe", WORK / "probe.jsonl",
        "-o", folder, "--force", "--steps", 2, "--prompts", options.prompts, "--samples", options.samples,
        "--max-new-tokens", options.new_tokens, "--answer", "any", "--loss", "grpo", "--balance", options.samples // 2,
        "--reward-think-wrong", "-0.5", "--reward-malformed", "-0.75", "--save-every", 100, "--probe-every", 100,
        "--no-split-gradient-norm")
    metrics = rows(folder / "metrics.jsonl")[1]
    rollouts = rows(folder / "rollouts" / "step-000002.jsonl")
    phases = {
        name.removeprefix("seconds_"): value for name, value in metrics.items()
        if name.startswith("seconds_") and name != "seconds_step"
    }
    prompts = {row["problem"]: None for step in (1, 2) for row in rows(folder / "rollouts" / f"step-00000{step}.jsonl")}
    return {
        "seconds": metrics["seconds_step"], "sampled": sum(row["tokens"] for row in rollouts), "phases": phases,
        "trained": sum(row["advantage"] != 0 for row in rollouts) / len(rollouts),
        "prompt_tokens": prompt_tokens([row["problem"] for row in rollouts]),
    }, list(prompts)


def prompt_tokens(problems):
    """Tokens of the prompts, counted once per sample like in TRL."""
    counts = {}
    for problem in problems:
        if problem not in counts:
            output = run(CKPT, "tokenize", WORK / "tokens.h5", "--chat", "--json", "--", problem)
            counts[problem] = len(json.loads(output)["tokens"])
    return sum(counts[problem] for problem in problems)


# MARK: TRL


def python_with_trl():
    if importlib.util.find_spec("trl") and importlib.util.find_spec("torch"):
        return sys.executable
    python = WORK / "venv" / "bin" / "python"
    if not python.exists():
        run(sys.executable, "-m", "venv", WORK / "venv")
        run(python, "-m", "pip", "install", "torch", "transformers", "trl", quiet=False)
    return python


def measure_trl(options, prompts):
    run(CKPT, "export", WORK / "tokens.h5", "-o", WORK / "hf", "--force")
    request = {
        "model": str(WORK / "hf"), "output": str(WORK / "trl"), "prompts": prompts, "samples": options.samples,
        "new_tokens": options.new_tokens, "prompts_per_step": options.prompts,
    }
    (WORK / "request.json").write_text(json.dumps(request))
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [str(python_with_trl()), __file__, "--trl", str(WORK / "request.json")], capture_output=True, text=True,
        env=environment)
    if result.returncode != 0:
        sys.exit(f"TRL failed:\n{result.stderr[-3000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def trl_child(path):
    """Runs in the Python with trl; the last line of its output holds the measurements."""
    import datasets
    import torch
    import transformers
    import trl

    request = json.loads(pathlib.Path(path).read_text())
    torch.set_num_threads(os.cpu_count())
    tokenizer = transformers.AutoTokenizer.from_pretrained(request["model"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32)
    samples = request["samples"]
    measured = {"sampled": [], "rollout": [], "step": []}

    def reward(completions, completion_ids, **_):
        measured["sampled"].append(sum(len(ids) for ids in completion_ids))
        return [1.0 if index % 2 else -1.0 for index in range(len(completions))]

    class Trainer(trl.GRPOTrainer):
        def _generate_and_score_completions(self, inputs):
            start = time.perf_counter()
            output = super()._generate_and_score_completions(inputs)
            measured["rollout"].append(time.perf_counter() - start)
            return output

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.start = time.perf_counter()

        def on_step_end(self, *_, **__):
            measured["step"].append(time.perf_counter() - self.start)

    conversations = [{"prompt": [{"role": "user", "content": text}]} for text in request["prompts"]]
    config = trl.GRPOConfig(
        output_dir=request["output"], use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False,
        per_device_train_batch_size=samples, gradient_accumulation_steps=request["prompts_per_step"],
        num_generations=samples, max_completion_length=request["new_tokens"], max_steps=2, learning_rate=1e-6,
        lr_scheduler_type="constant", beta=0.0, num_iterations=1, loss_type="grpo", scale_rewards="none",
        temperature=1.0, shuffle_dataset=False, report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True)
    trainer = Trainer(
        model=model, reward_funcs=reward, args=config, train_dataset=datasets.Dataset.from_list(conversations),
        processing_class=tokenizer, callbacks=[Clock()])
    trainer.train()
    second = request["prompts"][request["prompts_per_step"]:]
    lengths = [
        len(tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True)["input_ids"])
        for text in second
    ]
    print(json.dumps({
        "seconds": measured["step"][1], "sampled": measured["sampled"][1], "prompt_tokens": samples * sum(lengths),
        "phases": {"rollout": measured["rollout"][1], "update": measured["step"][1] - measured["rollout"][1]},
        "version": f"TRL {trl.__version__}, torch {torch.__version__}, transformers {transformers.__version__}",
    }))


# MARK: both


def line(name, result):
    tokens = result["sampled"] + result["prompt_tokens"]
    phases = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in result["phases"].items())
    print(
        f"{name:6} {result['seconds']:8.2f} s  {result['sampled']:7} sampled  {tokens:7} with prompts  "
        f"{1000 * result['seconds'] / tokens:7.2f} s per 1000  ({phases})", flush=True)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--trl":
        return trl_child(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=128)
    options = parser.parse_args()
    if options.samples < 2 or options.samples % 2 or options.prompts < 1:
        parser.error("--samples must be even, --prompts at least 1")
    if not CKPT.exists():
        sys.exit("build first: swift build -c release --product ckpt")
    prepare(options)
    print(
        f"{options.prompts} prompts x {options.samples} samples, at most {options.new_tokens} new tokens, fp32, "
        f"{os.cpu_count()} threads, second step", flush=True)
    ours, prompts = measure_ckpt(options)
    line("ckpt", ours)
    theirs = measure_trl(options, prompts)
    line("TRL", theirs)
    print(theirs["version"])

    def per_token(result):
        return result["seconds"] / (result["sampled"] + result["prompt_tokens"])

    print(
        f"TRL / ckpt: {theirs['seconds'] / ours['seconds']:.2f} by step, {per_token(theirs) / per_token(ours):.2f} by "
        f"token; ckpt trained on {100 * ours['trained']:.0f} % of its samples")
    share = sum(ours["phases"].values()) / ours["seconds"]
    print(f"ckpt's phases add up to {100 * share:.1f} % of the step")
    if abs(share - 1) > 0.05:
        sys.exit(1)


if __name__ == "__main__":
    main()
