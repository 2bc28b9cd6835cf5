#!/usr/bin/env python3
"""Compares the rows that ckpt reads from Parquet files with those that pyarrow reads.

Usage: scripts/check/data-files.py [--tables N] [--seed N] [--ckpt PROGRAM] [--keep FOLDER]

Makes N random tables (default 300) with nested types and nulls, writes them with pyarrow, polars and DuckDB in random
codecs, encodings, page versions and sizes, and compares every value. Needs pyarrow, polars and duckdb.
"""

import argparse
import base64
import datetime
import decimal
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import uuid

import duckdb
import polars
import pyarrow
import pyarrow.parquet

WORDS = ["", "a", "17", "\\boxed{5}", "naïve", "数学", "line\nfeed", '"quoted"', "x" * 300, "\U0001f600", " ", "null"]


def scalar_types():
    return [
        pyarrow.string(), pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.bool_(), pyarrow.int8(),
        pyarrow.int16(), pyarrow.int32(), pyarrow.int64(), pyarrow.uint8(), pyarrow.uint16(), pyarrow.uint32(),
        pyarrow.uint64(), pyarrow.float16(), pyarrow.float32(), pyarrow.float64(), pyarrow.date32(),
        pyarrow.timestamp("ms"), pyarrow.timestamp("us", tz="UTC"), pyarrow.timestamp("ns"), pyarrow.time64("us"),
        pyarrow.time32("ms"), pyarrow.decimal128(9, 2), pyarrow.decimal128(18, 6), pyarrow.decimal128(38, 10),
        pyarrow.binary(5), pyarrow.null(), pyarrow.string_view() if hasattr(pyarrow, "string_view") else pyarrow.string(),
    ]


def random_type(rng, depth):
    kind = rng.random()
    if depth > 0 and kind < 0.2:
        return pyarrow.list_(random_type(rng, depth - 1))
    if depth > 0 and kind < 0.25:
        return pyarrow.large_list(random_type(rng, depth - 1))
    if depth > 0 and kind < 0.45:
        return pyarrow.struct([random_field(rng, f"f{i}", depth - 1) for i in range(rng.randint(1, 3))])
    if depth > 0 and kind < 0.52:
        return pyarrow.map_(rng.choice([pyarrow.string(), pyarrow.int32()]), random_type(rng, depth - 1))
    return rng.choice(scalar_types())


def random_field(rng, name, depth):
    kind = random_type(rng, depth)
    return pyarrow.field(name, kind, nullable=pyarrow.types.is_null(kind) or rng.random() < 0.8)


def random_value(rng, kind, nullable, plain):
    """A value of a type; `plain` makes values repeat, as in real columns."""
    t = pyarrow.types
    if t.is_null(kind) or (nullable and rng.random() < 0.2):
        return None
    if t.is_list(kind) or t.is_large_list(kind):
        return [random_value(rng, kind.value_type, kind.value_field.nullable, plain) for _ in range(rng.choice([0, 1, 2, 3, 9]))]
    if t.is_struct(kind):
        return {f.name: random_value(rng, f.type, f.nullable, plain) for f in kind}
    if t.is_map(kind):
        count = rng.choice([0, 1, 2])
        keys = rng.sample(["k", "key", "", "ü"], count) if t.is_string(kind.key_type) else rng.sample(range(100), count)
        return [(key, random_value(rng, kind.item_type, True, plain)) for key in keys]
    if t.is_boolean(kind):
        return rng.random() < 0.5
    if t.is_integer(kind):
        bits, signed = kind.bit_width, t.is_signed_integer(kind)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return rng.choice([low, high, 0, 1]) if rng.random() < 0.2 else rng.randint(0, 20) if plain else rng.randint(low, high)
    if t.is_floating(kind):
        value = rng.choice([0.0, -1.5, 1e10 if kind.bit_width > 16 else 8.0, math.inf, math.nan, rng.gauss(0, 1)])
        return struct.unpack("e", struct.pack("e", value))[0] if kind.bit_width == 16 else value
    if t.is_date(kind):
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=rng.randint(-100000, 100000))
    if t.is_timestamp(kind):
        value = datetime.datetime(1970, 1, 1) + datetime.timedelta(
            microseconds=rng.choice([0, 1, rng.randint(-(10**15), 10**15)]))
        if kind.unit == "ms":
            value = value.replace(microsecond=value.microsecond // 1000 * 1000)
        return value
    if t.is_time(kind):
        return datetime.time(rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59), rng.choice([0, 5000]))
    if t.is_decimal(kind):
        digits = rng.randint(0, 10 ** rng.randint(1, kind.precision) - 1) * rng.choice([1, -1])
        return decimal.Decimal(digits).scaleb(-kind.scale, decimal.Context(prec=60))
    if t.is_fixed_size_binary(kind):
        return bytes(rng.choice([0, 65, 200]) for _ in range(kind.byte_width))
    text = rng.choice(WORDS) if plain else "".join(rng.choice(WORDS) for _ in range(rng.randint(0, 4)))
    if t.is_binary(kind):
        return text.encode() if rng.random() < 0.7 else bytes([0xFF, 0x00, rng.randint(0, 255)])
    return text


def random_table(rng):
    rows = rng.choice([1, 2, 10, 100, 1000])
    fields = [random_field(rng, f"c{i}", rng.choice([0, 0, 1, 2, 3])) for i in range(rng.randint(1, 6))]
    plain = rng.random() < 0.5
    columns = []
    for field in fields:
        values = [random_value(rng, field.type, field.nullable, plain) for _ in range(rows)]
        columns.append(pyarrow.array(values, field.type))
    return pyarrow.Table.from_arrays(columns, schema=pyarrow.schema(fields))


def encodings(rng, table):
    """Encodings of columns without nesting, which need dictionaries off."""
    chosen = {}
    t = pyarrow.types
    for field in table.schema:
        kind = field.type
        if t.is_integer(kind):
            options = ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]
        elif t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind):
            options = ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]
        elif t.is_boolean(kind):
            options = ["PLAIN", "RLE"]
        elif t.is_float32(kind) or t.is_float64(kind) or t.is_float16(kind):
            options = ["PLAIN", "BYTE_STREAM_SPLIT"]
        elif t.is_fixed_size_binary(kind):
            options = ["PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY"]
        else:
            continue
        chosen[field.name] = rng.choice(options)
    return chosen


def write_pyarrow(rng, table, path):
    options = dict(
        compression=rng.choice(["none", "snappy", "gzip", "zstd", "lz4"]), version=rng.choice(["1.0", "2.4", "2.6"]),
        data_page_version=rng.choice(["1.0", "2.0"]), data_page_size=rng.choice([64, 1000, 1 << 20]),
        write_statistics=rng.random() < 0.5, write_page_checksum=rng.random() < 0.5,
        row_group_size=rng.choice([1, 7, 100, 10000]), use_compliant_nested_type=rng.random() < 0.7,
        store_schema=rng.random() < 0.5, write_page_index=rng.random() < 0.3)
    if rng.random() < 0.5:
        options.update(use_dictionary=False, column_encoding=encodings(rng, table) or None)
    if options["version"] != "2.6" or rng.random() < 0.2:
        options.update(use_deprecated_int96_timestamps=rng.random() < 0.5, allow_truncated_timestamps=True)
    pyarrow.parquet.write_table(table, path, **options)
    return options


def write_polars(rng, table, path):
    frame = polars.from_arrow(table)
    options = dict(
        compression=rng.choice(["uncompressed", "snappy", "gzip", "zstd", "lz4"]), statistics=rng.random() < 0.5,
        row_group_size=rng.choice([None, 7, 100]), data_page_size=rng.choice([None, 1000]))
    frame.write_parquet(path, **options)
    return options


def write_duckdb(rng, table, path):
    options = dict(
        compression=rng.choice(["uncompressed", "snappy", "gzip", "zstd", "lz4_raw"]),
        parquet_version=rng.choice(["V1", "V2"]), row_group_size=rng.choice([2048, 122880]))
    with duckdb.connect() as connection:
        connection.register("t", table)
        text = ", ".join(f"{key} {value}" for key, value in options.items())
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet, {text})")
    return options


def same(ours, theirs, kind):
    """Whether a JSON value (numbers as texts) is the value that pyarrow read."""
    t = pyarrow.types
    if theirs is None:
        return ours is None
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(
            same(a, b, kind.value_type) for a, b in zip(ours, theirs))
    if t.is_struct(kind):
        return isinstance(ours, dict) and list(ours) == [f.name for f in kind] and all(
            same(ours[f.name], theirs[f.name], f.type) for f in kind)
    if t.is_map(kind):
        if isinstance(ours, dict):
            ours = [{"key": key, "value": value} for key, value in ours.items()]
        return len(ours) == len(theirs) and all(
            same(a["key"], b[0], kind.key_type) and same(a["value"], b[1], kind.item_type) for a, b in zip(ours, theirs))
    if t.is_dictionary(kind):
        return same(ours, theirs, kind.value_type)
    if t.is_boolean(kind):
        return ours is theirs
    if t.is_integer(kind):
        return isinstance(ours, Number) and int(ours) == theirs
    if t.is_floating(kind):
        theirs = float(theirs)
        if not math.isfinite(theirs):
            return ours is None
        found = float(ours)
        return found == theirs if kind.bit_width == 64 else struct.pack("f", found) == struct.pack("f", theirs)
    if t.is_decimal(kind):
        return isinstance(ours, Number) and decimal.Decimal(str(ours)) == theirs
    if t.is_timestamp(kind) or t.is_time(kind) or t.is_date(kind):
        return same_time(ours, theirs)
    if isinstance(theirs, uuid.UUID):
        return ours == str(theirs)
    if isinstance(theirs, bytes):
        if ours == base64.b64encode(theirs).decode():
            return True
        try:
            return ours == theirs.decode()
        except UnicodeDecodeError:
            return False
    return ours == theirs


def same_time(ours, theirs):
    ours = ours.removesuffix("Z")
    text = theirs.isoformat().split("+")[0]
    if "." in ours or "." in text:
        ours, text = ours.rstrip("0"), text.rstrip("0")
    return ours == text


class Number(str):
    """A number of JSON as it is written."""


def our_rows(ckpt, path):
    command = [*ckpt, "check-data", path, "--schema", "--json", "--rows", "1000000"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise ValueError(result.stderr.strip())
    return json.loads(result.stdout, parse_int=Number, parse_float=Number)["first_rows"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ckpt", default=os.environ.get("CKPT", ".build/release/ckpt"))
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    folder = arguments.keep or tempfile.mkdtemp(prefix="data-files-")
    os.makedirs(folder, exist_ok=True)
    counts = {}
    failures = 0
    for index in range(arguments.tables):
        rng = random.Random(arguments.seed * 1_000_003 + index)
        table = random_table(rng)
        for writer in (write_pyarrow, write_polars, write_duckdb):
            name = writer.__name__.removeprefix("write_")
            path = os.path.join(folder, f"{index}-{name}.parquet")
            try:
                options = writer(rng, table, path)
                expected = pyarrow.parquet.ParquetFile(path).read()
                rows = expected.to_pylist()
            except Exception as error:  # not every writer knows every type
                key = f"{name}: not written"
                counts[key] = counts.get(key, 0) + 1
                if os.environ.get("VERBOSE"):
                    print(name, type(error).__name__, str(error)[:150])
                continue
            reason = None
            try:
                ours = our_rows(arguments.ckpt.split(), path)
                if len(ours) != len(rows):
                    reason = f"{len(ours)} rows, expected {len(rows)}"
                for number, (a, b) in enumerate(zip(ours, rows)):
                    wrong = [f for f in expected.schema if not same(a.get(f.name), b[f.name], f.type)]
                    if wrong:
                        field = wrong[0]
                        reason = (f"row {number + 1}, {field.name} ({field.type}): {a.get(field.name)!r}, "
                                  f"expected {b[field.name]!r}")
                        break
            except ValueError as error:
                reason = str(error)
            key = f"{name}: {'different' if reason else 'same'}"
            counts[key] = counts.get(key, 0) + 1
            if reason:
                failures += 1
                print(f"{path} {options}: {reason[:600]}")
            elif not arguments.keep:
                os.remove(path)
    for key, count in sorted(counts.items()):
        print(f"{key:28} {count}")
    sys.exit(1 if failures else 0)


main()
