"""The reference machine on cases small enough to check by hand, and its own laws.

Times in the timelines are seconds; `W` is the watermark after the row.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle import Feed, Machine, key_range, micros, stamp
from small_plans import (
    at,
    check_identity,
    hopping,
    machine,
    plan,
    session,
    sliding,
    source,
    tumbling,
)
from strategies import Case, S, alone, cases, joined, play, recut


def seconds(value: object) -> float | None:
    """A time as seconds."""
    return None if value is None else micros(value) / S


def windows(rows: list[dict]) -> list[tuple]:
    """(start, end, n) of fired rows, with the revision where there is one."""
    more = [("revision",) if "revision" in row else () for row in rows]
    return [
        (seconds(r["window_start"]), seconds(r["window_end"]), r["n"], *(r[m] for m in extra))
        for r, extra in zip(rows, more, strict=True)
    ]


def push(m: Machine, *times: float, partition: int = 0) -> list[tuple]:
    """Steps rows at those seconds; the fired windows."""
    return windows(m.step([Feed(0, [at(t) for t in times], partition)]).outputs[0])


# ── watermark and lateness ──────────────────────────────────────────────────────────────────────


def test_a_window_closes_when_w_reaches_its_end() -> None:
    # rows  1  9  10        [0, 10) closes at W = 10; a row at W itself is on time
    m = machine(plan(tumbling(10)))
    assert push(m, 1, 9) == []
    assert push(m, 10) == [(0, 10, 2)]
    assert push(m, 10, 20) == [(10, 20, 2)]
    assert windows(m.finish().outputs[0]) == [(20, 30, 1)]


def test_negative_times_are_ordinary() -> None:
    # rows  -11 -10 -1  0        floor division: [-20, -10) [-10, 0) [0, 10)
    m = machine(plan(tumbling(10)))
    assert push(m, -11, -10, -1, 0) == [(-20, -10, 1), (-10, 0, 2)]
    moved = machine(plan(tumbling(10, offset=3 * S)))
    assert push(moved, -8, 3) == [(-17, -7, 1)]


def test_late_is_judged_by_the_own_partition() -> None:
    # partition 0:  1  12   3          W0 = 12 when 3 arrives: late, though partition 1 is at -inf
    # partition 1:            2        W1 = 2: on time, its window [0, 10) is still open
    m = machine(plan(tumbling(10)), partitions=2)
    out = m.step([Feed(0, [at(1), at(12), at(3)], 0)])
    late = out.late[0]
    assert [(r["reason"], seconds(r["window_end"]), r["late_by"]) for r in late] == [
        ("late", 10, 2 * S)
    ]
    assert (late[0]["partition"], late[0]["position"], late[0]["at"]) == (0, 2, stamp(3 * S))
    assert push(m, 2, partition=1) == []
    assert push(m, 13, partition=1) == [(0, 10, 2)]
    check_identity(m)


def test_a_row_behind_w_counts_while_its_window_is_open() -> None:
    m = machine(plan(tumbling(10)))
    assert push(m, 8, 1, 10) == [(0, 10, 2)]


def test_what_was_fired_is_closed_for_a_partition_that_wakes() -> None:
    # partition 0:  1        12                 fires [0, 10) once 1 is idle
    # partition 1:     idle       2  11         on time for its partition, but its window is gone
    m = machine(plan(tumbling(10)), partitions=2)
    push(m, 1)
    assert windows(m.idle(0, 1).outputs[0]) == []
    assert push(m, 12) == [(0, 10, 1)]
    out = m.step([Feed(0, [at(2), at(11)], 1)])
    assert [r["late_by"] for r in out.late[0]] == [2 * S]
    assert push(m, 20) == []  # partition 1 is awake and holds the clock at 11
    assert windows(m.finish(0, 1).outputs[0]) == [(10, 20, 2)]
    check_identity(m)


def test_the_clock_stays_while_all_are_idle_and_moves_by_an_advance_of_all() -> None:
    m = machine(plan(tumbling(10)), partitions=2)
    push(m, 9)
    push(m, 9, partition=1)
    m.idle(0, None)
    assert windows(m.advance(0, 0, 11 * S).outputs[0]) == []
    assert windows(m.advance(0, None, 10 * S).outputs[0]) == [(0, 10, 2)]


def test_the_end_of_a_partition_fires_nothing_that_an_idle_one_may_still_send() -> None:
    m = machine(plan(tumbling(10)), partitions=2)
    push(m, 1)
    m.idle(0, 1)
    assert windows(m.finish(0, 0).outputs[0]) == []
    assert push(m, 2, 10, partition=1) == [(0, 10, 2)]


def test_open_starts_at_the_present_clock() -> None:
    m = machine(plan(tumbling(10)))
    push(m, 5)
    m.open(0, 7)
    assert push(m, 15) == []
    assert push(m, 12, partition=7) == [(0, 10, 1)]
    out = m.step([Feed(0, [at(99)], partition=3)])
    told = [(r["reason"], r["partition"], r["position"]) for r in out.invalid[0]]
    assert told == [("undeclared_partition", 3, None)]
    assert m.watermark == 12 * S
    check_identity(m)


def test_rows_without_a_usable_time_are_invalid() -> None:
    m = machine(plan(tumbling(10), inputs=[source(max_future_skew=5 * S)]))
    feed = Feed(0, [{"at": None}, at(1), at(90)], arrival=[0, 2 * S, 3 * S])
    assert [r["reason"] for r in m.step([feed]).invalid[0]] == ["null_time", "future"]
    assert m.watermark == 1 * S
    check_identity(m)


def test_times_beyond_64_bits_are_invalid() -> None:
    clock = {"fn": "epoch_s", "args": [{"col": "at"}]}
    m = machine(plan(tumbling(10), inputs=[source(time=clock)]))
    out = m.step([Feed(0, [{"at": 10**15}, {"at": 2**63 // S}, {"at": 3}])])
    assert [r["reason"] for r in out.invalid[0]] == ["time_out_of_range", "window_out_of_range"]
    assert m.stats[1]["late"] == 1


def test_order_of_a_step() -> None:
    feeds = [Feed(0, [at(3, v=1), at(1, v=2)], 0, arrival=[5, 6]), Feed(0, [at(2, v=3)], 1, 0, 5)]
    seen = {}
    for order in ("given", "time", "arrival"):
        out = machine(plan(), partitions=2).step(feeds, order)
        seen[order] = [r["v"] for r in out.outputs[0]]
    assert seen == {"given": [1, 2, 3], "time": [2, 3, 1], "arrival": [1, 3, 2]}


# ── aligned windows ─────────────────────────────────────────────────────────────────────────────


def test_revisions() -> None:
    # rows  1   10      2       3        17     4
    # W     1   10      10      10       17     17      L = 7: [0, 10) accepts until W = 17
    # fires     rev 0   rev 1   rev 2           late
    m = machine(plan(tumbling(10, allowed_lateness=7 * S)))
    assert push(m, 1, 10) == [(0, 10, 1, 0)]
    assert push(m, 2, 3) == [(0, 10, 2, 1), (0, 10, 3, 2)]
    out = m.step([Feed(0, [at(17), at(4)])])
    assert [r["late_by"] for r in out.late[0]] == [0]
    check_identity(m)


def test_a_key_that_comes_only_after_the_close_starts_at_revision_0() -> None:
    m = machine(plan(tumbling(10, by=("k",), allowed_lateness=7 * S)))
    m.step([Feed(0, [at(1, k="a"), at(10, k="a")])])
    rows = m.step([Feed(0, [at(2, k="b"), at(3, k="b")])]).outputs[0]
    assert [(r["k"], r["n"], r["revision"]) for r in rows] == [("b", 1, 0), ("b", 2, 1)]


def test_without_revisions_a_window_fires_once_when_nothing_can_be_late() -> None:
    m = machine(plan(tumbling(10, allowed_lateness=7 * S, revisions=False)))
    assert push(m, 1, 10, 2, 16) == []
    assert push(m, 17) == [(0, 10, 2)]


def test_a_row_late_for_some_windows_counts_in_the_others() -> None:
    # size 20 every 10, W = 21 when 15 arrives: late for [0, 20), counts in [10, 30)
    #  0        10        20        30
    #  |---- 5 ------ 15 ---|            fired at 20 with one row: the side pane is not in it
    #            |--- 15 -- 21 ---|
    m = machine(plan(hopping(20, 10)))
    assert push(m, 5, 21) == [(-10, 10, 1), (0, 20, 1)]
    late = m.step([Feed(0, [at(15)])]).late[0]
    assert [(r["reason"], seconds(r["window_end"]), r["windows"]) for r in late] == [
        ("late_window", 20, 1)
    ]
    assert push(m, 30) == [(10, 30, 2)]
    assert (m.stats[1]["counted"], m.stats[1]["late_windows"]) == (4, 1)
    check_identity(m)


def test_gaps_between_windows() -> None:
    m = machine(plan(hopping(1, 10, allow_gaps=True)))
    assert push(m, 0, 5, 10) == [(0, 1, 1)]
    assert m.stats[1]["in_gap"] == 1
    check_identity(m)


def test_hopping_orders_keys_pane_by_pane() -> None:
    # pane 0:  b5 a6 c1        c came first of all, but into pane 1: in pane 0 it is the last
    # pane 1:  c12
    a, b, c = [k for k in range(400) if key_range((k,)) == key_range((0,))][:3]
    m = machine(plan(hopping(20, 10, by=["k"])))
    rows = [at(12, k=c), at(5, k=b), at(6, k=a), at(1, k=c), at(20, k=a)]
    fired = [r for r in m.step([Feed(0, rows)]).outputs[0] if seconds(r["window_end"]) == 20]
    assert [(r["k"], r["n"]) for r in fired] == [(b, 1), (a, 1), (c, 2)]


def test_each_fires_every_running_value() -> None:
    m = machine(plan(tumbling(10, emit="each")))
    assert push(m, 1, 2, 12) == [(0, 10, 1, 0), (0, 10, 2, 1), (10, 20, 1, 0)]
    m = machine(plan(hopping(20, 10, emit="each")))
    assert push(m, 1, 2) == [(-10, 10, 1, 0), (0, 20, 1, 0), (-10, 10, 2, 1), (0, 20, 2, 1)]


def test_emit_every_fires_what_changed_at_each_step_of_time() -> None:
    # rows  1    4     11          14     35
    # W     1    4     11          14     35
    # fires      5?no  10: n = 2   -      30: greatest multiple; the close comes with it
    m = machine(plan(tumbling(30, emit_every=5 * S)))
    assert push(m, 1, 4) == [(0, 30, 1, 0)]  # W = 1 reaches the multiple 0 for the first time
    assert push(m, 11) == [(0, 30, 3, 1)]
    assert push(m, 14) == []
    assert push(m, 35) == [(0, 30, 4, 2), (30, 60, 1, 0)]


def test_changed_is_silent_while_the_same_rows_are_in() -> None:
    # row 15 lies in [0,20) [10,30) with size 20; every window that gains or loses it is fired
    m = machine(plan(hopping(30, 10, emit="changed")))
    assert push(m, 15) == []
    assert windows(m.finish().outputs[0]) == [(-10, 20, 1)]
    m = machine(plan(hopping(30, 10, emit="changed")))
    push(m, 15, 21)
    assert windows(m.finish().outputs[0]) == [(0, 30, 2), (20, 50, 1)]


# ── sessions, silent ────────────────────────────────────────────────────────────────────────────


def test_sessions_merge_and_close_behind_the_gap() -> None:
    # rows  0  8  4       gap 5: 4 joins both; open at W = 13 = last + gap, closed at 14
    m = machine(plan(session(5), inputs=[source(out_of_order=8 * S)]))
    assert push(m, 0, 8, 4, 21) == []
    rows = m.step([Feed(0, [at(22)])]).outputs[0]
    assert windows(rows) == [(0, 13, 3)]
    assert seconds(rows[0]["last_event_time"]) == 8


def test_the_half_open_gap() -> None:
    m = machine(plan(session(5, gap_closed=False)))
    assert push(m, 0, 5) == [(0, 5, 1)]


def test_a_row_that_touches_a_closed_session_is_late() -> None:
    # session [0], closed at W = 6; row 4 would start its own session (open until 9) but touches it
    m = machine(plan(session(5)))
    assert push(m, 0, 6) == [(0, 5, 1)]
    late = m.step([Feed(0, [at(4)])]).late[0]
    assert [(r["reason"], r["late_by"]) for r in late] == [("session_closed", 0)]
    late = m.step([Feed(0, [at(30), at(20)])]).late[0]
    assert [r["reason"] for r in late] == ["late"]
    check_identity(m)


def test_no_session_reaches_back_into_one_that_was_fired_and_forgotten() -> None:
    # 0 | closed at W > 5, its marker goes at W > 10        9 . 13 . 18 . 20  open until W > 25
    #     4 touches both at W = 11; taken in, the windows [0, 5) and [4, 25) would overlap: sealed
    m = machine(plan(session(5), inputs=[source(out_of_order=9 * S)]))
    assert push(m, 0, 9, 13, 18, 20) == [(0, 5, 1)]
    assert m.watermark == 11 * S
    late = m.step([Feed(0, [at(4)])]).late[0]
    assert [(r["reason"], r["late_by"]) for r in late] == [("session_closed", 2 * S)]
    assert windows(m.finish().outputs[0]) == [(9, 25, 4)]


def test_a_row_that_joins_an_open_session_counts_however_old_it_is() -> None:
    # 100  95  90   each within the gap of the row before; 80 joins none, and W = 100
    m = machine(plan(session(5)))
    out = m.step([Feed(0, [at(100), at(95), at(90), at(80)])])
    assert [r["reason"] for r in out.late[0]] == ["late"]
    assert windows(m.finish().outputs[0]) == [(90, 105, 3)]


def test_a_chain_of_rows_does_not_reach_a_session_that_was_forgotten_with_its_key() -> None:
    # 0 . 11 | W = 11: the marker of 0 goes, and nothing else is open      6 opens: 6 + 5 = W
    #     1 joins 6, but touches [0]: the key still knows how far back it was closed
    m = machine(plan(session(5, by=["k"])))
    m.step([Feed(0, [at(0, k="a"), at(11, k="b")])])
    out = m.step([Feed(0, [at(6, k="a"), at(5, k="a")])])
    assert [r["reason"] for r in out.late[0]] == ["session_closed"]
    # a key that may have been forgotten takes nothing from before the last session it may have had
    m = machine(plan(session(5, by=["k"])))
    m.step([Feed(0, [at(0, k="a"), at(100, k="b"), at(95, k="a"), at(90, k="a"), at(85, k="a")])])
    late = m.step([Feed(0, [at(80, k="a"), at(84, k="a")])]).late[0]
    assert [r["reason"] for r in late] == ["session_closed"] * 2
    fired = [r for r in m.finish().outputs[0] if r["k"] == "a"]
    assert windows(fired) == [(85, 100, 3)]


def test_sessions_with_lateness_fire_once() -> None:
    m = machine(plan(session(5, allowed_lateness=10 * S)))
    assert push(m, 0, 15, 3, 18) == []
    assert push(m, 19) == [(0, 8, 2)]


# ── per-event windows ───────────────────────────────────────────────────────────────────────────


def test_sliding_answers_on_arrival_from_the_rows_of_the_key() -> None:
    m = machine(plan(sliding(10)))
    rows = [at(0, k="a"), at(9, k="a"), at(10, k="a"), at(10, k="b"), at(10, k=None)]
    assert [r["n"] for r in m.step([Feed(0, rows)]).outputs[0]] == [1, 2, 2, 1, None]


@pytest.mark.parametrize(
    ("closed", "counts"),
    [
        ("right", [1, 2, 3, 2]),
        ("left", [0, 0, 2, 3]),
        ("both", [1, 2, 3, 4]),
        ("none", [0, 0, 2, 1]),
    ],
)
def test_sliding_bounds(closed: str, counts: list[int]) -> None:
    m = machine(plan(sliding(10, closed=closed)))
    rows = [at(t, k="a") for t in (0, 0, 5, 10)]
    assert [r["n"] for r in m.step([Feed(0, rows)]).outputs[0]] == counts


def test_a_late_sliding_row_is_answered_as_of_the_bound_and_counts_later() -> None:
    # rows 10 20 | 5          W = 20, L = 3: answered over (7, 17] and itself: 5 and 10
    # then 14                 20 - 3 = 17 > 14: late, over (7, 17]: 10 and 14
    marked = {"op": "with_columns", "from": 1, "columns": [["late", {"fn": "is_late", "args": []}]]}
    m = machine(plan(sliding(10, allowed_lateness=3 * S), marked))
    m.step([Feed(0, [at(10, k="a"), at(20, k="a")])])
    out = m.step([Feed(0, [at(5, k="a"), at(14, k="a"), at(18, k="a")])])
    assert [(r["n"], r["late"]) for r in out.outputs[0]] == [(2, True), (2, True), (3, False)]
    assert [(r["late_by"], seconds(r["window_start"])) for r in out.late[0]] == [
        (12 * S, 7),
        (3 * S, 7),
    ]
    assert (m.stats[1]["late"], m.stats[1]["counted"], m.stats[2]["counted"]) == (2, 3, 5)
    check_identity(m)


def test_a_chain_lists_a_late_row_once_and_judges_it_again() -> None:
    again = sliding(10, source=1, columns=[{"name": "m", "aggregate": 0, "size": 0}])
    m = machine(plan(sliding(10), again))
    out = m.step([Feed(0, [at(20, k="a"), at(19, k="a")])])
    assert [r["node"] for r in out.late[0]] == [1]
    assert [n["late"] for n in m.stats] == [0, 1, 1]


def test_sliding_on_the_watermark_sees_peers_and_drops_late_rows() -> None:
    # rows 3  1  3  |4 : the clock passes 1 and both 3s at W = 4; peers see one another
    m = machine(plan(sliding(10, emit="watermark"), inputs=[source(out_of_order=2 * S)]))
    assert m.step([Feed(0, [at(t, k="a") for t in (3, 1, 3)])]).outputs[0] == []
    out = m.step([Feed(0, [at(6, k="a"), at(1, k="a")])])
    assert [(seconds(r["at"]), r["n"]) for r in out.outputs[0]] == [(1, 1), (3, 3), (3, 3)]
    assert [r["late_by"] for r in out.late[0]] == [3 * S]
    check_identity(m)


# ── graphs ──────────────────────────────────────────────────────────────────────────────────────


def test_a_union_merges_row_by_row() -> None:
    # two branches of one source: a1 b1 a2 b2, never a1 a2 b1 b2
    keep = {"op": "with_columns", "from": 0, "columns": [["b", {"col": "v"}]]}
    union = {"op": "union", "from": [0, 1], "tag": "tag", "names": ["a", "b"]}
    m = machine(plan(keep, union))
    rows = m.step([Feed(0, [at(1, v=1), at(2, v=2)])]).outputs[0]
    assert [(r["tag"], r["v"], r["b"]) for r in rows] == [
        ("a", 1, None),
        ("b", 1, 1),
        ("a", 2, None),
        ("b", 2, 2),
    ]
    assert list(rows[0]) == ["at", "v", "b", "tag"]


def test_an_unheard_input_holds_the_union_until_it_is_idle_and_wakes_into_a_fired_window() -> None:
    # A  1 . 12 . . .         the union waits for B
    # B          idle  2      fires [0, 10) on the verdict; B wakes behind the union's clock: late
    inputs = [source("A"), source("B")]
    m = machine(
        plan(
            {"op": "union", "from": [0, 1], "tag": None, "names": ["A", "B"]},
            tumbling(10, source=2),
            inputs=inputs,
        )
    )
    assert push(m, 1, 12) == []
    assert windows(m.idle(1, 0).outputs[0]) == [(0, 10, 1)]
    out = m.step([Feed(1, [at(2)])])
    assert out.late[0] == []
    assert [r["input"] for r in out.late[1]] == ["B"]
    check_identity(m)


def test_a_session_is_on_time_in_the_window_behind_it() -> None:
    # session [0] with gap 5: time 4.999999; fired at W = 6 into [0, 5), which closes at W - 1 = 5
    m = machine(plan(session(5), tumbling(5, source=1)))
    assert push(m, 0) == []
    assert push(m, 6) == [(0, 5, 1)]


def test_windows_behind_windows() -> None:
    m = machine(plan(tumbling(5), tumbling(10, source=1)))
    assert push(m, 0, 5, 10) == [(0, 10, 2)]


def test_time_keeps_its_zone() -> None:
    m = machine(plan(tumbling(10)))
    m.step([Feed(0, [{"at": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)}])])
    assert m.finish().outputs[0][0]["window_end"] == datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)


# ── rules ───────────────────────────────────────────────────────────────────────────────────────


def test_cooldown_is_of_the_key_and_ends_with_the_clock() -> None:
    # times  0    5          11         3          clock before 3 is 11 >= 0 + 10: 3 fires
    # fires  yes  no (< 10)  yes        yes? last = 11, 3 < 21 and the clock 11 < 21: no
    rule = {
        "name": "any",
        "when": {"lit": True, "type": "bool"},
        "by": ["k"],
        "severity": "warning",
        "cooldown": 10 * S,
        "message": "{k}: {v:>3}",
        "score": 1,
        "version": 1,
        "shadow": False,
    }
    m = machine(plan(rules=[rule]))
    rows = [at(t, k="a", v=t) for t in (0, 5, 11, 3)] + [at(3, k=None, v=None)]
    out = m.step([Feed(0, rows)])
    assert [(a["message"], a["position"]) for a in out.alerts] == [
        ("a:   0", 0),
        ("a:  11", 2),
        ("null: null", 4),
    ]
    m.advance(0, None, 21 * S)
    assert [a["position"] for a in m.step([Feed(0, [at(3, k="a", v=3)])]).alerts] == [5]


def test_rules_see_revision_0() -> None:
    rule = {
        "name": "any",
        "when": {"lit": True, "type": "bool"},
        "by": [],
        "severity": "warning",
        "cooldown": None,
        "message": "",
        "score": 1,
        "version": 1,
        "shadow": False,
    }
    m = machine(plan(tumbling(10, allowed_lateness=5 * S), rules=[rule]))
    out = m.step([Feed(0, [at(1), at(10), at(2)])])
    assert [len(out.outputs[0]), len(out.alerts)] == [2, 1]


# ── laws ────────────────────────────────────────────────────────────────────────────────────────

SLOW = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    max_examples=settings.default.max_examples * 3 // 2,
)


@pytest.mark.slow
@SLOW
@given(case=cases(), data=st.data())
def test_cuts_change_nothing_and_nothing_vanishes(case: Case, data: st.DataObject) -> None:
    whole = Machine(case.plan, dict(case.partitions))
    first = joined(play(whole, case.ops))
    for ops in (alone(case.ops), recut(case.ops, data)):
        again = Machine(case.plan, dict(case.partitions))
        assert repr(joined(play(again, ops))) == repr(first)
        assert again.stats == whole.stats
    check_identity(whole)
