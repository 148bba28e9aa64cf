"""Sessions and silence on streams with much disorder: what a row may join, what never is."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import muntin as mt
from engine import Engine, comparable
from oracle import Feed, Machine
from plans import S
from small_plans import at, check_identity, plan, session, source, tumbling
from strategies import alone, joined, play

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
SCHEMA = [["at", "timestamp[us]"], ["k", "i64"]]
START = datetime(2024, 1, 1, tzinfo=UTC)


@st.composite
def chains(draw: st.DrawFn) -> tuple[dict, list]:
    """A plan with one session, and rows that run back and forth in time in small steps."""
    gap, lateness = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    inputs = [source(schema=SCHEMA, out_of_order=draw(st.integers(0, 8)) * S)]
    closed = draw(st.booleans(), label="gap closed")
    node = session(gap, by=["k"], allowed_lateness=lateness * S, gap_closed=closed)
    now, rows = 0, []
    steps = st.sampled_from([-1, -1, -2, -3, -4, -5, 0, 1, 2, 5, 9, 14, 30])
    for _ in range(draw(st.integers(1, 40))):
        now += draw(steps)
        rows.append((draw(st.integers(0, 1)), at(now, k=draw(st.integers(1, 2)))))
    partitions = draw(st.integers(1, 2), label="partitions")
    feeds = [Feed(0, [row], min(part, partitions - 1)) for part, row in rows]
    return plan(node, inputs=inputs), [("step", feeds, "given"), ("finish", None, None)]


@CALM
@given(chain=chains())
def test_two_sessions_of_a_key_never_overlap_and_every_row_is_in_one_or_late(chain: tuple) -> None:
    plan, ops = chain
    machine, engine = Machine(plan, {0: [0, 1]}), Engine(plan, {0: [0, 1]})
    want, got = joined(play(machine, ops)), joined(play(engine, alone(ops)))
    assert comparable(got, plan, [{}]) == comparable(want, plan, [{}])
    check_identity(machine)
    sessions: dict[Any, list] = defaultdict(list)
    for row in got.outputs[0]:
        sessions[row["k"]].append((row["window_start"], row["window_end"], row["n"]))
    rows = sum(len(feed.rows) for op in ops if op[0] == "step" for feed in op[1])
    assert sum(n for of in sessions.values() for *_, n in of) + len(got.late[0]) == rows
    closed = plan["nodes"][1]["gap_closed"]
    for of in sessions.values():
        of.sort()
        for (_, end, _), (start, *_) in pairwise(of):
            assert end < start or (end == start and not closed)


def rows_at(*told: tuple[float, str]) -> pa.Table:
    """Rows at seconds."""
    times = [START + timedelta(seconds=second) for second, _ in told]
    return pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "k": [k for _, k in told]})


def silent(**options: Any) -> mt.Stream:
    return mt.stream(time="at", out_of_order="5s").silent("10s", by="k", **options)


def told(result: mt.Result) -> list[tuple]:
    """(key, last, end) of silences, in seconds."""

    def second(value: datetime) -> float:
        return (value - START).total_seconds()

    rows = result.rows.to_dicts()
    return [(r["k"], second(r["last_event_time"]), second(r["window_end"])) for r in rows]


def test_the_keys_own_next_row_ends_a_silence_that_is_told_first() -> None:
    op = mt.operator(silent())
    assert told(op.push(rows_at((0, "a"), (14, "a")))) == []
    assert told(op.push(rows_at((16, "a")))) == [("a", 0, 10)]
    assert told(op.finish()) == []


def test_finish_tells_silences_that_event_time_had_passed_and_no_others() -> None:
    op = mt.operator(silent())
    assert told(op.push(rows_at((0, "a"), (11, "b")))) == []
    assert told(op.finish()) == [("a", 0, 10)]


def test_repeats_go_on_behind_a_snapshot() -> None:
    pipeline = silent(every="10s")
    op = mt.operator(pipeline)
    assert told(op.push(rows_at((0, "a"), (26, "b")))) == [("a", 0, 10), ("a", 0, 20)]
    op = mt.operator(pipeline, snapshot=op.snapshot())
    assert told(op.push(rows_at((36, "b")))) == [("a", 0, 30)]
    assert told(op.push(rows_at((37, "a"), (46, "b")))) == []


def test_a_clock_that_jumps_by_a_year_tells_a_bounded_number_of_repeats() -> None:
    op = mt.operator(silent(every="1s"))
    out = op.push(rows_at((0, "a"), (366 * 86400, "b")))
    assert len(out.rows) == 101
    (record,) = out.invalid.to_dicts()
    assert record["reason"] == "repeats_skipped"
    assert record["windows"] == 366 * 86400 - 16 - 100


def test_a_known_key_is_silent_since_the_first_clock_and_not_since_ever() -> None:
    stream = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "k": "str"})
    silences = stream.silent(after="10s", by="k", known=["a", "b"])
    start = datetime(2024, 1, 1)
    told = mt.operator(silences).push(
        [{"at": start + timedelta(seconds=s), "k": k} for s, k in [(0, "a"), (5, "a"), (30, "c")]]
    )
    lasts = {(r["k"], r["last_event_time"]) for r in told.rows.to_dicts()}
    assert lasts == {("b", start), ("a", start + timedelta(seconds=5))}
    assert len(told.rows) == 2


def test_rows_far_behind_join_no_session_of_a_key_that_may_have_been_forgotten() -> None:
    """A key that nothing is known of may have had sessions, up to four gaps behind the clock."""
    stream = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "k": "i64"})
    op = mt.operator(stream.session("1s", by="k").agg(n=mt.count()))
    second, start = 1_000_000, datetime(2024, 1, 1)
    reach, clock = second, 100 * second  # rows one gap away share a session
    floor = clock - 4 * reach - 1
    back = [clock, clock - reach, clock - 2 * reach, floor + reach + 1, floor + reach]
    given = [(2, clock), *((1, at) for at in back)]
    late = op.push([{"at": start + timedelta(microseconds=at), "k": k} for k, at in given]).late
    assert [(r["at"], r["reason"]) for r in late.to_dicts()] == [
        (start + timedelta(microseconds=floor + reach), "session_closed")
    ]


KEYED = [["at", "timestamp[us]"], ["k", "str"], ["v", "i64"]]


@pytest.mark.parametrize("verb", ["silent", "session", "tumbling"])
def test_records_about_fired_rows_come_in_their_order(verb: str) -> None:
    """By what closed the window, its end, its start, as the rows do; whatever a key's range is."""
    highest = {"name": "sum", "kind": "sum", "args": [{"col": "v"}], "where": None}
    node = {
        "silent": {"op": "silent", "from": 0, "by": ["k"], "after": 2 * S, "every": S},
        "session": session(2, by=["k"], aggregates=[highest]),
        "tumbling": tumbling(5, by=("k",), aggregates=[highest]),
    }[verb]
    whole = plan(node, inputs=[source(schema=KEYED, out_of_order=20 * S)])
    seconds = [3, 17, 1, 12, 5, 9, 19, 15]
    rows = [at(s, k=f"key {i % 6}", v=2**62) for i, s in enumerate(seconds) for _ in range(2)]
    rows.append(at(500, k="other", v=0))
    want = Machine(whole, {0: [0]}).step([Feed(0, rows)])
    told = [(r["window_end"], r["window_start"]) for r in want.invalid[0]]
    assert told == sorted(told)
    assert len(told) >= 6
    for threads, cut in ((1, len(rows)), (3, 1), (2, 5)):
        engine, got = Engine(whole, {0: [0]}, threads=threads), []
        for start in range(0, len(rows), cut):
            got.append(engine.step([Feed(0, rows[start : start + cut])]))
            engine = engine.restored()
        assert comparable(joined(got), whole) == comparable(want, whole)
