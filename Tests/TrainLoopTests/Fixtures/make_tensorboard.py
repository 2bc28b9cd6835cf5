"""Makes tensorboard.events with TensorBoard's own protocol buffers and record writer, and reads event files back.

    python make_tensorboard.py                 writes the fixture
    python make_tensorboard.py FOLDER          prints every scalar that TensorBoard finds in a folder

Made with tensorboard 2.21.0 and protobuf 7.36.2.
"""
import pathlib
import sys

if len(sys.argv) > 1:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(sys.argv[1])
    events.Reload()
    for tag in events.Tags()["scalars"]:
        print(tag, [(event.step, event.value) for event in events.Scalars(tag)])
    sys.exit()

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

events = [
    Event(wall_time=1_700_000_000.25, file_version="brain.Event:2"),
    Event(wall_time=1_700_000_000.25, step=300, session_log=SessionLog(status=SessionLog.START)),
    Event(
        wall_time=1_700_000_000.25,
        step=300,
        summary=Summary(
            value=[Summary.Value(tag="loss", simple_value=0.125), Summary.Value(tag="α", simple_value=-1e-9)]
        ),
    ),
    Event(
        wall_time=1_700_000_000.25,
        step=301,
        summary=Summary(value=[Summary.Value(tag="loss", simple_value=float("nan"))]),
    ),
]
with open(pathlib.Path(__file__).with_name("tensorboard.events"), "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
