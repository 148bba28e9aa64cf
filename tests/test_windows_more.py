"""Windows that fire early, the first rows of a window, and windows that end before their row."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import muntin as mt

WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "f64"}
EVENTS = mt.stream(time="at", out_of_order="0s", schema=WORDS)
START = datetime(2024, 5, 1, tzinfo=UTC)
TOTALS = {"n": mt.count(), "total": mt.sum("v")}


def event(second: float, k: str = "a", v: float = 1.0) -> dict[str, Any]:
    return {"at": START + timedelta(seconds=second), "k": k, "v": v}


def told(rows: Any) -> list[tuple]:
    """Start of the window in seconds, count and revision of each row."""
    seconds = [(row["window_start"] - START).total_seconds() for row in rows]
    return [(s, row["n"], row["revision"]) for s, row in zip(seconds, rows, strict=True)]


def test_a_changed_window_fires_at_each_step_of_event_time() -> None:
    early = EVENTS.tumbling("1m", by="k", emit_every="10s").agg(n=mt.count())
    operator = mt.operator(early)
    pushed = {second: told(operator.push([event(second)]).rows) for second in (1, 2, 12, 13, 35)}
    # the first clock is a step; 12 and 35 pass one; nothing has changed since at 13
    assert pushed == {
        1: [(0, 1, 0)],
        2: [],
        12: [(0, 3, 1)],
        13: [],
        35: [(0, 5, 2)],
    }
    assert told(operator.push([event(61)]).rows) == [(0, 5, 3), (60, 1, 0)]
    assert told(operator.finish().rows) == [(60, 1, 1)]


def test_windows_that_have_not_changed_do_not_fire_early() -> None:
    early = EVENTS.tumbling("1m", by="k", emit_every="10s").agg(n=mt.count())
    operator = mt.operator(early)
    operator.push([event(0, "a")])
    rows = operator.push([event(11, "b"), event(21, "b")]).rows
    assert {row["k"] for row in rows} == {"b"}


@pytest.mark.parametrize("emit", ["final", "changed"])
def test_the_last_firing_is_that_of_a_window_that_fires_once(emit: Any) -> None:
    rows = [event((i * 37) % 900, "ab"[i % 2]) for i in range(300)]
    loose = mt.stream(time="at", out_of_order="20m", schema=WORDS)
    for size in (["2m", "1m"], ["1m", "20s"]):
        once = mt.collect(loose.hopping(*size, by="k", emit=emit).agg(n=mt.count()), rows).rows
        early = loose.hopping(*size, by="k", emit=emit, emit_every="7s").agg(n=mt.count())
        last = {(r["k"], r["window_end"]): r["n"] for r in mt.collect(early, rows).rows}
        assert {(r["k"], r["window_end"]): r["n"] for r in once}.items() <= last.items()


def test_memory_of_early_windows_is_freed() -> None:
    operator = mt.operator(EVENTS.tumbling("1m", by="k", emit_every="10s").agg(n=mt.count()))
    operator.push([event(1, f"k{i}") for i in range(2_000)])
    held = operator.stats["operators"][1]["bytes"]
    operator.push([event(10_000)])
    assert operator.stats["operators"][1]["bytes"] < held * 0.6


# ── top ─────────────────────────────────────────────────────────────────────────────────────────

values = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from("abcdef"), st.sampled_from([0.0, 1.0, 2.5, -3])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(rows=values, n=st.integers(1, 4), ties=st.booleans())
def test_top_ranks_the_rows_of_each_window(rows: list[tuple], n: int, ties: bool) -> None:
    """As SQL's rank() does with ties, and row_number() without."""
    data = [event(*row) for row in sorted(rows, key=lambda row: row[0])]
    sums = EVENTS.tumbling("10s", by="k").agg(**TOTALS)
    fired = mt.collect(sums, data).rows.to_dicts()
    expected = []
    for _, group in groupby(fired, key=lambda row: row["window_start"]):
        ranked = sorted(group, key=lambda row: row["total"] + 0.0, reverse=True)
        least = ranked[:n][-1]["total"]
        more = [row for row in ranked[n:] if row["total"] == least] if ties else []
        expected += ranked[:n] + more
    assert mt.collect(sums.top(n, "total", ties=ties), data).rows.to_dicts() == expected


def test_top_within_groups_and_by_an_expression() -> None:
    data = [event(1, "a", 5), event(2, "b", 3), event(3, "c", 9), event(4, "d", math.nan)]
    sums = EVENTS.tumbling("10s", by="k").agg(**TOTALS).with_columns(side="k < 'c'")
    found = mt.collect(sums.top(1, "-total", by="side"), data).rows
    assert sorted(row["k"] for row in found) == ["b", "c"]
    result = mt.collect(sums.top(9, "total"), data)
    assert [row["k"] for row in result.rows] == ["c", "a", "b"]
    stats = result.stats["operators"][-1]
    assert (stats["rows_in"], stats["counted"], stats["filtered"]) == (4, 3, 1)


def test_top_agrees_with_polars() -> None:
    data = [event(i // 3, f"k{i % 17}", float((i * 7919) % 101)) for i in range(900)]
    found = mt.collect(EVENTS.tumbling("30s", by="k").agg(**TOTALS).top(3, "total"), data).rows
    frame = pl.DataFrame(data).with_columns(pl.col("at").dt.truncate("30s"))
    sums = frame.group_by("at", "k").agg(pl.col("v").sum())
    best = sums.sort("v", descending=True).group_by("at").head(3)
    assert sorted((r["window_start"], r["total"]) for r in found) == sorted(
        (at, v) for at, _, v in best.iter_rows()
    )


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: EVENTS.top(3, "v"), "do not come out window by window"),
        (lambda: EVENTS.session("1m").agg(**TOTALS).top(3, "n"), "behind session"),
        (lambda: EVENTS.tumbling("1m", emit="each").agg(**TOTALS).top(3, "n"), "revisions"),
        (lambda: EVENTS.tumbling("1m").agg(**TOTALS).top(0, "n"), "at least 1, got 0"),
        (lambda: EVENTS.tumbling("1m").agg(**TOTALS).top(1, "m"), '"m"'),
        (lambda: EVENTS.tumbling("1m").top(3, "n"), r"agg\(sold="),
    ],
)
def test_top_refuses_what_it_cannot_rank(make: Any, hint: str) -> None:
    with pytest.raises((mt.MuntinError, AttributeError), match=hint):
        make()


# ── ago ─────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab")), max_size=40),
    size=st.integers(1, 20),
    ago=st.integers(0, 30),
)
def test_a_window_that_ended_before_the_row(rows: list[tuple], size: int, ago: int) -> None:
    data = [event(second, k, float(i)) for i, (second, k) in enumerate(sorted(rows))]
    back = EVENTS.sliding(f"{size}s", by="k", ago=f"{ago}s")
    found = mt.collect(back.agg(**TOTALS, least=mt.min("v")), data).rows.to_dicts()
    for i, row in enumerate(found):
        end = row["at"] - timedelta(seconds=ago)
        inside = [
            other["v"]
            for other in data[: i + 1]
            if other["k"] == row["k"] and end - timedelta(seconds=size) < other["at"] <= end
        ]
        assert (row["n"], row["least"]) == (len(inside), min(inside, default=None))


def test_the_same_hour_yesterday() -> None:
    hours = EVENTS.sliding("1h", by="k", ago="24h").agg(n=mt.count())
    data = [event(3600 * hour + 60 * minute) for hour in range(30) for minute in (0, 20, 40)]
    found = mt.collect(hours, data).rows.to_dicts()
    assert [row["n"] for row in found[: 24 * 3]] == [0] * 72
    assert [row["n"] for row in found[75:]] == [3] * 15


# ── since the beginning, and the last rows ──────────────────────────────────────────────────────


def test_all_rows_since_the_beginning_equal_expanding() -> None:
    data = [event(i, "ab"[i % 2], float((i * 31) % 17)) for i in range(200)]
    made = EVENTS.sliding(None, by="k").agg(
        **TOTALS, least=mt.min("v"), kinds=mt.count_distinct("v")
    )
    found = mt.collect(made, data).rows.to_dicts()
    for i, row in enumerate(found):
        mine = [other["v"] for other in data[: i + 1] if other["k"] == row["k"]]
        expected = (len(mine), math.fsum(mine), min(mine), len(set(mine)))
        assert (row["n"], row["total"], row["least"], row["kinds"]) == expected


def test_the_last_rows_equal_rolling_of_polars() -> None:
    data = [event(i, "a", float((i * 31) % 17)) for i in range(100)]
    found = mt.collect(EVENTS.sliding(by="k", rows=7).agg(**TOTALS), data).rows
    rolled = pl.DataFrame(data)["v"].rolling_sum(7, min_samples=1)
    assert found["total"].to_pylist() == rolled.to_list()


def test_a_key_that_was_quiet_for_long_begins_anew() -> None:
    since = EVENTS.sliding(None, by="k", expire_after="10s").agg(n=mt.count())
    data = [event(0), event(10), event(20), event(31), event(32)]
    assert mt.collect(since, data).rows["n"].to_pylist() == [1, 2, 3, 1, 2]


@pytest.mark.parametrize("options", [{"size": None}, {"rows": 3}])
def test_keys_are_forgotten_when_they_expire(options: dict[str, Any]) -> None:
    made = EVENTS.sliding(by="k", expire_after="1m", **options).agg(**TOTALS)
    operator = mt.operator(made)
    operator.push([event(i // 100, f"k{i % 500}") for i in range(3_000)])
    held = operator.stats["operators"][1]
    assert held["keys"] == 500
    operator.push([event(200)])
    left = operator.stats["operators"][1]
    assert left["keys"] == 1


@pytest.mark.parametrize("options", [{"size": None}, {"rows": 3}])
def test_rows_of_a_key_that_stays_are_not_kept(options: dict[str, Any]) -> None:
    operator = mt.operator(EVENTS.sliding(by="k", **options).agg(**TOTALS))
    operator.push([event(i) for i in range(100)])
    held = operator.stats["operators"][1]["bytes"]
    operator.push([event(i) for i in range(100, 5_000)])
    assert operator.stats["operators"][1]["bytes"] < held * 2
