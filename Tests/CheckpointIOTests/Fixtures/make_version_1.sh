#!/usr/bin/env bash
# Makes checkpoints of format version 1: version-1-training.h5 with every section (weights, optimizer, tokenizer with
# control tokens, training state, history, probe, lineage), and version-1-chunked.h5 with a compressed bfloat16 tensor.
#
#     make_version_1.sh CKPT FOLDER
#
# CKPT is the program to run, FOLDER an empty folder for intermediate files. The committed files were made by ckpt
# 0.1.0. Do not replace them: CommittedCheckpointTests checks that later versions read what that version wrote.
set -euo pipefail
ckpt=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
cd "$2"
"$ckpt" init -o base.h5 --alphabet '0123456789+? and\boxed{}' --hidden-size 16 --layers 1 --heads 2 \
    --intermediate-size 16 --max-positions 96 --seed 7
"$ckpt" add-tokens base.h5 -o tokens.h5
for i in 1 2 3 4; do
    answer="\\\\boxed{$((2 * i))}"
    echo "{\"id\": \"$i\", \"problem\": \"$i+$i\", \"think\": \"$i and $i</think>$answer\", \"short\": \"$answer\"}"
done > pairs.jsonl
for i in 7 8 9; do
    echo "{\"id\": \"$i\", \"problem\": \"$i+$i\", \"answer\": \"$((2 * i))\", \"level\": \"$((i % 2))\"}"
done > problems.jsonl
"$ckpt" train-sft tokens.h5 -o run --data pairs.jsonl --probe problems.jsonl --steps 2 --batch-pairs 2 \
    --save-every 2 --probe-every 1 --seed 3
cp run/step-*2.h5 "$here/version-1-training.h5"
"$ckpt" init -o wide.h5 --hidden-size 66 --layers 1 --heads 1 --intermediate-size 8 --seed 8
"$ckpt" extract wide.h5 --tensor model.embed_tokens.weight -o embedding.h5
"$ckpt" cast embedding.h5 --dtype bfloat16 -o "$here/version-1-chunked.h5"
