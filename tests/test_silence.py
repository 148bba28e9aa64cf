"""Silence on cases small enough to check by hand, for the reference machine and the engine alike.

Times in the timelines are seconds; `W` is the watermark after the row.
"""

from __future__ import annotations

from typing import Any

import pytest

from engine import Engine
from oracle import Feed, Machine, micros
from small_plans import at, plan, source
from strategies import S

SCHEMA = [["at", "timestamp[us]"], ["k", "str"]]


def seconds(value: object) -> float:
    """A time as seconds."""
    return micros(value) / S


def silent(after: float, **options: object) -> dict:
    """Silence by `k`."""
    node = {"op": "silent", "from": 0, "by": ["k"], "after": int(after * S), "known": None}
    return node | options


def silences(rows: list[dict]) -> list[tuple]:
    """(key, last, end) of silences."""
    return [(r["k"], seconds(r["window_start"]), seconds(r["window_end"])) for r in rows]


@pytest.fixture(params=[Machine, Engine])
def run(request: pytest.FixtureRequest) -> Any:
    """Makes what runs a verb: the reference machine, or the engine."""

    def made(node: dict, bound: int = 0, partitions: tuple[int, ...] = (0,)) -> Any:
        spec = plan(node, inputs=[source(out_of_order=bound, schema=SCHEMA)])
        return request.param(spec, {0: list(partitions)})

    return made


def test_silent(run: Any) -> None:
    # a  0 . . 3 . . . . . . . . . 14   silent once W > 13, that is by its own row at 14
    # b  0 . . . . . . . . . . 11       silent at W = 11 > 10, by its own row, and heard again
    # c                                 known: counts from the first W, 0
    m = run(silent(10, known=[["c"]]))
    m.step([Feed(0, [at(0, k="a"), at(0, k="b"), at(3, k="a")])])
    fired = m.step([Feed(0, [at(11, k="b")])]).outputs[0]
    assert sorted(silences(fired)) == [("b", 0, 10), ("c", 0, 10)]
    assert silences(m.step([Feed(0, [at(14, k="a")])]).outputs[0]) == [("a", 3, 13)]
    assert m.finish().outputs[0] == []


def test_the_silence_of_a_key_does_not_depend_on_other_keys(run: Any) -> None:
    # a  0 . . . . 20 . . . 40      with b in between or without: silent after 0 and after 20
    for others in ([], [11, 12, 31]):
        m = run(silent(10))
        times = sorted([(t, "a") for t in (0, 20, 40)] + [(t, "b") for t in others])
        rows = m.step([Feed(0, [at(t, k=k) for t, k in times])]).outputs[0]
        assert [s for s in silences(rows) if s[0] == "a"] == [("a", 0, 10), ("a", 20, 30)]


def test_a_row_out_of_order_counts_as_heard_at_its_own_time(run: Any) -> None:
    # a  0 . 20 . 9       W = 10 when 9 comes: heard in time, so silent only after 9
    m = run(silent(10), bound=10 * S)
    assert m.step([Feed(0, [at(0, k="a"), at(20, k="a"), at(9, k="a")])]).outputs[0] == []
    assert silences(m.step([Feed(0, [at(30, k="a")])]).outputs[0]) == [("a", 9, 19)]


def test_time_does_not_pass_at_the_end_of_the_data(run: Any) -> None:
    # a  0 . . . b 12 . c 15         out of order by 10: W = 5, but event time had come to 15
    m = run(silent(10), bound=10 * S)
    rows = [at(0, k="a"), at(12, k="b"), at(15, k="c")]
    assert m.step([Feed(0, rows)]).outputs[0] == []
    assert silences(m.finish().outputs[0]) == [("a", 0, 10)]


def test_a_silence_repeats_while_it_lasts(run: Any) -> None:
    # a  0   after 10: at 10, then each 5: 15, 20; heard at 22, so not at 25
    m = run(silent(10, every=5 * S))
    assert m.step([Feed(0, [at(0, k="a"), at(10, k="b")])]).outputs[0] == []
    told = m.step([Feed(0, [at(16, k="b"), at(16, k="b")])]).outputs[0]
    assert silences(told) == [("a", 0, 10), ("a", 0, 15)]
    told = m.step([Feed(0, [at(22, k="a"), at(26, k="b")])]).outputs[0]
    assert silences(told) == [("a", 0, 20)]


def test_repeats_that_fall_due_at_once_are_bounded_and_counted(run: Any) -> None:
    # a  0 . b 1011    a: 10, then 1001 repeats from 11 to 1010 and the last 100 of these
    m = run(silent(10, every=S))
    out = m.step([Feed(0, [at(0, k="a"), at(1011, k="b")])])
    told = silences(out.outputs[0])
    assert told == [("a", 0, 10), *(("a", 0, end) for end in range(911, 1011))]
    assert [(r["reason"], r["windows"]) for r in out.invalid[0]] == [("repeats_skipped", 900)]
    assert silences(m.step([Feed(0, [at(1012, k="b")])]).outputs[0]) == [("a", 0, 1011)]


def test_a_known_key_that_was_heard_before_the_clock_moved_is_silent_once(run: Any) -> None:
    # a  0 . b 20    W moves at once to 20, when partition 1 is heard: a was silent at 10, and
    # c              which was never heard, counts from 20
    m = run(silent(10, known=[["a"], ["c"]]), partitions=(0, 1))
    m.step([Feed(0, [at(0, k="a"), at(20, k="b")], 0)])
    told = m.step([Feed(0, [at(20, k="b")], 1)]).outputs[0]
    assert silences(told) == [("a", 0, 10)]
    later = [Feed(0, [at(31, k="b")], partition) for partition in (0, 1)]
    assert sorted(silences(m.step(later).outputs[0])) == [("b", 20, 30), ("c", 20, 30)]
