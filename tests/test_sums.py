"""Sums of floats: the same bits in any order and any cut, and no trace of what has left."""

from __future__ import annotations

import datetime as dt
import math
import random
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt

EPOCH = dt.datetime(1970, 1, 1)
SECOND = 1_000_000
WORDS = {"at": "timestamp[us]", "k": "i64", "x": "f64"}
EVENTS = mt.stream(time="at", out_of_order="0s", schema=WORDS)
SUM: dict[str, Any] = {"total": mt.sum("x")}
HOURS = EVENTS.tumbling("1h", by="k").agg(**SUM)


def table(at: list[int], x: list[float], k: list[int] | None = None) -> pa.Table:
    times = pa.array(at, pa.timestamp("us"))
    keys = pa.array(k or [0] * len(x), pa.int64())
    return pa.table({"at": times, "k": keys, "x": pa.array(x, pa.float64())})


def totals(result: mt.Table) -> list[float]:
    return result.to_arrow()["total"].to_pylist()


def bits(values: list[float]) -> list[str]:
    return [value.hex() for value in values]


def exact(values: list[float]) -> float:
    """The exact sum, rounded once: `math.fsum`, also where that gives up on the way."""
    if not all(map(math.isfinite, values)):
        return sum(value for value in values if not math.isfinite(value))
    total = sum(map(Fraction, values))
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def wild(seed: int, rows: int = 1000) -> list[float]:
    rng = random.Random(seed)
    return [rng.choice([1, -1]) * 10 ** rng.uniform(-6, 13) for _ in range(rows)]


def cents(seed: int, rows: int = 1000) -> list[float]:
    rng = random.Random(seed)
    return [1e13 if rng.random() < 0.01 else round(rng.uniform(0, 500), 2) for _ in range(rows)]


DATA = [wild(0), wild(1), wild(2), cents(0), cents(1)]
NAMES = ["wild 0", "wild 1", "wild 2", "cents 0", "cents 1"]
with_data = pytest.mark.parametrize("x", DATA, ids=NAMES)


@with_data
def test_the_order_of_the_rows_does_not_show(x: list[float]) -> None:
    rng = random.Random(7)
    for _ in range(20):
        mixed = rng.sample(x, len(x))
        got = totals(mt.collect(HOURS, table([0] * len(x), mixed)).rows)
        assert bits(got) == bits([math.fsum(x)])


@with_data
@pytest.mark.parametrize("rows", [1, 7, 333])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_neither_cuts_nor_threads_show(x: list[float], rows: int, threads: int) -> None:
    keys = [i % 13 for i in range(len(x))]
    data = table([0] * len(x), x, keys)
    op = mt.operator(HOURS, threads=threads)
    for start in range(0, len(x), rows):
        op.push(data.slice(start, rows))
    got = {row["k"]: row["total"].hex() for row in op.finish().rows.to_dicts()}
    assert got == {k: math.fsum(x[k::13]).hex() for k in range(13)}


@with_data
def test_a_snapshot_keeps_the_exact_sum(x: list[float]) -> None:
    data = table([0] * len(x), x)
    op = mt.operator(HOURS)
    op.push(data.slice(0, 500))
    op = mt.operator(HOURS, snapshot=op.snapshot())
    op.push(data.slice(500))
    assert bits(totals(op.finish().rows)) == bits([math.fsum(x)])


@with_data
def test_sliding_sums_are_those_of_the_rows_in_the_window(x: list[float]) -> None:
    at = [i * SECOND for i in range(len(x))]
    expected = [math.fsum(x[max(0, i - 199) : i + 1]) for i in range(len(x))]
    for emit in ("arrival", "watermark"):
        pipeline = EVENTS.sliding("200s", by="k", emit=emit).agg(**SUM)
        assert bits(totals(mt.collect(pipeline, table(at, x)).rows)) == bits(expected)


@with_data
def test_all_windows_over_the_same_rows_agree(x: list[float]) -> None:
    data = table([i * SECOND for i in range(len(x))], x)
    windows = [
        EVENTS.tumbling("1h", by="k"),
        EVENTS.hopping("1h", "1h", by="k"),
        EVENTS.session("1m", by="k"),
        EVENTS.sliding("1h", by="k"),
    ]
    last = [totals(mt.collect(window.agg(**SUM), data).rows)[-1] for window in windows]
    assert bits(last) == bits([math.fsum(x)] * len(windows))


@with_data
def test_hopping_sums_are_those_of_the_rows_in_the_window(x: list[float]) -> None:
    data = table([i * SECOND for i in range(len(x))], x)
    for row in (
        mt.collect(EVENTS.hopping("90s", "20s").agg(**SUM), data).rows.to_arrow().to_pylist()
    ):
        start, end = (int((row[f"window_{w}"] - EPOCH).total_seconds()) for w in ("start", "end"))
        assert row["total"].hex() == math.fsum(x[max(0, start) : end]).hex()


OUTLIERS = [
    [1e40, 1e20, 0.01],
    [1e20, 1e40, 0.01],
    [0.01, 1e20, 1e40, 0.5],
    [1.0, math.inf, 2.0],
    [math.inf, -math.inf, 1.0],
    [1.7e308, 1.7e308, 1.0],
    [1.7e308, 1.7e308, -1.7e308],
    [-1.7e308, -1.7e308, 5e-324],
    [0.1, 1e13, 0.2],
    [1e16, 1.0, -1e16],
    [5e-324, 1e308, 5e-324],
]


@pytest.mark.parametrize("x", OUTLIERS, ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_what_leaves_a_window_leaves_no_trace(x: list[float], size: int) -> None:
    x = [*x, 0.0, 0.25, 0.0, 0.1, 0.2]
    data = table([i * SECOND for i in range(len(x))], x)
    expected = [exact(x[max(0, i - size + 1) : i + 1]) for i in range(len(x))]
    pipeline = EVENTS.sliding(f"{size}s", by="k").agg(**SUM)
    assert bits(totals(mt.collect(pipeline, data).rows)) == bits(expected)


@pytest.mark.parametrize("x", OUTLIERS, ids=str)
def test_outliers_sum_the_same_in_any_order(x: list[float]) -> None:
    for seed in range(6):
        mixed = random.Random(seed).sample(x, len(x))
        got = totals(mt.collect(HOURS, table([0] * len(x), mixed)).rows)
        assert bits(got) == bits([exact(x)])


def test_a_mean_is_the_exact_sum_divided_once() -> None:
    x = wild(5)
    at = [i * SECOND for i in range(len(x))]
    pipeline = EVENTS.sliding("100s", by="k").agg(total=mt.mean("x"))
    rows = [x[max(0, i - 99) : i + 1] for i in range(len(x))]
    expected = [float(sum(map(Fraction, part)) / len(part)) for part in rows]
    got = totals(mt.collect(pipeline, table(at, x)).rows)
    assert all(math.isclose(g, e, rel_tol=1e-15) for g, e in zip(got, expected, strict=True))
