"""Columns that a source reads for itself: of whatever type, what goes wrong is ours to say."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.sources import Arrow, Csv, JsonLines, Pace, Parquet, Rows

AT = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
COLUMNS: dict[str, Any] = {
    "text": ["x", "y"],
    "time as text": ["2024-05-01T10:00:00Z"] * 2,
    "fraction": [1.5, 2.5],
    "integer": [1, 2],
    "below zero": [-5, 3],
    "above 64 bits": pa.array([2**63 + 1, 5], pa.uint64()),
    "null": [None, 1],
    "nulls": pa.nulls(2),
    "bool": [True, False],
    "date": [AT.date()] * 2,
    "time": [AT] * 2,
    "time and null": [AT, None],
    "list": [[1], [2]],
}
ROLES: dict[str, dict[str, Any]] = {
    "arrival": {"arrival": "c"},
    "partition": {"partition": "c"},
    "speed": {"speed": Pace(1e9, by="c")},
}


def written(folder: Path, table: pa.Table) -> dict[str, Any]:
    """Makers of sources over the same rows."""
    pq.write_table(table, folder / "a.parquet")
    rows = table.to_pylist()
    with open(folder / "a.jsonl", "w") as out:
        for row in rows:
            out.write(json.dumps(row, default=lambda value: value.isoformat()) + "\n")
    found: dict[str, Any] = {
        "arrow": lambda **more: Arrow(table, **more),
        "parquet": lambda **more: Parquet(folder / "a.parquet", **more),
        "rows": lambda **more: Rows(rows, **more),
        "jsonlines": lambda **more: JsonLines(folder / "a.jsonl", **more),
    }
    if not pa.types.is_nested(table.schema.field("c").type):
        pc.write_csv(table, folder / "a.csv")
        found["csv"] = lambda **more: Csv(folder / "a.csv", **more)
    return found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_any_type_in_any_role(tmp_path: Path, column: str, role: str) -> None:
    table = pa.table({"at": [AT, AT], "n": [1, 2], "c": COLUMNS[column]})
    rows = mt.stream(time="at", out_of_order="0s").filter("n >= 0")
    for make in written(tmp_path, table).values():
        try:
            report = mt.run(make(**ROLES[role]), rows)
        except mt.MuntinError as error:
            assert '"c"' in str(error) or role in str(error)
        else:
            assert report.rows + report.invalid >= 2


def test_what_the_column_should_be_is_said() -> None:
    table = pa.table({"at": [AT], "n": [1], "c": ["x"]})
    rows = mt.stream(time="at", out_of_order="0s").filter("n >= 0")
    cases = {
        "arrival": 'Arrow: the arrival column "c" is a string\nhint: it has the time of arrival',
        "partition": 'Arrow: the partition column "c" is a string, not an integer',
        "speed": 'speed: the column "c" is a string\nhint: it says when a row is due',
    }
    for role, said in cases.items():
        with pytest.raises(mt.SourceError, match=said):
            mt.run(Arrow(table, **ROLES[role]), rows)


def test_an_error_of_a_reader_of_another_library_is_named() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"at": [AT], "n": [1]})
        raise ValueError("connection lost")

    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("n", pa.int64())])
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    rows = mt.stream(time="at", out_of_order="0s").filter("n >= 0")
    with pytest.raises(mt.SourceError, match=r"Arrow: the rows cannot be read after 1 of them: .*"):
        mt.run(reader, rows)
