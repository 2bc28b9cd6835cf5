#!/usr/bin/env python3
"""Writes the logs in logs/ with the libraries of TensorBoard and W&B (tensorboard 2.21.0, wandb 0.31.0).

Usage: Tests/DataFilesTests/Fixtures/make_logs.py

The W&B file holds a header and history records without anything about the machine; its framing follows the client's
(blocks of 32 KiB, CRC-32 of type and data), and a long record crosses blocks.
"""

import json
import math
import pathlib
import struct
import zlib

from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from wandb.proto import wandb_internal_pb2 as wandb

folder = pathlib.Path(__file__).resolve().parent / "logs"
folder.mkdir(exist_ok=True)

with open(folder / "events.out.tfevents.1.host", "wb") as file:
    writer = RecordWriter(file)
    writer.write(event_pb2.Event(wall_time=1, file_version="brain.Event:2").SerializeToString())
    for step in range(1, 4):
        event = event_pb2.Event(step=step, wall_time=step)
        event.summary.value.add(tag="train/loss", simple_value=2 - step * 0.5)
        value = event.summary.value.add(tag="reward")
        value.tensor.dtype = 1
        value.tensor.float_val.append(step * 0.25)
        value = event.summary.value.add(tag="wide")
        value.tensor.dtype = 2
        value.tensor.tensor_content = struct.pack("<d", step * 1.5)
        event.summary.value.add(tag="picture").image.height = 1
        writer.write(event.SerializeToString())
    writer.flush()

BLOCK = 32768


def part(kind, content):
    return struct.pack("<IHB", zlib.crc32(bytes([kind]) + content), len(content), kind) + content


def append(data, content):
    """LevelDB's log: a record in one part, or in a first, middle and last one."""
    begins = True
    while True:
        room = BLOCK - len(data) % BLOCK
        if room < 7:
            data += bytes(room)
            continue
        piece, content = content[: room - 7], content[room - 7 :]
        data += part({(True, False): 1, (True, True): 2, (False, True): 3, (False, False): 4}[begins, bool(content)], piece)
        begins = False
        if not content:
            return


data = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
append(data, wandb.Record(num=1, header=wandb.HeaderRecord()).SerializeToString())
for step in range(1, 7):
    record = wandb.Record(num=step + 1)
    items = {
        "train/reward": 0.1 * (step - 1), "nested/a": step - 1, "nested/b": "text", "nan": math.nan, "_runtime": 1.5,
        "_step": step,
    }
    if step == 3:
        items["long"] = "x" * 40000
    for name, value in items.items():
        record.history.item.add(nested_key=name.split("/") if name.startswith("nested") else [name], value_json=json.dumps(value))
    if step == 4:
        record.history.item.add(key="typed", number=0.25)
        record.history.item.add(key="whole", integer=-3)
    record.history.step.num = step
    append(data, record.SerializeToString())
(folder / "run-tiny.wandb").write_bytes(data)
