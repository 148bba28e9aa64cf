"""`on_change="warm"` and `"keep"` by hand: what is null, what is dropped, what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
EVENTS = mt.stream("events", time="at", out_of_order="0s", schema=WORDS)
OTHERS = mt.stream("others", time="at", out_of_order="0s", schema=WORDS)
N = {"n": mt.count()}
TENS = EVENTS.tumbling("10s", by="k").agg(**N)
PAIRS = EVENTS.tumbling("20s", by="k").agg(**N)
SCORED = EVENTS.sliding("10s", by="k").agg(**N)


def row(second: float, k: str = "a", v: int = 1) -> dict[str, Any]:
    return {"at": START + dt.timedelta(seconds=second), "k": k, "v": v}


def begun(pipeline: Any, *seconds: float, **more: Any) -> mt.Operator:
    op = mt.operator(pipeline, **more)
    op.push([row(second) for second in seconds])
    return op


def on(op: mt.Operator, pipeline: Any, on_change: Any = "warm", **more: Any) -> mt.Operator:
    return mt.operator(pipeline, snapshot=op.snapshot(), on_change=on_change, **more)


def told(op: mt.Operator, *seconds: float, name: str | None = None) -> list[Any]:
    """Start and count of the windows that these rows close, or the counts of rows."""
    result = op.push([row(second) for second in seconds])
    rows = (result.rows if name is None else result[name]).to_dicts()
    if rows and "window_start" not in rows[0]:
        return [each["n"] for each in rows]
    return [((each["window_start"] - START).total_seconds(), each["n"]) for each in rows]


def warming(op: mt.Operator) -> dict[str, int]:
    return {each["name"]: each["warming"] for each in op.stats["operators"] if each["warming"]}


# ── which answers are left open ─────────────────────────────────────────────────────────────────

# Rows 1 12 | 13 21 31 41, the bar is the change: of [10, 20) the row 12 was not seen.
WINDOWS = {
    "tumbling": (TENS, [(10, None), (20, 1), (30, 1)]),
    "hopping": (
        EVENTS.hopping("20s", every="10s", by="k").agg(**N),
        [(0, None), (10, None), (20, 2)],
    ),
    # a session may have begun before: the row 13 is near enough to the row 12
    "session": (EVENTS.session("5s", by="k").agg(**N), [(13, None), (21, 1), (31, 1)]),
}


@pytest.mark.parametrize("verb", WINDOWS)
def test_a_window_is_null_until_one_lies_wholly_behind(verb: str) -> None:
    pipeline, want = WINDOWS[verb]
    op = on(begun(EVENTS, 1, 12), pipeline)
    assert told(op, 13, 21, 31, 41) == want
    assert list(warming(op).values()) == [sum(n is None for _, n in want)]


def test_a_window_that_starts_just_behind_the_newest_row_is_full() -> None:
    tick = 0.000001
    assert told(on(begun(EVENTS, 10 - tick), TENS), 10, 21) == [(10, 1)]
    assert told(on(begun(EVENTS, 10), TENS), 11, 21) == [(10, None)]


def test_the_newest_row_counts_and_not_the_watermark() -> None:
    ahead = mt.stream("events", time="at", out_of_order="30s", schema=WORDS)
    op = on(begun(ahead, 12), ahead.tumbling("10s", by="k").agg(**N))
    assert told(op, 15, 25, 70) == [(10, None), (20, 1)]


@pytest.mark.parametrize(
    ("closed", "first"), [("right", 22), ("none", 22), ("left", 22.000001), ("both", 22.000001)]
)
def test_a_row_is_answered_when_its_window_lies_wholly_behind(closed: Any, first: float) -> None:
    op = on(begun(EVENTS, 12), EVENTS.sliding("10s", by="k", closed=closed).agg(**N))
    before, after = told(op, first - 0.000001, first)
    assert before is None
    assert after is not None


def test_a_late_row_is_full_where_the_moment_is_as_of_which_it_is_answered() -> None:
    op = on(begun(EVENTS, 1), SCORED)
    assert told(op, 5, 30, 5) == [None, 1, 2]


def test_each_size_warms_by_itself_and_so_does_what_reads_it() -> None:
    short = EVENTS.sliding(["2s", "1h"], by="k").agg(n=mt.count(), w=mt.sum("v"))
    seen = short.with_columns(few="coalesce(n_1h, 0) < 3", twice="n_2s * 2")
    small = seen.sliding("2s").agg(
        sum=mt.sum("w_2s"), heard=mt.count("w_1h"), many=mt.count(where="n_1h > 1")
    )
    op = on(begun(EVENTS, 1), small)
    rows = op.push([row(2), row(3), row(5)]).rows.to_dicts()
    assert [r["n_2s"] for r in rows] == [None, 2, 1]
    assert [r["twice"] for r in rows] == [None, 4, 2]
    for name in ("n_1h", "few", "heard", "many"):
        assert [r[name] for r in rows] == [None] * 3
    assert [r["sum"] for r in rows] == [None, None, 1]


def test_a_key_that_is_left_open_leaves_open_its_windows() -> None:
    scored = EVENTS.sliding("1h", by="k").agg(n=mt.count()).select("at", "k", busy="n > 1")
    op = on(begun(EVENTS, 1), scored.tumbling("10s", by="busy").agg(**N))
    assert told(op, 12, 21) == [(10, None)]


def test_a_union_knows_what_its_sides_know() -> None:
    sides = [EVENTS.filter(f"v {sign} 0").sliding("1h", by="k").agg(**N) for sign in (">", "<")]
    op = on(begun(EVENTS, 1), mt.union(*sides).with_columns(n="coalesce(n, 0)"))
    assert told(op, 2, 3) == [None, None]


def test_windows_behind_windows_wait_for_full_ones() -> None:
    chain = TENS.tumbling("20s", by="k").agg(n=mt.sum("n"))
    # [10, 20) is not full, so [0, 20) is not; [20, 40) is
    assert told(on(begun(EVENTS, 1, 12), chain), 13, 21, 31, 41, 61) == [
        (0, None),
        (20, 2),
        (40, 1),
    ]


def test_a_new_window_behind_an_old_one_needs_what_that_fires_from_now_on() -> None:
    # [0, 10) has fired; the window [10, 20) that is open has its state, and fires for the new one
    op = on(begun(TENS, 1, 12), TENS.tumbling("10s", by="k").agg(n=mt.sum("n")))
    assert told(op, 13, 21, 31, 41) == [(10, 2), (20, 1), (30, 1)]
    assert warming(op) == {}


def test_a_session_that_began_before_leaves_open_what_holds_it_however_long_it_is() -> None:
    sessions = EVENTS.session("5s", by="k").agg(**N)
    op = on(begun(EVENTS, 1), sessions.tumbling("10s").agg(n=mt.sum("n")))
    # of [20, 30) the session of b is known, and that of a is not
    assert told(op, 3, 7, 11, 15, 19) == []
    op.push([row(22, "b")])
    assert told(op, 31, 41, 52) == [(20, None), (30, 1), (40, 1)]


def test_a_filter_leaves_out_what_it_cannot_tell() -> None:
    busy = SCORED.filter("coalesce(n, 0) < 2")
    op = on(begun(EVENTS, 1), busy)
    assert told(op, 2, 12) == [1]
    assert warming(op) == {"sliding#1": 1, "filter#2": 1}


def test_what_a_filter_left_out_is_missing_behind_it() -> None:
    few = EVENTS.sliding("15s", by="k").agg(**N).filter("n < 9")
    # the row 12 is left out, and belongs to [10, 20)
    op = on(begun(EVENTS, 1), few.tumbling("10s", by="k").agg(**N))
    assert told(op, 12, 18, 31, 41) == [(10, None), (30, 1)]


def test_the_window_of_a_key_that_is_silent_since_is_missing_behind_it() -> None:
    op = on(begun(EVENTS, 1, 12), TENS.tumbling("20s", offset="13s").agg(n=mt.sum("n")))
    # [13, 33) holds the window [20, 30) of b, and [10, 20) of the row 12
    op.push([row(21, "b")])
    assert told(op, 41, 90) == [(13, None), (33, 1)]


def test_a_window_that_did_not_fire_as_unchanged_is_missing_behind_it() -> None:
    hops = EVENTS.hopping("20s", every="10s", by="k", emit="changed").agg(**N)
    op = on(begun(EVENTS, 12), hops.tumbling("20s", offset="10s").agg(n=mt.sum("n")))
    # [20, 40) of a would have fired, as the row 12 has left; [30, 50) holds it
    op.push([row(25), row(35, "b")])
    assert told(op, 95, 130) == [(30, None), (90, 1)]


def test_the_session_of_a_key_that_is_silent_since_is_missing_behind_it() -> None:
    sessions = EVENTS.session("5s", by="k").agg(**N)
    op = on(begun(EVENTS, 1), sessions.tumbling("10s", offset="5s").agg(n=mt.sum("n")))
    # [5, 15) holds the session of b, and that of the row 1
    op.push([row(8, "b")])
    assert told(op, 40, 60) == [(5, None), (35, 1)]


def test_silence_is_counted_from_the_newest_row_at_the_least() -> None:
    silent = EVENTS.silent("10s", by="k")
    op = on(begun(EVENTS, 1, 20), silent)
    # b may have been heard at second 20, too
    rows = op.push([row(15, "b"), row(25, "c"), row(31, "c"), row(50, "d")]).rows.to_dicts()
    found = [(r["k"], (r["window_end"] - START).seconds, r["last_event_time"]) for r in rows]
    assert found == [("b", 30, None), ("c", 41, START + dt.timedelta(seconds=31))]


def test_a_known_key_is_silent_since_before_a_clock_that_stood_already() -> None:
    waits = EVENTS.sliding("1s", by="k", emit="watermark").agg(**N)
    before = begun(waits, 1)
    before.advance(START + dt.timedelta(seconds=3))
    # the clock stands at second 3, and no row of "never" came from there on
    op = on(before, waits.silent("10s", by="k", known=["never"]))
    later = op.advance(START + dt.timedelta(seconds=30))
    found = [(r["k"], r["last_event_time"]) for r in later.rows.to_dicts()]
    assert found == [("never", None)]


@pytest.mark.parametrize("restored", [False, True])
def test_known_keys_are_sure_only_behind_the_clocks_first_value(restored: bool) -> None:
    """The key x was heard before the change, which the new verb cannot know: to it, x is as silent
    since the clock's first value as "never"."""
    silent = EVENTS.silent("10s", by="k", known=["x", "never"])
    pipeline = silent.tumbling("10s").agg(**N)
    before = mt.operator(EVENTS, partitions=(0, 1))
    before.push([row(1, "x")])  # partition 1 holds the clock back
    op = on(before, pipeline, partitions=(0, 1))
    found: list[Any] = []
    for at, partition in ((20, 0), (20, 1), (60, 0), (60, 1)):
        clock = START + dt.timedelta(seconds=at)
        found += op.advance(clock, partition=partition).rows.to_dicts()
        if restored:
            op = mt.operator(pipeline, snapshot=op.snapshot(), partitions=(0, 1))
    assert [each["n"] for each in found] == [None], "one of the two fell silent at second 30"


def test_what_is_behind_a_silence_that_repeats_stays_unknown() -> None:
    """A key that sent nothing since the change may be silent again and again, unseen here."""
    repeated = EVENTS.silent("10s", by="k", every="10s").tumbling("10s").agg(**N)
    op = on(begun(EVENTS, 1, 20), repeated)
    assert {n for _, n in told(op, 35, 60, 100, 200)} == {None}
    assert op.stats["operators"][1]["full_from"] == 2**63 - 1
    once = EVENTS.silent("10s", by="k").tumbling("10s").agg(**N)
    assert 1 in [n for _, n in told(on(begun(EVENTS, 1, 20), once), 35, 60, 100, 200)]


def test_peek_says_what_ask_would() -> None:
    op = on(begun(EVENTS, 1), SCORED)
    for second, want in ((5, None), (11, 2)):
        assert op.peek(row(second)).row["n"] == want
        assert op.ask(row(second)).row["n"] == want


# ── what goes on ────────────────────────────────────────────────────────────────────────────────


def test_verbs_are_found_by_what_they_are_and_not_by_where_they_stand() -> None:
    before = begun({"tens": TENS, "scored": SCORED}, 1, 2)
    op = on(before, {"new": EVENTS.filter("v > 0").tumbling("1m").agg(**N), "tens": TENS})
    assert told(op, 3, 11, name="tens") == [(0, 3)]
    assert op.restored == {
        "restored": ["tumbling#3"],
        "new": ["tumbling#2"],
        "dropped": ["sliding#2"],
    }
    assert mt.operator(TENS).restored is None


def test_columns_that_were_learned_are_known_to_the_changed_pipeline() -> None:
    learning = mt.stream(time="at", out_of_order="0s")
    op = on(begun(learning, 1), learning.tumbling("10s", by="k").agg(**N))
    assert told(op, 2, 11, 21) == [(0, None), (10, 1)]
    with pytest.raises(mt.ColumnError, match='unknown column "w"'):
        on(begun(learning, 1), learning.tumbling("10s", by="w").agg(**N))
    # nothing was heard yet, so nothing can be missing
    op = on(mt.operator(learning), learning.tumbling("10s", by="k").agg(**N))
    assert told(op, 2, 11) == [(0, 1)]


def test_warming_goes_on_behind_a_second_snapshot() -> None:
    op = on(begun(EVENTS, 1), PAIRS)
    assert told(op, 2, 21) == [(0, None)]
    again = on(begun(EVENTS, 1), PAIRS)
    assert told(again, 2) == []
    for on_change in ("refuse", "warm", "keep"):
        assert told(on(again, PAIRS, on_change), 21, 41) == [(0, None), (20, 1)]
    counted = on(op, PAIRS, "refuse")
    assert warming(counted) == {"tumbling#1": 1}


def test_with_keep_what_is_new_answers_from_what_it_sees() -> None:
    op = on(begun({"tens": TENS}, 1, 2), {"pairs": PAIRS, "tens": TENS}, "keep")
    result = op.push([row(3), row(21)])
    assert [r["n"] for r in result["tens"].to_dicts()] == [3]
    assert [r["n"] for r in result["pairs"].to_dicts()] == [1]
    assert warming(op) == {}


def test_rows_that_wait_know_their_input_in_a_pipeline_with_another_order() -> None:
    waiting = OTHERS.sliding("1m", by="k", emit="watermark").agg(**N)
    waiting = waiting.with_columns(much="v * 9223372036854775807")
    op = mt.operator({"tens": TENS, "waiting": waiting})
    op.push([row(7, v=2), row(1)], input="others")
    op.push([row(1)], input="events")
    op = on(op, {"waiting": waiting, "tens": TENS})
    assert op.inputs == ["others", "events"]
    start = int(START.timestamp() * 1e6)
    assert op.newest_watermark("others") == start + 7_000_000
    assert op.newest_watermark("events") == start + 1_000_000
    result = op.push([row(9)], input="others")
    assert [len(table) for table in result.invalid.values()] == [1, 0]
    assert [len(op.push([row(11)], input="events")["tens"])] == [1]


# ── rules ───────────────────────────────────────────────────────────────────────────────────────


def test_rules_are_silent_where_what_they_read_is_left_open() -> None:
    first = mt.rule("first", "coalesce(n, 0) < 3", by="k")
    every = mt.rule("every", "v > 0", by="k")

    @mt.rule("asked", by="k")
    def asked(batch: Any) -> Any:
        return pa.array([True] * batch.num_rows)

    rules = [first, every, asked]
    op = on(begun(EVENTS, 1), SCORED, rules=rules)
    for second, want in ((5, ["every"]), (12, ["asked", "every", "first"])):
        alerts = op.push([row(second)]).alerts.to_dicts()
        assert sorted(alert["rule"] for alert in alerts) == want
    kept = on(begun(EVENTS, 1), SCORED, "keep", rules=rules)
    assert len(kept.push([row(5)]).alerts) == len(rules)


def test_a_rule_is_silent_on_a_session_however_long_it_warms() -> None:
    rules = [mt.rule("none", "coalesce(n, 0) < 2", by="k")]
    op = on(begun(EVENTS, 1), EVENTS.session("5s", by="k").agg(**N), rules=rules)
    times = [3, 7, 11, 15, 19, 31, 41]
    assert len(op.push([row(second) for second in times]).alerts) == 1


def test_a_cooldown_goes_on_where_it_is_the_same_rule() -> None:
    def rules(cooldown: str) -> list[mt.Rule]:
        same = mt.rule("same", "n > 0", by="k", cooldown="10s")
        return [mt.rule("other", "n > 0", by="k", cooldown=cooldown), same]

    before = begun(SCORED, 1, rules=rules("20s"))
    assert before.stats["alerts"] == {"other": 1, "same": 1}
    op = mt.operator(
        [mt.output("pairs", PAIRS), mt.output("rows", SCORED, rules=rules("5s"))],
        snapshot=before.snapshot(),
        on_change="warm",
    )
    assert [a["rule"] for a in op.push([row(3)]).alerts.to_dicts()] == ["other"]
    assert sorted(a["rule"] for a in op.push([row(11)]).alerts.to_dicts()) == ["other", "same"]
    assert op.stats["alerts"] == {"other": 3, "same": 2}


def test_a_cooldown_of_keys_of_another_type_starts_anew() -> None:
    rules = [mt.rule("busy", "n > 0", by="k", cooldown="1h")]
    before = begun(SCORED, 1, rules=rules)
    changed = EVENTS.with_columns(v="v + 1").sliding("10s", by="k").agg(**N)
    op = on(before, changed, "keep", rules=rules)
    assert len(op.push([row(2)]).alerts) == 0
    others = EVENTS.with_columns(k="v").sliding("10s", by="k").agg(**N)
    op = on(before, others, "keep", rules=rules)
    assert [len(op.push([row(second)]).alerts) for second in (2, 3)] == [1, 0]


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (OTHERS, 'is of the inputs "events", not of "others"'),
        (mt.union(EVENTS, OTHERS), 'is of the inputs "events", not of "events", "others"'),
        (
            mt.stream("events", time="at", out_of_order="0s", schema=WORDS | {"v": "f64"}),
            '"events" had at .*, k .*, v i64, and has at .*, k .*, v f64',
        ),
        (
            mt.stream("events", time="at2", out_of_order="0s", schema=WORDS | {"at2": WORDS["at"]}),
            'input "events": its time was at, is at2',
        ),
    ],
    ids=["other", "more", "columns", "time"],
)
@pytest.mark.parametrize("on_change", ["warm", "keep"])
def test_other_inputs_are_refused(pipeline: Any, message: str, on_change: Any) -> None:
    with pytest.raises(mt.SnapshotError, match=message):
        on(begun(TENS, 1), pipeline, on_change)


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(mt.PlanError, match='on_change: "warmer" is not one of refuse'):
        on(begun(TENS, 1), TENS, "warmer")


def test_another_bound_lets_the_watermark_stand_until_it_is_passed() -> None:
    later = mt.stream("events", time="at", out_of_order="5s", schema=WORDS)
    op = on(begun(TENS, 11), later.tumbling("10s", by="k").agg(**N))
    start = int(START.timestamp() * 1e6)
    assert op.watermark == start + 11_000_000
    assert told(op, 15) == []
    assert op.watermark == start + 11_000_000
    assert told(op, 25) == [(10, None)]
    assert op.newest_watermark("events") == start + 20_000_000
