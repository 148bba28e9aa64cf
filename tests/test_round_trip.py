"""What the sinks write is read back by the sources of the same name, to the same values."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt

NESTED = {"list[i64]", "list[str]", "struct[a: i64, b: str]"}
COLUMNS: dict[str, list[Any]] = {
    "bool": [True, False],
    "i8": [-128, 127],
    "i64": [-(2**63), 2**63 - 1, 2**53 + 1],
    "u64": [0, 2**64 - 1],
    "f64": [0.1, -0.0, 5e-324, 1.7e308, 1e16, math.inf, -math.inf, math.nan],
    "f32": [0.5, 0.1, -math.inf],
    "decimal(12, 2)": [Decimal("19.99"), Decimal("-0.01"), Decimal("0.00")],
    "decimal(38, 0)": [Decimal(10**38 - 1), Decimal(-1)],
    "str": ["", "a", 'quote " and, comma', "line\nbreak", "é🙂", " spaces ", "null"],
    "binary": [b"", b"\x00\xff", b"text"],
    "date": [dt.date(1, 1, 1), dt.date(9999, 12, 31), 10**6, -(10**6)],
    "timestamp[s]": [0, -1, 253_402_300_800, -62_135_596_801],
    "timestamp[ms]": [1, -1],
    "timestamp[us]": [1, -1, 2**62],
    "timestamp[ns]": [1, -1, 2**63 - 1],
    "timestamp[us, UTC]": [0, 999_999],
    "timestamp[us, Europe/Berlin]": [1_698_541_200_000_000, 1_698_537_600_000_000],
    "timestamp[ns, Europe/Berlin]": [1_698_541_200_000_000_001],
    "duration[us]": [0, 1, -1, 93_600_000_000, 2**63 - 1, -(2**63)],
    "time": [0, 1, 86_399_999_999],
    "list[i64]": [[1, 2], [], [None]],
    "list[str]": [["a,b", '"'], ["x"]],
    "struct[a: i64, b: str]": [{"a": 1, "b": "x"}, {"a": None, "b": None}],
}


def column_of(word: str) -> pa.Array:
    from muntin.values.rows import arrow_type

    kind = arrow_type(word)
    return pa.array([*COLUMNS[word], None], type=kind)


def plain(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_temporal(kind):
        column = column.cast(pa.int32() if pa.types.is_date(kind) else pa.int64())
    return [repr(value) for value in column.to_pylist()]


# a cell of CSV is a plain value
FORMS = [("JsonLines", word) for word in COLUMNS]
FORMS += [("Csv", word) for word in COLUMNS if word not in NESTED]


@pytest.mark.parametrize(("form", "word"), FORMS)
def test_what_a_sink_writes_is_read_back(tmp_path: Path, form: str, word: str) -> None:
    values = column_of(word)
    at = pa.array(range(len(values)), pa.timestamp("us", "UTC"))
    rows = pa.table({"at": at, "v": values})
    stream = mt.stream(time="at", out_of_order="0s").filter("at is not null")
    path = tmp_path / "rows.txt"
    mt.run(mt.sources.Arrow(rows), stream, sinks=[getattr(mt.sinks, form)(path)])
    words = {"at": "timestamp[us, UTC]", "v": word}
    again: list[pa.Table] = []
    source = getattr(mt.sources, form)(path, schema=words)
    report = mt.run(source, stream, sinks=[mt.sinks.Callback(lambda t: again.append(pa.table(t)))])
    assert report.invalid == 0
    found = pa.concat_tables(again)
    assert plain(found["v"]) == plain(pa.chunked_array([values]))
