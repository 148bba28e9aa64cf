"""Rows near either end of time: each fires, is late or is invalid, whatever the window."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import muntin as mt
from engine import Engine, comparable
from oracle import Feed, Machine
from small_plans import (
    check_identity,
    deduplicate,
    hopping,
    plan,
    previous,
    session,
    sliding,
    source,
    tumbling,
)
from strategies import alone, joined, play

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
SCHEMA = [["at", "timestamp[us]"], ["k", "i64"], ["v", "i64"]]
I64_MIN, I64_MAX = -(2**63), 2**63 - 1
DAY_US = 86_400_000_000
SPANS = [1, 2, 7, 10**6, DAY_US, 2**40, 2**61, 2**62, 2**63 - 1]


@st.composite
def times(draw: st.DrawFn) -> int:
    """A time at an end, near one, or anywhere."""
    edge = draw(st.sampled_from([I64_MIN, I64_MAX, 0, I64_MIN // 2, I64_MAX // 2]))
    near = draw(st.sampled_from([*range(-4, 5), *(s * d for s in SPANS for d in (-1, 1))]))
    return min(max(edge + near, I64_MIN), I64_MAX)


@st.composite
def windows(draw: st.DrawFn) -> dict:
    """A plan with one verb of any kind, of a tiny or a huge size."""
    span = st.sampled_from(SPANS)
    size, offset = draw(span), draw(st.sampled_from([0, 1, -1, 5, *SPANS]))
    lateness = draw(st.sampled_from([0, 0, 3, *SPANS]))
    aligned = {"size": size, "offset": offset, "by": ["k"], "allowed_lateness": lateness}
    aligned |= {"revisions": draw(st.booleans()), "emit": draw(st.sampled_from(["final", "each"]))}
    every = max(1, size // draw(st.sampled_from([1, 2, 3])))
    closed = draw(st.sampled_from(["right", "left", "both", "none"]))
    again = draw(st.sampled_from([None, 2**55, 2**61]))
    node = draw(
        st.sampled_from(
            [
                tumbling(1) | aligned,
                hopping(1, 1) | aligned | {"every": every},
                hopping(1, 1) | aligned | {"every": every, "emit": "changed"},
                session(1, by=["k"]) | {"gap": size, "allowed_lateness": lateness},
                session(1, by=["k"], gap_closed=False) | {"gap": max(size, 2)},
                sliding(1) | {"sizes": [size], "closed": closed, "allowed_lateness": lateness},
                sliding(1) | {"sizes": [size], "emit": "watermark"},
                {"op": "silent", "from": 0, "by": ["k"], "after": size, "known": [[3]]}
                | ({} if again is None else {"every": again}),
                previous(),
                previous(1) | {"ago": size},
                deduplicate(1) | {"within": size},
            ]
        )
    )
    bound = draw(st.sampled_from([0, 0, 3, *SPANS]))
    skew = draw(st.sampled_from([None, None, 0, DAY_US]))
    return plan(node, inputs=[source(schema=SCHEMA, out_of_order=bound, max_future_skew=skew)])


@st.composite
def operations(draw: st.DrawFn) -> list:
    """Rows in one or several steps, perhaps a watermark between them, and the end."""
    ops: list[Any] = []
    arrival = st.one_of(st.none(), times().map(lambda us: max(us, I64_MIN + 1)))  # else unknown
    for _ in range(draw(st.integers(1, 6))):
        row = {"at": draw(times()), "k": draw(st.integers(1, 2)), "v": 1}
        ops.append(("step", [Feed(0, [row], 0, None, draw(arrival))], "given"))
        if draw(st.integers(0, 5)) == 0:
            ops.append(("advance", 0, None, min(draw(times()), I64_MAX - 1)))
    return [*ops, ("finish", None, None)]


@CALM
@given(plan=windows(), ops=operations())
def test_the_engine_equals_the_machine_at_the_ends_of_time(plan: dict, ops: list) -> None:
    machine, engine = Machine(plan, {0: [0]}), Engine(plan, {0: [0]})
    want, got = joined(play(machine, ops)), joined(play(engine, alone(ops)))
    assert comparable(got, plan, [{}]) == comparable(want, plan, [{}])
    check_identity(machine)
    for counters in engine.stats["operators"]:
        parts = ("counted", "late", "invalid", "filtered", "in_gap")
        assert counters["rows_in"] == sum(counters[part] for part in parts)
    node = plan["nodes"][1]
    counted = engine.stats["operators"][1]["counted"]
    if node["op"] == "session" or (node["op"] == "tumbling" and node["emit"] == "final"):
        revised = node["allowed_lateness"] and node.get("revisions", False)
        if not revised:
            assert sum(row["n"] for row in got.outputs[0]) == counted
    if node["op"] == "sliding":
        taken = counted + engine.stats["operators"][1]["late"] * (node["emit"] == "arrival")
        assert len(got.outputs[0]) == taken
    if node["op"] in ("previous", "deduplicate"):
        taken = counted + engine.stats["operators"][1]["late"] * (node["op"] == "previous")
        assert len(got.outputs[0]) == taken


@pytest.mark.parametrize("emit", ["arrival", "watermark"])
def test_a_late_row_of_a_window_that_begins_before_all_time_is_recorded(emit: str) -> None:
    node = sliding(1) | {"sizes": [2**62], "emit": emit}
    spec = plan(node, inputs=[source(schema=SCHEMA, out_of_order=0)])
    engine = Engine(spec, {0: [0]})
    early = -(2**62) - 4
    records = []
    for time in (I64_MAX - 4, early):
        feed = Feed(0, [{"at": time, "k": 1, "v": 1}], 0, None, None)
        records += engine.step([feed], order="given").late[0]
    begins = I64_MIN if emit == "watermark" else I64_MAX - 4 - 2**62
    assert [(r["window_start"], r["reason"]) for r in records] == [(begins, "late")]


UNITS = {"s": 10**6, "ms": 10**3, "us": 1}
DATE_EDGES = [0, 1, -1, 106_751_991, 106_751_992, -106_751_991, -106_751_993, 2**31 - 1, -(2**31)]
EDGES = [0, I64_MIN, I64_MIN + 1, I64_MAX, I64_MAX - 1, *(s * d for s in SPANS for d in (1, -1))]
TYPES = {
    "s": pa.timestamp("s"),
    "ms": pa.timestamp("ms", "UTC"),
    "us": pa.timestamp("us", "Europe/Berlin"),
    "ns": pa.timestamp("ns", "UTC"),
    "date32": pa.date32(),
    "date64": pa.date64(),
}


def in_micros(word: str, value: int) -> int:
    """A value of a time column in microseconds."""
    if word == "ns":
        return value // 1000
    if word == "date32":
        return value * DAY_US
    return value * (1000 if word == "date64" else UNITS[word])


@pytest.mark.parametrize("order", ["time", "given"])
@pytest.mark.parametrize("word", TYPES)
def test_times_of_any_unit_count_or_are_invalid(word: str, order: Any) -> None:
    values = DATE_EDGES if word.startswith("date") else EDGES
    if word == "date64":
        values = [day * 86_400_000 for day in DATE_EDGES]
    kind = pa.int32() if word == "date32" else pa.int64()
    column = pa.array(values, kind).view(TYPES[word])
    table = pa.table({"at": column, "k": range(len(values))})
    minute = 60 * 10**6
    expected, invalid = set(), set()
    for key, value in enumerate(values):
        time = in_micros(word, value)
        start = time // minute * minute
        inside = I64_MIN < time < I64_MAX and start >= I64_MIN and start + minute <= I64_MAX
        (expected if inside else invalid).add((key, start) if inside else key)
    pipeline = mt.stream(time="at", out_of_order=dt.timedelta(days=10**8), max_future_skew=None)
    got = mt.collect(pipeline.tumbling("1m", by="k").agg(n=mt.count()), table, order=order)
    rows = got.rows.to_arrow()
    starts = rows["window_start"].cast(pa.int64()).to_pylist()
    found = set(zip(rows["k"].to_pylist(), starts, strict=True))
    late = set(got.late.to_arrow()["k"].to_pylist()) if len(got.late) else set()
    assert found == {each for each in expected if each[0] not in late}
    assert set(got.invalid.to_arrow()["k"].to_pylist()) == invalid
    assert set(got.invalid.to_arrow()["reason"].to_pylist()) <= {
        "time_out_of_range",
        "window_out_of_range",
    }


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_an_epoch_that_overflows_is_invalid(unit: str) -> None:
    table = pa.table({"at": pa.array([0, 2**62, -(2**62), I64_MAX, I64_MIN], pa.int64())})
    pipeline = mt.stream(time=mt.epoch(unit, "at"), out_of_order="0s", max_future_skew=None)
    got = mt.collect(pipeline.tumbling("1m").agg(n=mt.count()), table, order="given")
    counted = sum(row for row in got.rows.to_arrow()["n"].to_pylist())
    assert counted + len(got.late) + len(got.invalid) == 5
