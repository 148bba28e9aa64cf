"""Durable sinks through every death between two calls, and odd rows into each of them."""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt
from muntin.sinks import Csv, JsonLines, Parquet, Sqlite
from muntin.sinks.files import appended
from muntin.testing import check_sink


def json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def csv_rows(path: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader(path.open(newline="")))


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    files = sorted(path.glob("*.parquet"))
    return [row for each in files for row in pq.read_table(each).to_pylist()]


def sqlite_rows(path: Path, table: str = "rows") -> list[dict[str, Any]]:
    db = sqlite3.connect(path)
    try:
        db.row_factory = sqlite3.Row
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return [dict(row) for row in db.execute(f'SELECT * FROM "{table}"')]
    finally:
        db.close()


ROW = {"at": "2024-05-01T10:00:00Z", "v": 1}
STREAM = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "v": "i64"})

KINDS: dict[str, tuple[Callable[[Path], mt.Sink], Callable[[Path], list[dict[str, Any]]]]] = {
    "jsonl": (JsonLines, json_rows),
    "csv": (Csv, csv_rows),
    "parquet": (lambda path: Parquet(path, rows_per_file=4), parquet_rows),
    "sqlite": (Sqlite, sqlite_rows),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_is_there_once_whenever_the_process_dies(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    place = tmp_path / "here"
    path = place / f"rows.{kind}"

    def clear() -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()

    check_sink(lambda: make(path), lambda: read(path), clear=clear)
    if kind == "sqlite":
        check_sink(lambda: make(path), lambda: read(path), clear=clear, key=("k",))


def opened(sink: Any, state: dict[str, Any] | None) -> Any:
    sink.open("rows", ())
    sink.restore(state)
    return sink


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_death_in_the_middle_of_appending_leaves_no_half_rows(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    sink = opened(make(path), None)
    sink.stage("rows", mt.Table([pa.table({"k": ["a", "b"], "v": [1, 2]})]))
    state = sink.prepare()
    (staged,) = tmp_path.glob(".*.staged")
    path.write_bytes(staged.read_bytes()[:-3])
    opened(make(path), state).close()
    assert [(row["k"], int(row["v"])) for row in read(path)] == [("a", 1), ("b", 2)]
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_gone_are_missed(kind: str, tmp_path: Path) -> None:
    make, _ = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    sink = opened(make(path), None)
    sink.stage("rows", mt.Table([pa.table({"k": ["a"], "v": [1]})]))
    state = sink.prepare()
    sink.close()
    for each in tmp_path.rglob("*"):
        if each.is_file():
            each.unlink()
    with pytest.raises(mt.SinkError, match=path.name):
        opened(make(path), state)


ODD = pa.table(
    {
        "text": pa.array(["a", None, ""], pa.large_string()),
        "view": pa.array(["a", None, ""], pa.string_view()),
        "word": pa.array(["a", "b", None]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), None, Decimal("-2.25")], pa.decimal128(38, 2)),
        "lasted": pa.array([dt.timedelta(seconds=1), None, dt.timedelta(0)]),
        "at": pa.array([dt.datetime(2024, 5, 1, 10)] * 3, pa.timestamp("us", "Europe/Berlin")),
        "nano": pa.array([1, None, 3], pa.timestamp("ns")),
        "day": pa.array([dt.date(2024, 5, 1)] * 3),
        "big": pa.array([2**64 - 1, None, 0], pa.uint64()),
        "nan": pa.array([float("nan"), None, 1.5]),
        "small": pa.array([1.5, None, 2.0], pa.float16()),
        "yes": pa.array([True, None, False]),
        "bytes": pa.array([b"\xff", None, b""]),
        "nothing": pa.nulls(3),
    }
)
NESTED = pa.table({"tags": [["a"], None, []], "of": [{"x": 1}, None, {"x": None}]})


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_every_type_go_through(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    sink = make(path)
    sink.open("rows", ())
    sink.stage("rows", mt.Table([ODD]))
    sink.publish()
    sink.close()
    rows = read(path)
    assert len(rows) == 3
    assert list(rows[0]) == ODD.column_names
    assert rows[0]["word"] == "a"
    plain = {"csv": ("1.50", "PT1S", "2024-05-01T10:00:00Z", str(2**64 - 1), "/w==")}
    plain["jsonl"] = (*plain["csv"][:3], 2**64 - 1, "/w==")
    at = "2024-05-01 10:00:00.000000Z"
    plain["sqlite"] = ("1.50", 1_000_000, at, str(2**64 - 1), b"\xff")
    if kind in plain:
        columns = ("price", "lasted", "at", "big", "bytes")
        assert tuple(rows[0][name] for name in columns) == plain[kind]
    else:
        assert mt.Table([pq.read_table(path)]).to_dicts()[1:] == mt.Table([ODD]).to_dicts()[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_nested_columns_go_through(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    sink = make(path)
    sink.open("rows", ())
    sink.stage("rows", mt.Table([NESTED]))
    sink.publish()
    sink.close()
    shown = ('["a"]', '{"x":1}') if kind in ("sqlite", "csv") else (["a"], {"x": 1})
    assert (read(path)[0]["tags"], read(path)[0]["of"]) == shown


def test_null_keys_and_nan_keys_are_keys_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    sink = Sqlite(path)
    sink.open("rows", ("k",))
    for v in (1, 2):
        keys = pa.array([None, float("nan"), 0.0])
        sink.stage("rows", mt.Table([pa.table({"k": keys, "v": [v] * 3})]))
        sink.publish()
    sink.close()
    assert [(row["k"], row["v"]) for row in sqlite_rows(path)] == [(None, 2), ("NaN", 2), (0.0, 2)]


def test_what_others_made_is_never_touched(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "theirs.parquet")
    sink = Parquet(tmp_path)
    sink.open("rows", ())
    with pytest.raises(mt.SinkError, match=r"theirs\.parquet.*\nhint: write to another directory"):
        sink.restore(None)
    with sqlite3.connect(tmp_path / "rows.db") as db:
        db.execute("CREATE TABLE rows (x)")
    db.close()
    with pytest.raises(mt.SinkError, match="another program made its table"):
        Sqlite(tmp_path / "rows.db").open("rows", ())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_second_output_is_refused(kind: str, tmp_path: Path) -> None:
    sink = KINDS[kind][0](tmp_path / f"x.{kind}")
    sink.open("a", ())
    with pytest.raises(mt.SinkError, match=r'"a" and "b" cannot share'):
        sink.open("b", ())


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_a_checkpoint_that_failed_stays_valid(kind: str, tmp_path: Path) -> None:
    """Its manifest may have been written after all: then a restart goes back to it."""
    make, read = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    sink = opened(make(path), None)
    sink.stage("rows", mt.Table([pa.table({"k": ["a", "b"], "v": [1, 2]})]))
    state = json.loads(json.dumps(sink.prepare()))
    sink.stage("rows", mt.Table([pa.table({"k": ["c"], "v": [3]})]))
    sink.prepare()
    sink.close()
    opened(make(path), state).close()
    assert [(row["k"], int(row["v"])) for row in read(path)] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_write_that_fails_in_the_middle_leaves_no_half_rows(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, read = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    (tmp_path / f".rows.{kind}.7.staged").write_bytes(b"left by a run that died")
    sink = opened(make(path), None)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    sink.stage("rows", mt.Table([pa.table({"k": ["a"], "v": [1]})]))

    def half(file: Any, data: bytes) -> None:
        file.write(data[: len(data) // 2])
        raise OSError("injected")

    with monkeypatch.context() as patched:
        patched.setattr(appended, "write_all", half)
        with pytest.raises(mt.SinkError, match="injected"):
            sink.stage("rows", mt.Table([pa.table({"k": ["b"], "v": [2]})]))
    sink.stage("rows", mt.Table([pa.table({"k": ["c"], "v": [3]})]))
    sink.prepare()
    sink.publish()
    sink.close()
    assert [(row["k"], int(row["v"])) for row in read(path)] == [("a", 1), ("c", 3)]


def test_a_sink_that_goes_on_where_it_was_puts_nothing_aside(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    first = opened(JsonLines(path), None)
    first.stage("rows", mt.collect(STREAM, [ROW]).rows)
    state = first.prepare()
    first.publish()
    first.close()
    again = opened(JsonLines(path), state)
    again.close()
    assert [each.name for each in tmp_path.iterdir()] == ["rows.jsonl"]


def test_rows_of_other_columns_begin_a_part_of_their_own(tmp_path: Path) -> None:
    sink = opened(Parquet(tmp_path), None)
    sink.stage("rows", mt.collect(STREAM, [ROW]).rows)
    sink.stage("rows", mt.collect(STREAM.with_columns(w="v + 1"), [ROW]).rows)
    sink.prepare()
    sink.publish()
    sink.close()
    columns = [pq.read_schema(path).names for path in sorted(tmp_path.glob("*.parquet"))]
    assert columns == [["at", "v"], ["at", "v", "w"]]
