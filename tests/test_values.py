"""What a column can hold, every way out can show, and all of them by the same text.

`docs/values.md` has the forms; `extremes.py` the values.
"""

from __future__ import annotations

import copy
import csv
import datetime as dt
import io
import json
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import muntin as mt
from extremes import EVERY, FALL_BACK, PLAIN, TURNS, YEAR_10000, of_bits, stamped
from muntin.monitor.dashboard.cells import columns
from muntin.monitor.dashboard.history import numbers, seconds
from muntin.sinks.flat import json_rows
from muntin.values import show, times

NOT_TAKEN = {"struct of two fields of one name"}

FORMS: dict[str, tuple[pa.Array, list[Any], list[Any], list[str | None]]] = {
    "years": (
        of_bits([YEAR_10000, -62_167_219_201, 0, None], pa.timestamp("s", "Europe/Berlin")),
        ["+10000-01-01T00:00:00Z", "-0001-12-31T23:59:59Z",
         dt.datetime(1970, 1, 1, tzinfo=dt.UTC), None],
        ["+10000-01-01T00:00:00Z", "-0001-12-31T23:59:59Z", "1970-01-01T00:00:00Z", None],
        ["+10000-01-01T00:00:00Z", "-0001-12-31T23:59:59Z", "1970-01-01T00:00:00Z", None],
    ),
    "fractions": (
        of_bits([1, 500, 1000, -1], pa.timestamp("ms")),
        [dt.datetime(1970, 1, 1, 0, 0, 0, 1000), dt.datetime(1970, 1, 1, 0, 0, 0, 500_000),
         dt.datetime(1970, 1, 1, 0, 0, 1), dt.datetime(1969, 12, 31, 23, 59, 59, 999_000)],
        *[["1970-01-01T00:00:00.001", "1970-01-01T00:00:00.500", "1970-01-01T00:00:01",
           "1969-12-31T23:59:59.999"]] * 2,
    ),
    "floats": (
        pa.array([1.0, float("nan"), float("-inf"), 1e16, None]),
        [1.0, float("nan"), float("-inf"), 1e16, None],
        [1.0, "NaN", "-Infinity", 1e16, None],
        ["1.0", "NaN", "-Infinity", "1e+16", None],
    ),
    "decimals": (
        pa.array([Decimal("0.0000000001"), Decimal(-7)], pa.decimal128(20, 10)),
        [Decimal("0.0000000001"), Decimal("-7.0000000000")],
        *[["0.0000000001", "-7.0000000000"]] * 2,
    ),
    "bytes": (pa.array([b"\xff", b"", None]), [b"\xff", b"", None], *[["/w==", "", None]] * 2),
    "durations": (
        of_bits([0, 93_784_000_005, -(2**63)], pa.duration("us")),
        [dt.timedelta(0), dt.timedelta(seconds=93784, microseconds=5),
         dt.timedelta(microseconds=-(2**63))],
        *[["PT0S", "PT26H3M4.000005S", "-PT2562047788H54.775808S"]] * 2,
    ),
    "maps": (
        pa.array([[("a", b"\xff")], None], pa.map_(pa.string(), pa.binary())),
        [[("a", b"\xff")], None], [[["a", "/w=="]], None], ['[["a","/w=="]]', None],
    ),
    "structs": (
        pa.array([{"a": 1.0, "b": ["ü"]}, None]),
        [{"a": 1.0, "b": ["ü"]}, None], [{"a": 1.0, "b": ["ü"]}, None],
        ['{"a":1.0,"b":["ü"]}', None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FORMS)
def test_forms_are_as_they_are_written_down(what: str) -> None:
    array, python, as_json, text = FORMS[what]
    assert repr(show.to_python(array)) == repr(python) or show.to_python(array) == python
    assert show.to_json(array) == as_json
    assert show.to_text(array).to_pylist() == text
    chunked = pa.chunked_array([array.slice(0, 1), array.slice(1)])
    assert show.to_text(chunked).to_pylist() == text
    assert show.to_json(chunked) == as_json


@pytest.mark.parametrize("kind", EVERY)
def test_every_value_can_be_shown_by_a_table(kind: str) -> None:
    array = EVERY[kind]
    table = mt.Table([pa.table({"x": array, "n": range(len(array))})])
    rows = table.to_dicts()
    assert len(rows) == len(table) == len(array)
    shown = [repr(row) for row in rows]
    assert [repr(row) for row in table] == shown
    assert [repr(table[i]) for i in range(len(table))] == shown
    assert [repr(row) for row in table[1:].to_dicts()] == shown[1:]
    assert repr(table).count("\n") == min(len(array), 10) + 2
    assert "<table>" in table._repr_html_()
    assert "\x1b" not in repr(table)
    for again in (pickle.loads(pickle.dumps(table)), copy.copy(table), copy.deepcopy(table)):
        assert repr(again.to_dicts()) == repr(rows)
    assert pa.record_batch(table).num_rows == table.to_arrow().num_rows == len(array)
    texts = show.to_text(array).to_pylist()
    nulls = [value is None for value in show.to_python(array)]
    assert [text is None for text in texts] == nulls
    # the rows of one slice are those of the whole
    for start in range(len(array)):
        assert show.to_text(array.slice(start, 1)).to_pylist() == texts[start : start + 1]
        assert repr(show.to_python(array.slice(start, 1))) == repr([rows[start]["x"]])


@pytest.mark.parametrize("kind", EVERY)
def test_every_value_goes_into_frames(kind: str) -> None:
    table = mt.Table([pa.table({"x": EVERY[kind]})])
    frame = table.to_pandas()
    assert (type(frame), len(frame), list(frame)) == (pd.DataFrame, len(table), ["x"])
    other = table.to_polars()
    assert (type(other), other.height, other.columns) == (pl.DataFrame, len(table), ["x"])
    nulls = EVERY[kind].null_count if "union" not in kind and kind != "runs" else None
    if nulls is not None:
        assert other["x"].null_count() == nulls


@pytest.mark.parametrize("kind", EVERY)
def test_every_value_goes_into_sinks_by_its_text(kind: str, tmp_path: Path) -> None:
    array = EVERY[kind]
    table = mt.Table([pa.table({"n": range(len(array)), "x": array})])
    texts, as_json = show.to_text(array).to_pylist(), show.to_json(array)
    lines, cells, db = tmp_path / "x.jsonl", tmp_path / "x.csv", tmp_path / "x.db"
    for sink in (mt.sinks.JsonLines(lines), mt.sinks.Csv(cells), mt.sinks.Sqlite(db)):
        sink.open("rows", ())
        sink.stage("rows", table)
        sink.publish()
        sink.close()
    found = [json.loads(line)["x"] for line in lines.read_text().splitlines()]
    assert repr(found) == repr(as_json)
    with cells.open(newline="") as file:
        assert [row["x"] for row in csv.DictReader(file)] == [text or "" for text in texts]
    with closing(sqlite3.connect(db)) as connection:
        stored = [x for (x,) in connection.execute("SELECT x FROM rows ORDER BY n")]
    assert len(stored) == len(array)
    if pa.types.is_timestamp(array.type):
        assert stored == times.sortable_text(array).to_pylist()
    elif pa.types.is_date(array.type) or pa.types.is_nested(array.type):
        assert stored == texts
    printed = io.StringIO()
    console = mt.sinks.Console(stream=printed)
    console.stage("rows", table)
    console.publish()
    assert len(printed.getvalue().splitlines()) == min(len(array), 10) + 3
    assert [row["x"] for piece in json_rows(table) for row in piece] == found or "f" in kind
    assert json.dumps(columns(table.to_arrow()))


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in ("no text",)])
def test_every_value_goes_into_parquet(kind: str, tmp_path: Path) -> None:
    table = mt.Table([pa.table({"x": EVERY[kind]})])
    sink = mt.sinks.Parquet(tmp_path / "x")
    sink.open("rows", ())
    try:
        sink.stage("rows", table)
        sink.publish()
        sink.close()
    except mt.SinkError as error:
        # what the format has no place for is refused by name
        assert str(tmp_path) in str(error)
        return
    (part,) = (tmp_path / "x").glob("*.parquet")
    again = show.to_json(pq.read_table(part)["x"])
    if not kind.startswith("duration") or kind == "duration":
        assert repr(again) == repr(show.to_json(EVERY[kind])) or kind == "duration s"


def taken(kind: str) -> Iterator[pa.Table]:
    """The rows of a column, each alone, in the types of the engine."""
    table = stamped(EVERY[kind])
    passed = mt.operator(mt.stream(time="at", out_of_order="0s").filter("at is not null"))
    try:
        yield passed.push(table).rows.to_arrow()
    except mt.MuntinError:
        assert kind not in PLAIN


@pytest.mark.parametrize("kind", EVERY)
def test_alerts_say_what_python_says(kind: str) -> None:
    """Rust writes messages, keys and values; Python everything else."""
    said = mt.rule("all", "at is not null", by=(), message="<{x}>")
    for table in taken(kind):
        stream = mt.stream(time="at", out_of_order="0s").filter("at is not null")
        result = mt.operator(stream, rules=[said]).push(table)
        column = table["x"]
        assert len(result.alerts) == len(column)
        texts = show.to_text(column).to_pylist()
        said_of_x = ["<null>" if text is None else f"<{text}>" for text in texts]
        assert result.alerts["message"].to_pylist() == said_of_x
        found = [json.loads(text)["x"] for text in result.alerts["values"].to_pylist()]
        assert repr(found) == repr(show.to_json(column))


@pytest.mark.parametrize(
    "kind",
    [
        k
        for k in PLAIN
        if k != "time" and k[:4] not in ("list", "stru", "f32", "f64", "null", "dura")
    ],
)
def test_keys_say_what_python_says(kind: str) -> None:
    said = mt.rule("all", "n > 0", message="{x}")
    for table in taken(kind):
        stream = mt.stream(time="at", out_of_order="0s")
        counted = stream.sliding("1m", by="x", null_key="group").agg(n=mt.count())
        result = mt.operator(counted, rules=[said]).push(table)
        keys = [json.loads(key)["x"] for key in result.alerts["key"].to_pylist()]
        assert keys == show.to_json(table["x"])


def test_a_step_gives_any_value() -> None:
    schema = {"at": "timestamp[us, UTC]", "day": "timestamp[s]", "b": "binary"}
    stream = mt.stream(time="at", out_of_order="0s", schema=schema, max_future_skew=None)
    op = mt.operator(stream.sliding("1m", by="b").agg(n=mt.count()))
    far = of_bits([YEAR_10000], pa.timestamp("s"))
    at = of_bits([2**62], pa.timestamp("us", "UTC"))
    table = pa.table({"at": at, "day": far, "b": [b"\xff"]})
    assert op.push(table).rows[0] == {
        "at": "+148108-07-06T14:00:27.387904Z",
        "day": "+10000-01-01T00:00:00",
        "b": b"\xff",
        "n": 1,
    }


@pytest.mark.parametrize("zone", FALL_BACK)
def test_nanoseconds_in_the_hour_that_comes_twice(zone: str) -> None:
    at = FALL_BACK[zone] * 10**9
    array = of_bits([at - 3_600 * 10**9 + 1, at + 1, at + 3_600 * 10**9], pa.timestamp("ns", zone))
    moments = show.to_python(array)
    assert all(moment.tzinfo is not None for moment in moments)
    utc = [moment.astimezone(dt.UTC).replace(tzinfo=None) for moment in moments]
    zero = dt.datetime(1970, 1, 1)
    assert [(moment - zero) // dt.timedelta(seconds=1) for moment in utc] == [
        FALL_BACK[zone] - 3600, FALL_BACK[zone], FALL_BACK[zone] + 3600,
    ]  # fmt: skip
    stream = mt.stream(time="at", out_of_order="1d")
    result = mt.collect(stream.filter("at is not null"), pa.table({"at": array}))
    assert [row["at"] for row in result.rows] == moments


@pytest.mark.parametrize("kind", [k for k in EVERY if k.startswith("timestamp")])
def test_the_page_counts_any_time_in_seconds(kind: str) -> None:
    found = seconds(EVERY[kind]).to_pylist()
    per = TURNS[EVERY[kind].type.unit]
    numbers_of = EVERY[kind].view(pa.int64()).to_pylist()
    assert found == [None if n is None else float(n) / per for n in numbers_of]


@pytest.mark.parametrize("kind", ["decimal", "decimal256", "duration", "duration s", "bool", "f16"])
def test_the_page_draws_any_number(kind: str) -> None:
    assert len(numbers(EVERY[kind])) == len(EVERY[kind])


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(list(TURNS)))
def test_a_times_text_reads_back(value: int, unit: str) -> None:
    text = times.timestamp_text(value, TURNS[unit], zoned=True)
    date, _, clock = text.removesuffix("Z").rpartition("T")
    year, month, day = date[1:].split("-") if date[0] in "+-" else date.split("-")
    number = int(year) * (-1 if date[0] == "-" else 1)
    # years of the proleptic calendar repeat every 400
    era, year_of = divmod(number, 400)
    days = (dt.date(year_of + 400, int(month), int(day)) - dt.date(1970, 1, 1)).days
    days += (era - 1) * 146_097
    hour, minute, second = clock.split(":")
    whole, _, fraction = second.partition(".")
    total = ((days * 24 + int(hour)) * 60 + int(minute)) * 60 + int(whole)
    digits = len(str(TURNS[unit])) - 1
    assert len(fraction) in (0, digits)
    assert total * TURNS[unit] + int(fraction or 0) == value


def test_text_of_sqlite_sorts_as_time_does() -> None:
    us = sorted([0, 1, 500_000, 999_999, 10**6, -1, -(10**15), 2 * 10**15])
    texts = times.sortable_text(of_bits(us, pa.timestamp("us", "UTC"))).to_pylist()
    assert texts == sorted(texts)
    with closing(sqlite3.connect(":memory:")) as db:
        back = db.execute("SELECT strftime('%s', ?)", (texts[-1],)).fetchone()
    assert back == (str(2 * 10**9),)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(mt.SchemaError, match='two columns have the name "a"'):
        mt.Table([pa.table([[1], [2]], names=["a", "a"])]).to_dicts()
