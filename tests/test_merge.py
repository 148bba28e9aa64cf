"""Merging by time: where rows without a time stand, and that nothing of it shows in results."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.values import order

US = pa.timestamp("us")
WORDS = {"at": "timestamp[us]", "v": "i64"}


def table(at: list[int | None]) -> pa.Table:
    return pa.table({"at": pa.array(at, US), "v": pa.array(range(len(at)), pa.int64())})


@pytest.mark.parametrize("at", [[3, None, 1, None], [None, 3, 1], [1, 3, None], [None, None, 2]])
def test_rows_without_a_time_come_first_in_their_order(at: list[int | None]) -> None:
    rows = table(at)
    ordered, times, moved = order.sorted_by_time(rows, order.micros(rows["at"].chunk(0)))
    nulls = [i for i, time in enumerate(at) if time is None]
    known = sorted((i for i, time in enumerate(at) if time is not None), key=lambda i: at[i])
    assert ordered["v"].to_pylist() == nulls + known
    assert times.to_pylist() == [at[i] for i in nulls + known]
    assert (moved is None) == (nulls + known == list(range(len(at))))


@pytest.mark.parametrize(
    ("at", "is_sorted"),
    [([None, 1, 1, 2], True), ([1, None], False), ([2, 1], False), ([None], True), ([], True)],
)
def test_null_times_first_is_sorted(at: list[int | None], is_sorted: bool) -> None:
    assert order.is_sorted(pa.array(at, pa.int64())) == is_sorted


def test_rows_without_a_time_are_told_before_those_they_came_with() -> None:
    """Two finished inputs: the order in which the engine sees the rows is the one of `invalid`."""
    a, b = (mt.stream(name, time="at", out_of_order="0s", schema=WORDS) for name in "ab")
    data: dict[str, Any] = {"a": table([5, None, 1]), "b": table([None, 2, None])}
    result = mt.collect(mt.union(a, b, tag="of"), data)
    assert [(r["of"], r["v"]) for r in result.rows.to_dicts()] == [("a", 2), ("b", 1), ("a", 0)]
    assert [r["v"] for r in result.invalid["a"].to_dicts()] == [1]
    assert [r["v"] for r in result.invalid["b"].to_dicts()] == [0, 2]
    assert [r["reason"] for r in result.invalid["b"].to_dicts()] == ["null_time"] * 2


@pytest.mark.parametrize("floor", [-100, 0, 4])
def test_the_place_in_a_merge_never_falls(floor: int) -> None:
    times = [None, 3, None, 1, 7, None]
    assert order.rising(pa.array(times, pa.int64()), floor).to_pylist() == [
        max([floor, *(t for t in times[: i + 1] if t is not None)]) for i in range(len(times))
    ]
