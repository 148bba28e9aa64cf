"""Windows for which rows come late: order, revisions, what a key has seen before; counters."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from oracle import key_range

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str"}
EVENTS = mt.stream("events", time="at", out_of_order="0s", schema=WORDS)
N = {"n": mt.count()}


def rows(*given: tuple[float, str]) -> pa.RecordBatch:
    at = pa.array([START + dt.timedelta(seconds=second) for second, _ in given])
    return pa.record_batch({"at": at.cast(pa.timestamp("us", "UTC")), "k": [k for _, k in given]})


def told(fired: mt.Table, *more: str) -> list[tuple[Any, ...]]:
    """End, key and count of each row, and the columns asked for."""
    return [
        ((r["window_end"] - START).total_seconds(), r["k"], r["n"], *(r[name] for name in more))
        for r in fired.to_dicts()
    ]


def test_keys_of_a_window_are_in_order_of_arrival_whichever_windows_took_their_rows() -> None:
    """Of two partitions: the row of `b` is late for the first of its windows, not that of `a`."""
    near = (k for k in map(str, range(1000)) if key_range((k,)) == key_range(("0",)))
    z, x, b, a = (next(near) for _ in range(4))
    hops = EVENTS.hopping("20s", every="10s", by="k").agg(**N)
    op = mt.operator(hops, partitions=(1, 2))
    given = rows((1, z), (12, x), (5, b), (6, a))
    fired = told(op.step([mt.Feed(None, given, pa.array([2, 1, 1, 2]))]).rows)
    fired += told(op.advance(START + dt.timedelta(seconds=20), partition=None).rows)
    assert fired == [(10, z, 1), (10, a, 1), (20, z, 1), (20, b, 1), (20, a, 1), (20, x, 1)]


def test_a_row_of_the_next_window_is_no_earlier_firing_of_this_one() -> None:
    tens = EVENTS.tumbling("10s", by="k", allowed_lateness="30s").agg(**N)
    op = mt.operator(tens)
    op.push(rows((1, "b"), (10, "a")))
    assert told(op.push(rows((5, "a"))).rows, "revision") == [(10, "a", 1, 0)]
    assert told(op.push(rows((6, "a"))).rows, "revision") == [(10, "a", 2, 1)]


def test_a_window_that_another_key_closes_holds_the_rows_of_its_batch() -> None:
    a, b = next(("a", k) for k in "bcdefgh" if key_range((k,)) != key_range(("a",)))
    tens = EVENTS.tumbling("10s", by="k", allowed_lateness="30s").agg(**N)
    fired = mt.operator(tens).push(rows((1, a), (11, b), (2, a))).rows
    assert told(fired, "revision") == [(10, a, 1, 0), (10, a, 2, 1)]


VERBS: dict[str, Any] = {
    "tumbling": lambda s: s.tumbling("10s"),
    "session": lambda s: s.session("10s"),
    "sliding": lambda s: s.sliding("10s"),
    "waiting": lambda s: s.sliding("10s", emit="watermark"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_values_that_are_no_numbers_are_counted_in_every_step(verb: str) -> None:
    stream = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "v": "f64"})
    op = mt.operator(VERBS[verb](stream).agg(total=mt.sum("v")))
    for second, values in enumerate([[math.nan, 1.0], [2.0], [math.nan, math.nan]]):
        op.push([{"at": dt.datetime(2024, 5, 1, 10, 0, second), "v": v} for v in values])
    assert op.stats["operators"][-1]["nan"] == 3
