"""Arrow rows as sources: values that do not fit, roles without a value, exports that fail."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import muntin as mt

START = datetime(2024, 5, 1, tzinfo=UTC)
AT = [START + timedelta(seconds=second) for second in range(3)]
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
EVENTS = mt.stream("events", time="at", out_of_order="0s", schema=WORDS)
LOOSE = mt.stream("events", time="at", out_of_order="0s")
GOOD = pa.table({"at": AT, "k": ["a", "b", "c"], "v": [1, 2, 3]})
UTC_US = pa.timestamp("us", "UTC")
NOT_TEXT = pa.Array.from_buffers(
    pa.string(), 3, [None, pa.py_buffer(struct.pack("4i", 0, 1, 2, 3)), pa.py_buffer(b"a\xffc")]
)


def replaced(name: str, values: Any) -> pa.Table:
    return GOOD.set_column(GOOD.column_names.index(name), name, [values])


DOORS: dict[str, Callable[..., Any]] = {
    "Arrow": lambda table, _, **more: mt.sources.Arrow(table, **more),
    "Rows": lambda table, _, **more: mt.sources.Rows([table.slice(0, 1), table.slice(1)], **more),
    "batches": lambda table, _, **more: mt.sources.Arrow(table, batch_rows=1, **more),
    "Parquet": lambda table, place, **more: parquet(table, place, **more),
}


def parquet(table: pa.Table, place: Path, **more: Any) -> Any:
    pq.write_table(table, place / "rows.parquet")
    return mt.sources.Parquet(place / "rows.parquet", **more)


def outcome(source: Any, stream: mt.Stream = EVENTS) -> tuple[list[Any], list[tuple[int, str]]]:
    """The keys that came out, and position and detail of each invalid row."""
    keys: list[Any] = []
    bad: list[tuple[int, str]] = []

    def note(table: mt.Table) -> None:
        bad.extend((row["position"], row.get("detail") or row["reason"]) for row in table)

    report = mt.run(
        source,
        stream,
        sinks=[mt.sinks.Callback(lambda table: keys.extend(row["k"] for row in table))],
        invalid=[mt.sinks.Callback(note)],
    )
    assert report.rows == len(keys)
    return keys, sorted(bad)


# ── values ──────────────────────────────────────────────────────────────────────────────────────


MISFITS = dict(
    zip(
        ["fraction", "u64", "decimal", "ns", "far", "text", "utf8", "dictionary"],
        [
            ("v", pa.array([1.0, 1.5, 2.0]), "does not fit i64: 1.5 has a fraction"),
            ("v", pa.array([1, 2**63, 3], pa.uint64()), "is beyond its range"),
            ("v", pa.array(map(Decimal, ("1.0", "1.5", "2.0"))), "1.5 has a fraction"),
            ("at", pa.array([0, 1, 1000], pa.timestamp("ns", "UTC")), "more digits than it keeps"),
            ("at", pa.array([0, 2**55, 1], pa.timestamp("ms", "UTC")), "is beyond its range"),
            (
                "at",
                pa.array(["2024-05-01T10:00:00Z", "soon", "2024-05-01"]),
                '"soon" is of another',
            ),
            ("k", NOT_TEXT, "has bytes that are not text"),
            ("k", pa.DictionaryArray.from_arrays([0, 1, 2], NOT_TEXT, safe=False), "not text"),
        ],
        strict=True,
    )
)
# pyarrow takes a Parquet file with a dictionary of broken text as damaged
WHERE = [
    (door, case) for door in DOORS for case in MISFITS if (door, case) != ("Parquet", "dictionary")
]


@pytest.mark.parametrize(("door", "case"), WHERE)
def test_a_value_that_does_not_fit_is_an_invalid_record(
    tmp_path: Path, door: str, case: str
) -> None:
    name, values, said = MISFITS[case]
    source = DOORS[door](replaced(name, values), tmp_path)
    keys, bad = outcome(source)
    assert keys == ["a", "c"]
    ((position, detail),) = bad
    assert position == 1
    assert detail.startswith(f'column "{name}"') and said in detail


@pytest.mark.parametrize("door", DOORS)
def test_with_bad_stop_the_run_ends(tmp_path: Path, door: str) -> None:
    source = DOORS[door](replaced("v", pa.array([1.0, 1.5, 2.0])), tmp_path, bad="stop")
    place = "rows.parquet" if door == "Parquet" else "position 1"
    with pytest.raises(mt.SourceError, match=f"(?s){place}.*1.5 has a fraction.*hint: bad="):
        outcome(source)
    with pytest.raises(mt.SourceError, match='bad: "halt" is not one of record, stop'):
        DOORS[door](GOOD, tmp_path, bad="halt")


@pytest.mark.parametrize("door", DOORS)
def test_a_type_that_never_fits_ends_the_run_with_its_column(tmp_path: Path, door: str) -> None:
    for values in (["1", "2", "3"], [True, False, None], [[1], [2], None]):
        with pytest.raises(mt.MuntinError, match=r'(?s)column "v".*(i64|int64).*hint: '):
            outcome(DOORS[door](replaced("v", pa.array(values)), tmp_path))


# ── arrival and partition ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("role", "values", "said"),
    [
        ("arrival", pa.array([START, None, START], UTC_US), 'no time of arrival in "c"'),
        ("arrival", pa.array([1, None, 2]), 'no time of arrival in "c"'),
        ("arrival", pa.array([1, 2**63, 2], pa.uint64()), "time of arrival in .* does not fit 64"),
        ("arrival", pa.array([1, 2**54, 2], pa.timestamp("ms")), "time of arrival in .* 64 bits"),
        ("arrival", pa.array([1, -(2**54), 2], pa.timestamp("ms")), "time of arrival in .* 64"),
        ("partition", pa.array([0, None, 0]), 'no partition in "c"'),
        ("partition", pa.array([0, 2**64 - 1, 0], pa.uint64()), "partition in .* does not fit 64"),
    ],
)
def test_a_row_without_a_value_in_a_role_is_an_invalid_record(
    tmp_path: Path, door: str, role: str, values: Any, said: str
) -> None:
    source = DOORS[door](GOOD.append_column("c", [values]), tmp_path, **{role: "c"})
    stream = mt.stream("events", time="at", out_of_order="0s", schema=WORDS, max_future_skew=None)
    keys, bad = outcome(source, stream)
    assert keys == ["a", "c"]
    ((position, detail),) = bad
    assert position == 1
    assert pa.compute.match_substring_regex(pa.array([detail]), said)[0].as_py(), detail


# ── fields of structs ───────────────────────────────────────────────────────────────────────────

INNER = pa.schema(
    {"at": UTC_US, "s": pa.struct({"a": pa.int64()}), "l": pa.list_(pa.struct({"a": pa.int64()}))}
)
NESTED = mt.stream("events", time="at", out_of_order="0s", schema=INNER)
MORE = [{"at": START, "s": {"a": 1, "b": 2}, "l": [{"a": 1, "c": 3}]}]
LEFT = [{"at": START, "s": {"a": 1}, "l": [{"a": 1}]}]


@pytest.mark.parametrize("rows", [MORE, pa.Table.from_pylist(MORE)], ids=["dicts", "table"])
def test_sources_leave_out_fields_that_are_not_declared(rows: Any) -> None:
    found: list[Any] = []
    mt.run(rows, NESTED, sinks=[mt.sinks.Callback(lambda table: found.extend(table))])
    assert found == LEFT


def test_push_leaves_fields_out_of_columns_and_refuses_them_in_dicts() -> None:
    assert mt.operator(NESTED).push(pa.Table.from_pylist(MORE)).rows.to_dicts() == LEFT
    for call in (mt.operator(NESTED).push, lambda rows: mt.operator(NESTED).ask(rows[0])):
        with pytest.raises(mt.ColumnError, match='row: column "s": unknown field "b"\nhint: there'):
            call(MORE)
    inside = [{"at": START, "s": None, "l": [None, {"a": 1, "c": 3}]}]
    with pytest.raises(mt.ColumnError, match='row: column "l": unknown field "c"'):
        mt.collect(NESTED, inside)
    learning = mt.operator(LOOSE)
    learning.push(LEFT)
    with pytest.raises(mt.ColumnError, match='row: column "s": unknown field "b"'):
        learning.push(MORE)


# ── exports that fail ───────────────────────────────────────────────────────────────────────────


class Stream:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise self.error


class Array:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        raise self.error


def middle(error: BaseException) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield GOOD.to_batches()[0]
        raise error

    return pa.RecordBatchReader.from_batches(GOOD.schema, batches())


TAKERS: dict[str, Callable[[Any], Any]] = {
    "push": lambda data: mt.operator(LOOSE).push(data),
    "step": lambda data: mt.operator(LOOSE).step([mt.Feed("events", data)]),
    "collect": lambda data: mt.collect(LOOSE, data),
    "given": lambda data: mt.collect(LOOSE, data, order="given"),
    "run": lambda data: mt.run(data, LOOSE),
    "partition": lambda data: mt.run(mt.sources.Arrow(data, partition="v"), LOOSE),
    "Rows": lambda data: mt.run([data], LOOSE),
    "generator": lambda data: mt.run((each for each in [data]), LOOSE),
}


@pytest.mark.parametrize("make", [Stream, Array, middle])
@pytest.mark.parametrize("taker", TAKERS)
def test_an_export_that_fails_is_the_cause_of_our_error(taker: str, make: Any) -> None:
    failed = ValueError("the disk is gone")
    with pytest.raises(mt.MuntinError, match="ValueError: the disk is gone") as caught:
        TAKERS[taker](make(failed))
    assert type(caught.value) in (mt.DataError, mt.SourceError)
    assert caught.value.__cause__ is failed
    place = 'input "events": ' if isinstance(caught.value, mt.DataError) else ("Arrow: ", "Rows: ")
    assert str(caught.value).startswith(place)
    for stop in (KeyboardInterrupt, SystemExit):
        with pytest.raises(stop):
            TAKERS[taker](make(stop()))


@pytest.mark.parametrize("kind", [pl.Int128, pl.UInt128])
@pytest.mark.parametrize("taker", TAKERS)
def test_a_type_of_polars_own_is_named(taker: str, kind: Any) -> None:
    frame = pl.DataFrame({"at": AT, "v": [0, 1, 2]}).with_columns(pl.col("v").cast(kind))
    with pytest.raises(mt.SchemaError, match=r'column "v" has Polars.* private .*128\nhint: c'):
        TAKERS[taker](frame)


@pytest.mark.parametrize("word", ["partition", "position", "arrival"])
def test_an_export_beside_the_rows_is_named(word: str) -> None:
    with pytest.raises(mt.DataError, match=f"{word}: a Array could not give its Arrow data"):
        mt.operator(LOOSE).step([mt.Feed(None, GOOD, **{word: Array(ValueError("gone"))})])
