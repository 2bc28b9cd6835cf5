"""Makes small data files of every format, the rows that they hold, and the seeds of the fuzz target `data`.

    python make_data_files.py

Writes the files, expected.json with the rows by file, and FuzzTargetsTests/Fixtures/corpus/data/seed-*. Made with
pyarrow 26.0.1, polars 2.1.0, duckdb 2.0.1 and zstandard 0.25.0.
"""

import datetime
import decimal
import gzip
import json
import pathlib
import shutil

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import zstandard

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parents[1] / "FuzzTargetsTests" / "Fixtures" / "corpus" / "data"

ROWS = [
    {"problem": "What is 2+3?", "answer": "5"},
    {"problem": "a, \"b\"\nand c", "answer": None},
    {"problem": "naïve 数学", "answer": "\\frac{1}{2}"},
]
VERL = [
    {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is {i}+3?"}],
        "reward_model": {"style": "rule", "ground_truth": str(i + 3)},
        "extra_info": {"index": i, "split": "train", "tags": ["a"] * (i % 3), "note": None if i % 2 else "x"},
    }
    for i in range(6)
]


def types():
    """A table with a column of each type, nulls included."""
    columns = {
        "bool": pyarrow.array([True, None, False]),
        "int8": pyarrow.array([-128, None, 127], pyarrow.int8()),
        "uint8": pyarrow.array([0, None, 255], pyarrow.uint8()),
        "int32": pyarrow.array([-(2**31), None, 2**31 - 1], pyarrow.int32()),
        "uint32": pyarrow.array([0, None, 2**32 - 1], pyarrow.uint32()),
        "int64": pyarrow.array([-(2**63), None, 2**63 - 1], pyarrow.int64()),
        "uint64": pyarrow.array([0, None, 2**64 - 1], pyarrow.uint64()),
        "float16": pyarrow.array([0.5, None, -2.0], pyarrow.float16()),
        "float32": pyarrow.array([0.1, None, float("nan")], pyarrow.float32()),
        "float64": pyarrow.array([0.1, None, 1e300]),
        "text": pyarrow.array(["", None, "数学"]),
        "large": pyarrow.array(["x", None, "yy"], pyarrow.large_string()),
        "bytes": pyarrow.array([b"text", None, b"\xff\x00"]),
        "fixed": pyarrow.array([b"abc", None, b"def"], pyarrow.binary(3)),
        "decimal9": pyarrow.array([decimal.Decimal("-0.05"), None, decimal.Decimal("1234567.89")], pyarrow.decimal128(9, 2)),
        "decimal38": pyarrow.array(
            [decimal.Decimal("-1.0000000001"), None, decimal.Decimal("1234567890123456789012345678.0123456789")],
            pyarrow.decimal128(38, 10)),
        "date": pyarrow.array([datetime.date(1969, 12, 31), None, datetime.date(2024, 2, 29)]),
        "time": pyarrow.array([datetime.time(1, 2, 3), None, datetime.time(23, 59, 59, 999999)], pyarrow.time64("us")),
        "utc": pyarrow.array(
            [datetime.datetime(1960, 1, 1, 0, 0, 1), None, datetime.datetime(2024, 2, 29, 12, 30)],
            pyarrow.timestamp("us", tz="UTC")),
        "local": pyarrow.array([datetime.datetime(2000, 1, 1), None, datetime.datetime(2001, 1, 1, 1, 1, 1, 500000)]),
        "null": pyarrow.nulls(3),
        "list": pyarrow.array([[], None, ["a", None]]),
        "nested": pyarrow.array([[[1], []], None, [None, [2, 3]]]),
        "map": pyarrow.array([[("a", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    }
    return pyarrow.table(columns)


def json_value(value, kind):
    if value is None or (isinstance(value, float) and value != value):
        return None
    if pyarrow.types.is_map(kind):
        return dict(value)
    if pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        return [json_value(element, kind.value_type) for element in value]
    if pyarrow.types.is_struct(kind):
        return {field.name: json_value(value[field.name], field.type) for field in kind}
    if pyarrow.types.is_float32(kind):
        return float(f"{value:.7g}")
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "/wA="
    if isinstance(value, decimal.Decimal):
        return Literal(f"{value:f}")
    if isinstance(value, datetime.datetime):
        text = value.isoformat()
        return text.replace("+00:00", "Z")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


class Literal(float):
    """A number of JSON with all of its digits."""

    def __new__(cls, text):
        literal = super().__new__(cls, float(text))
        literal.text = text
        return literal

    def __repr__(self):
        return self.text


def rows(path):
    table = pyarrow.parquet.ParquetFile(path).read()
    return [{f.name: json_value(row[f.name], f.type) for f in table.schema} for row in table.to_pylist()]


def main():
    expected = {}
    verl = pyarrow.Table.from_pylist(VERL)
    writers = {
        "types.parquet": lambda p: pyarrow.parquet.write_table(types(), p, compression="none"),
        "types-v2.parquet": lambda p: pyarrow.parquet.write_table(
            types(), p, compression="zstd", data_page_version="2.0", use_dictionary=False, write_page_checksum=True),
        "snappy.parquet": lambda p: pyarrow.parquet.write_table(verl, p, compression="snappy", row_group_size=4),
        "gzip.parquet": lambda p: pyarrow.parquet.write_table(
            verl, p, compression="gzip", use_compliant_nested_type=False, data_page_size=16),
        "lz4.parquet": lambda p: pyarrow.parquet.write_table(
            verl, p, compression="lz4", data_page_version="2.0", store_schema=False),
        "delta.parquet": lambda p: pyarrow.parquet.write_table(
            pyarrow.table({
                "ints": pyarrow.array([i * i * (-1) ** i for i in range(150)]),
                "short": pyarrow.array([i % 7 for i in range(150)], pyarrow.int32()),
                "lengths": [f"answer {i}" for i in range(150)], "prefixes": [f"problem {i // 3}" for i in range(150)],
                "split": [i / 7 for i in range(150)], "flags": [i % 3 == 0 for i in range(150)]}),
            p, use_dictionary=False, compression="none",
            column_encoding={
                "ints": "DELTA_BINARY_PACKED", "short": "DELTA_BINARY_PACKED", "lengths": "DELTA_LENGTH_BYTE_ARRAY",
                "prefixes": "DELTA_BYTE_ARRAY", "split": "BYTE_STREAM_SPLIT", "flags": "RLE"}),
        "polars.parquet": lambda p: polars.from_arrow(verl).write_parquet(p, compression="zstd", row_group_size=4),
        "duckdb.parquet": lambda p: write_duckdb(verl, p, "V1", "snappy"),
        "duckdb-v2.parquet": lambda p: write_duckdb(verl, p, "V2", "zstd"),
    }
    for name, write in writers.items():
        write(str(HERE / name))
        expected[name] = rows(HERE / name)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    csv = 'problem,answer\r\nWhat is 2+3?,5\r\n"a, ""b""\nand c",\r\n\r\nnaïve 数学,\\frac{1}{2}\r\n'
    zstd = zstandard.ZstdCompressor()
    texts = {
        "plain.jsonl": text.encode(), "bom.jsonl": b"\xef\xbb\xbf" + text.encode(),
        "lines.jsonl.gz": b"".join(gzip.compress(part, mtime=0) for part in (text.encode()[:50], text.encode()[50:])),
        "lines.jsonl.zst": zstd.compress(text.encode()[:50]) + zstd.compress(text.encode()[50:]),
        "array.json": json.dumps(ROWS, indent=2).encode(),
        "array.json.gz": gzip.compress(b"\xef\xbb\xbf" + json.dumps(ROWS).encode(), mtime=0),
        "table.csv": csv.encode(), "bom.csv.zst": zstd.compress(b"\xef\xbb\xbf" + csv.encode()),
        "table.tsv": csv.replace("a, ", "a; ").replace(",", "\t").replace("a; ", "a, ").encode(),
    }
    for name, content in texts.items():
        (HERE / name).write_bytes(content)
        expected[name] = ROWS
    (HERE / "zipped.parquet.gz").write_bytes(gzip.compress((HERE / "snappy.parquet").read_bytes(), mtime=0))
    expected["zipped.parquet.gz"] = expected["snappy.parquet"]
    lines = [f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}" for name, value in expected.items()]
    (HERE / "expected.json").write_text("{" + ",\n".join(lines) + "}\n")

    shutil.rmtree(CORPUS, ignore_errors=True)
    CORPUS.mkdir(parents=True)
    for name in expected:
        content = (HERE / name).read_bytes()
        if len(content) <= 8000:
            (CORPUS / f"seed-{name.replace('.', '-')}").write_bytes(content)


def write_duckdb(table, path, version, compression):
    with duckdb.connect() as connection:
        connection.register("t", table)
        connection.execute(
            f"COPY t TO '{path}' (FORMAT parquet, COMPRESSION {compression}, PARQUET_VERSION {version})")


main()
