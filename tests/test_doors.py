"""Every Arrow type through every door: it works, or the error names the column and what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import muntin as mt

A = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
TIMES = [A + dt.timedelta(seconds=s) for s in (2, 0, 1)]


def types() -> dict[str, pa.Array]:
    one = [1, None, 2]
    found: dict[str, pa.Array] = {"null": pa.nulls(3), "bool": pa.array([True, None, False])}
    for kind in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.date32()),
        *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")),
        *(pa.timestamp("us", "Europe/Berlin"), pa.time32("s"), pa.time32("ms")),
        *(pa.time64("us"), pa.time64("ns"), *(pa.duration(u) for u in ("s", "ms", "us", "ns"))),
    ):
        found[str(kind)] = pa.array(one, kind)
    # not a whole day: no date is this
    found["date64"] = pa.array([1, None, 2], pa.int64()).view(pa.date64())
    found["f16"] = pa.array([np.float16(1), None, np.float16(2)], pa.float16())
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        found[str(kind)] = pa.array(["b", None, "a"], kind)
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1)):
        found[str(kind)] = pa.array([b"b", None, b"a"], kind)
    for kind in (
        *(pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(20, 2)),
        *(pa.decimal256(60, 2), pa.decimal256(76, 50)),
    ):
        found[str(kind)] = pa.array([Decimal(1), None, Decimal(2)], kind)
    item = pa.int64()
    for kind in (
        *(pa.list_(item), pa.large_list(item), pa.list_(item, 1), pa.list_view(item)),
        *(pa.large_list_view(item), pa.list_(pa.string_view())),
    ):
        value: Any = "a" if "string" in str(kind) else 1
        found[str(kind)] = pa.array([[value], None, [value]], kind)
    found["struct"] = pa.array([{"a": 1}, None, {"a": 2}])
    found["map"] = pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64()))
    found["interval"] = pa.array([pa.MonthDayNano([1, 2, 3]), None, pa.MonthDayNano([0, 0, 1])])
    for name, values in (("str", ["a", None, "b"]), ("int", one), ("time", [A, None, A])):
        found[f"dictionary of {name}"] = pa.array(values).dictionary_encode()
    ends, values = pa.array([1, 3], pa.int32()), pa.array(["a", None])
    found["run ends"] = pa.RunEndEncodedArray.from_arrays(ends, values)
    kinds = pa.array([0, 1, 0], pa.int8())
    sides = [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]
    found["sparse union"] = pa.UnionArray.from_sparse(kinds, sides)
    offsets, dense = pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["a"])]
    found["dense union"] = pa.UnionArray.from_dense(kinds, offsets, dense)
    found["uuid"] = pa.array([b"0123456789abcdef", None, b"f" * 16], pa.binary(16)).cast(pa.uuid())
    return found


TYPES = types()
STREAM = mt.stream(time="at", out_of_order="1m")
ONLY_X = STREAM.filter("k = 'x'")


def union(rows: Any) -> mt.Result:
    words = {"at": "timestamp[us, UTC]", "k": "str"}
    sides = [mt.stream(name, time="at", out_of_order="1m", schema=words) for name in "ab"]
    return mt.collect(mt.union(*sides), {"a": rows, "b": rows})


def waiting(rows: Any) -> mt.Result:
    """Rows that wait for the watermark, over a snapshot."""
    pipeline = STREAM.sliding("1m", by="k", emit="watermark").agg(n=mt.count())
    op = mt.operator(pipeline)
    op.push(rows)
    return mt.operator(pipeline, snapshot=op.snapshot()).finish()


def late(rows: Any) -> mt.Result:
    pipeline = mt.stream(time="at", out_of_order="0s").tumbling("1s", by="k").agg(n=mt.count())
    result = mt.collect(pipeline, rows, order="given")
    assert len(result.late) == 2
    return result


DOORS: dict[str, Callable[[Any], Any]] = {
    "push": lambda rows: mt.operator(ONLY_X).push(rows),
    "time": lambda rows: mt.collect(ONLY_X, rows),
    "given": lambda rows: mt.collect(ONLY_X, rows, order="given"),
    "chunks": lambda rows: mt.collect(ONLY_X, pa.concat_tables([pa.table(rows)] * 2)),
    "union": union,
    "waiting": waiting,
    "late": late,
    "run": lambda rows: mt.run(mt.sources.Arrow(rows), ONLY_X, sinks=[mt.sinks.Callback(len)]),
}


def table(values: pa.Array) -> pa.Table:
    at = pa.array(TIMES, pa.timestamp("us", "UTC"))
    return pa.table({"at": at, "k": ["x", "x", "y"], "v": values})


@pytest.mark.parametrize("name", TYPES)
def test_a_column_that_no_verb_reads_ends_nothing(name: str) -> None:
    for door in DOORS.values():
        door(table(TYPES[name]))


@pytest.mark.parametrize("name", TYPES)
def test_a_column_that_no_verb_reads_flows_on(name: str) -> None:
    rows = pa.table(mt.collect(ONLY_X, table(TYPES[name]), order="given").rows)
    found, given = rows["v"].combine_chunks(), TYPES[name].slice(0, 2)
    assert len(found) == 2
    if given.type == found.type:
        assert found.equals(given)


@pytest.mark.parametrize("name", TYPES)
def test_a_verb_that_reads_a_column_takes_it_or_names_it(name: str) -> None:
    for pipeline in (
        STREAM.tumbling("1m", by="v").agg(n=mt.count()),
        STREAM.tumbling("1m").agg(n=mt.first("v")),
        STREAM.tumbling("1m").agg(n=mt.sum("v")),
        STREAM.tumbling("1m").agg(n=mt.count("v")),
        STREAM.filter(mt.col("v") == mt.col("v")),
        STREAM.with_columns(w="coalesce(v, v)", x=mt.when("k = 'x'").then("v")),
        mt.stream(time="v", out_of_order="1m").filter("k = 'x'"),
    ):
        try:
            mt.collect(pipeline, table(TYPES[name]))
        except mt.MuntinError as error:
            # the column, or the aggregate over it
            assert "v" in str(error) or 'aggregate "n"' in str(error)


def frame_of(library: str, rows: pa.Table) -> Any:
    """The rows as a frame of another library, or None if it does not have one of their types."""
    try:
        if library == "polars":
            frame: Any = pl.from_arrow(rows)
        else:
            mapper = pd.ArrowDtype if library != "pandas" else None
            frame = rows.to_pandas(types_mapper=mapper)
        pa.RecordBatchReader.from_stream(frame).read_all()
    except BaseException:  # Polars panics
        return None
    return frame


@pytest.mark.parametrize("library", ["polars", "pandas", "pandas with Arrow types"])
def test_frames_of_other_libraries(library: str) -> None:
    frames = [frame_of(library, table(values)) for values in TYPES.values()]
    taken = [frame for frame in frames if frame is not None]
    assert len(taken) > len(TYPES) // 2
    for frame in taken:
        for door in ("push", "time", "given"):
            DOORS[door](frame)


def test_what_is_not_a_batch_says_what_to_give() -> None:
    stream = mt.stream(time="at", out_of_order="0s").filter("k = 'x'")
    frame = pl.DataFrame({"at": TIMES, "k": ["x", "x", "y"]})
    mixed = pd.DataFrame({"at": TIMES, "k": ["x", 1, "y"]})
    wide = frame.with_columns(v=pl.Series([1, 2, 3], dtype=pl.Int128))
    for data, parts in (
        ({"at": TIMES, "k": ["x", "x", "y"]}, ["dict of at, k", "columns become a table"]),
        (frame.lazy(), ["LazyFrame", "collect() it first"]),
        (mixed, ["pandas", "column k", "astype"]),
        (wide, ["v", "hint:"]),
    ):
        for door in (
            lambda rows: mt.collect(stream, rows),
            lambda rows: mt.operator(stream).push(rows),
        ):
            with pytest.raises(mt.MuntinError) as caught:
                door(data)
            said = str(caught.value)
            assert parts[0] in said or isinstance(data, dict), said
            assert parts[-1] in said, said


def test_a_time_that_is_text_says_what_to_write() -> None:
    rows = pa.table({"at": ["2024-05-01T10:00:00Z"], "k": ["x"]})
    stream = mt.stream(time="at", out_of_order="0s").filter("k = 'x'")
    for door in (lambda s: mt.collect(s, rows), lambda s: mt.operator(s).push(rows)):
        with pytest.raises(mt.SchemaError) as caught:
            door(stream)
        said = str(caught.value)
        assert 'time="at::timestamptz"' in said
        assert 'schema={"at": "timestamp[us, UTC]"' in said
        # and both work
        cast = mt.stream(time="at::timestamptz", out_of_order="0s").filter("k = 'x'")
        words = {"at": "timestamp[us, UTC]", "k": "str"}
        declared = mt.stream(time="at", out_of_order="0s", schema=words).filter("k = 'x'")
        assert len(door(cast).rows) == len(door(declared).rows) == 1


def test_an_odd_name_says_how_to_write_it() -> None:
    stream = mt.stream(time="at", out_of_order="0s")
    for call in (
        lambda: stream.tumbling("1m").agg(s=mt.sum("unit price")),
        lambda: mt.stream(time="event time", out_of_order="0s"),
        lambda: stream.filter("unit price > 5"),
    ):
        with pytest.raises(mt.ExpressionError) as caught:
            call()
        said = str(caught.value)
        assert 'col("unit price")' in said or "double quotes" in said
