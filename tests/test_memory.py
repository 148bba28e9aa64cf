"""Memory: what has gone is forgotten, and nothing is forgotten that may still be asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin import _core

SECOND = 1_000_000
KEYS = 64 * 2 * _core.limits()["IDLE_KEYS_MAX"]
"""So many keys that every range holds more idle ones than it may."""

EVENTS = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "k": "i64"})
N = {"n": mt.count()}
COOLDOWN = mt.rule("seen", "k >= 0", by="k", cooldown="10s")


def windows(stream: Any = EVENTS) -> dict[str, Callable[[], Any]]:
    return {
        "tumbling": lambda: stream.tumbling("10s", by="k").agg(**N),
        "hopping": lambda: stream.hopping("10s", "5s", by="k").agg(**N),
        "session": lambda: stream.session("10s", by="k").agg(**N),
        "sliding": lambda: stream.sliding("10s", by="k").agg(**N),
        "silent": lambda: stream.silent(after="10s", by="k"),
    }


def generation(number: int) -> pa.Table:
    """Rows of keys that no other generation has, a minute behind the one before."""
    start = number * 60 * SECOND
    at = [start + i * SECOND // KEYS for i in range(KEYS)]
    keys = range(number * KEYS, (number + 1) * KEYS)
    return pa.table({"at": pa.array(at, pa.timestamp("us")), "k": pa.array(keys, pa.int64())})


def keys_held(op: mt.Operator) -> int:
    return max(each["keys"] for each in op.stats["operators"])


@pytest.mark.slow
@pytest.mark.parametrize("name", windows())
def test_keys_that_are_gone_are_forgotten(name: str) -> None:
    op = mt.operator(windows()[name]())
    for number in range(5):
        op.push(generation(number))
    assert KEYS <= keys_held(op) <= 2.5 * KEYS


@pytest.mark.slow
def test_cooldowns_that_are_over_are_forgotten() -> None:
    op = mt.operator(EVENTS.filter("k >= 0"), rules=[COOLDOWN])
    sizes = []
    for number in range(6):
        op.push(generation(number))
        sizes.append(len(op.snapshot()))
    assert sizes[-1] < 2.5 * sizes[0]


def test_rows_are_kept_for_as_long_as_a_late_one_may_ask() -> None:
    """One row a second for longer than any part of the log holds, then one from the beginning."""
    count = 3 * _core.limits()["LOG_SEGMENT"] + 50
    at = pa.array([i * SECOND for i in range(count)], pa.timestamp("us"))
    pipeline = EVENTS.sliding("10s", by="k", allowed_lateness=f"{count}s").agg(**N)
    op = mt.operator(pipeline)
    op.push(pa.table({"at": at, "k": pa.array([1] * count, pa.int64())}))
    row = pa.table({"at": at.slice(10, 1), "k": pa.array([1], pa.int64())})
    (answer,) = op.push(row).rows.to_dicts()
    assert answer["n"] == 10 + 1


def test_verbs_without_state_hold_no_memory() -> None:
    op = mt.operator(EVENTS.filter("k >= 0").with_columns(j="k + 1").select("k", "j"))
    op.push(generation(0))
    assert [(each["keys"], each["bytes"]) for each in op.stats["operators"][1:]] == [(0, 0)] * 3


@pytest.mark.parametrize("name", windows())
def test_the_memory_of_state_is_told_about_as_it_is(name: str) -> None:
    stream = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "k": "str"})
    op = mt.operator(windows(stream)[name]())
    names = [f"{i:0200}" for i in range(500)]
    at = pa.array(range(len(names)), pa.timestamp("us"))
    op.push(pa.table({"at": at, "k": names}))
    held = sum(each["bytes"] for each in op.stats["operators"])
    assert 500 * 200 < held < 50 * 500 * 200
