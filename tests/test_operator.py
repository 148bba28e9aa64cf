"""The step form and the pure form: what goes in, what comes out, what is refused."""

from __future__ import annotations

import datetime as dt
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import muntin as mt
from muntin.base import limits
from muntin.values.order import common_cuts

QUICK_S = 30 if limits.SMALL else 5
"""What is timed takes a tenth of it; quadratic time takes many times as long."""
START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
EVENTS = mt.stream("events", time="at", out_of_order="0s", schema=WORDS)
OTHERS = mt.stream("others", time="at", out_of_order="0s", schema=WORDS)
MINUTES = EVENTS.tumbling("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))
SCORED = EVENTS.sliding("1m", by="k").agg(n=mt.count())


def row(second: float | None, k: str | None = "a", v: int | None = 1) -> dict[str, Any]:
    at = None if second is None else START + dt.timedelta(seconds=second)
    return {"at": at, "k": k, "v": v}


def table(*rows: dict[str, Any]) -> pa.Table:
    kinds = pa.schema([("at", pa.timestamp("us", "UTC")), ("k", pa.string()), ("v", pa.int64())])
    return pa.Table.from_pylist(list(rows), kinds)


def counts(rows: mt.Table) -> list[tuple[str, int]]:
    return [(r["k"], r["n"]) for r in rows.to_dicts()]


# ── the step form ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "convert",
    [
        lambda t: t,
        lambda t: t.to_batches()[0],
        lambda t: t.to_reader(),
        pl.DataFrame,
        lambda t: t.to_pandas(),
        lambda t: t.to_pylist(),
        lambda t: [r | {"at": r["at"].isoformat()} for r in t.to_pylist()],
    ],
    ids=["table", "batch", "reader", "polars", "pandas", "dicts", "texts"],
)
def test_a_batch_may_be_of_any_library(convert: Any) -> None:
    op = mt.operator(MINUTES)
    assert counts(op.push(convert(table(row(0), row(1), row(60)))).rows) == [("a", 2)]
    assert counts(op.finish().rows) == [("a", 1)]


def test_clock_events_fire_and_say_nothing_twice() -> None:
    op = mt.operator(MINUTES, partitions=(0, 1))
    op.push([row(5)])
    assert op.watermark is None
    assert counts(op.push([row(70)], partition=1).rows) == []
    assert counts(op.idle(partition=0).rows) == [("a", 1)]
    assert op.watermark == int(START.timestamp() * 1e6) + 70_000_000
    op.open(partition=2)
    assert counts(op.advance(START + dt.timedelta(minutes=2), partition=None).rows) in (
        [],
        [("a", 1)],
    )
    op.finish(partition=0)
    op.finish()
    assert op.watermark == 2**63 - 1


def test_advance_takes_datetimes_and_microseconds() -> None:
    end = START + dt.timedelta(minutes=1)
    for moment in (end, end.replace(tzinfo=None), int(end.timestamp() * 1e6)):
        op = mt.operator(MINUTES)
        op.push([row(5)])
        assert counts(op.advance(moment).rows) == [("a", 1)]
    with pytest.raises(mt.DataError, match=r"1\.5 is not a point in time"):
        op.advance(1.5)  # type: ignore[arg-type]


def test_feeds_are_merged_as_told() -> None:
    union = mt.union(EVENTS, OTHERS, tag="of").select("of", "v")
    feeds = [
        mt.Feed("events", [row(3, v=1), row(9, v=2)], arrival=START + dt.timedelta(seconds=50)),
        mt.Feed("others", [row(1, v=3), row(5, v=4)], arrival=START + dt.timedelta(seconds=40)),
    ]

    def order(word: Any) -> list[int]:
        return [r["v"] for r in mt.operator(union).step(feeds, word).rows.to_dicts()]

    assert order("given") == [1, 2, 3, 4]
    assert order("arrival") == [3, 4, 1, 2]
    assert order("time") == [3, 1, 4, 2]


def test_null_times_come_first_and_cost_no_more_than_others() -> None:
    n = 30_000
    union = mt.union(EVENTS, OTHERS, tag="of").select("of", "v")
    times = pa.array([None] * n + list(range(n)), pa.timestamp("us", "UTC"))
    batch = pa.table({"at": times, "k": ["a"] * 2 * n, "v": range(2 * n)})
    op = mt.operator(union)
    start = time.thread_time()
    result = op.step([mt.Feed("events", batch), mt.Feed("others", batch)], "time")
    assert time.thread_time() - start < QUICK_S
    assert pa.table(result.invalid["events"])["position"].to_pylist() == list(range(n))
    rows = pa.table(result.rows)
    assert rows["v"].to_pylist() == [v for v in range(n, 2 * n) for _ in range(2)]
    assert rows["of"].to_pylist() == ["events", "others"] * n


@pytest.mark.slow
@pytest.mark.parametrize("order", ["given", "time"])
def test_many_feeds_of_one_row_cost_as_one_of_many(order: Any) -> None:
    n = 20_000
    whole = table(*(row(second / 1000, str(second % 7), second) for second in range(n)))
    feeds = [
        mt.Feed(("events", "others")[i % 2], whole.slice(i, 1), position=3 * i) for i in range(n)
    ]
    op = mt.operator(mt.union(EVENTS, OTHERS).select("k", "v"))
    start = time.thread_time()
    rows = pa.table(op.step(feeds, order).rows)
    assert time.thread_time() - start < QUICK_S
    assert rows["v"].to_pylist() == list(range(n))
    assert rows["k"].to_pylist() == whole["k"].to_pylist()


def test_feeds_carry_partitions_and_positions() -> None:
    op = mt.operator(MINUTES, partitions=(0, 7))
    batch = table(row(100), row(0), row(200), row(10))
    parts, places = pa.array([0, 7, 0, 0]), pa.array([5, 6, 7, 8])
    late = op.step([mt.Feed(None, batch, parts, places)]).late["events"].to_dicts()
    assert [(r["reason"], r["partition"], r["position"], r["v"]) for r in late] == [
        ("late", 0, 8, 1)
    ]


def test_what_does_not_fit_is_refused_and_counts_nothing() -> None:
    op = mt.operator(MINUTES)
    with pytest.raises(mt.ColumnError, match='unknown column "vv"'):
        op.push([{"vv": 1}])
    with pytest.raises(mt.DataError, match='column "v" does not fit'):
        op.push([row(0) | {"v": "many"}])
    with pytest.raises(mt.DataError, match=r'row 0: column "at" does not .*: 5 is .*\nhint: give'):
        op.push([{"at": 5}])
    with pytest.raises(mt.DataError, match="a row must be a dict"):
        op.push([1])  # type: ignore[list-item]
    with pytest.raises(mt.DataError, match="a str is not a batch"):
        op.push("rows")  # type: ignore[arg-type]
    with pytest.raises(mt.PartitionError):
        op.advance(START, partition=3)
    with pytest.raises(mt.PlanError, match='unknown input "event"'):
        op.push([row(0)], input="event")
    with pytest.raises(mt.SchemaError):
        op.push(pa.table({"at": ["x"], "k": ["a"], "v": [1]}))
    assert sum(node["rows_in"] for node in op.stats["operators"]) == 0
    assert counts(op.push([row(0), row(60)]).rows) == [("a", 1)]


def test_several_inputs_must_be_named() -> None:
    op = mt.operator(mt.union(EVENTS, OTHERS), partitions={"others": (1, 2)})
    op.push([row(0)], input="others", partition=2)
    with pytest.raises(mt.PlanError, match="several inputs: events, others"):
        op.push([row(0)])
    with pytest.raises(mt.PlanError, match='partitions: unknown input "other"'):
        mt.operator(EVENTS, partitions={"other": (0,)})


def test_schemas_are_known_before_the_first_row() -> None:
    op = mt.operator({"minutes": MINUTES, "rows": EVENTS})
    assert op.schemas["rows"] == WORDS
    with pytest.raises(mt.PlanError, match="several outputs: minutes, rows"):
        op.schema  # noqa: B018
    schema = mt.operator(MINUTES).schema
    assert schema is not None
    assert list(schema) == ["k", "window_start", "window_end", "n", "total"]
    untyped = mt.operator(mt.stream(time="at", out_of_order="0s").tumbling("1m").agg(n=mt.count()))
    assert untyped.schema is None
    untyped.push([row(0)])
    assert untyped.schema is not None


def test_a_snapshot_goes_on_where_it_was() -> None:
    op = mt.operator(MINUTES)
    op.push([row(0), row(1)])
    again = mt.operator(MINUTES, snapshot=op.snapshot())
    batch = [row(2), row(60)]
    assert counts(op.push(batch).rows) == counts(again.push(batch).rows) == [("a", 3)]
    with pytest.raises(mt.SnapshotError):
        mt.operator(MINUTES, snapshot=b"not a snapshot")


# ── ask and peek ────────────────────────────────────────────────────────────────────────────────

RULES = [
    mt.rule("often", "n >= 2", by="k", score=5, message="{k}: {n}"),
    mt.rule("silent", "n >= 1", by="k", score=7, shadow=True),
]


def test_ask_counts_and_peek_does_not() -> None:
    op = mt.operator(SCORED, rules=RULES)
    first = op.ask(row(0))
    assert (first.hits, first.score, first.late) == ((), 0, False)
    assert [alert["rule"] for alert in first.alerts] == ["silent"]
    for _ in range(3):
        seen = op.peek(row(1))
        assert seen.row is not None
        assert (seen.row["n"], seen.hits, seen.score) == (2, ("often",), 5)
    assert op.ask(row(1)).row == seen.row
    assert op.stats["operators"][0]["rows_in"] == 2


def test_a_row_behind_the_watermark_is_answered_and_called_late() -> None:
    op = mt.operator(SCORED)
    op.ask(row(100))
    behind = op.ask(row(50))
    assert behind.late
    assert behind.row is not None
    assert behind.row["n"] == 2, "it is answered as of the watermark"


def test_a_filter_may_leave_no_answer() -> None:
    op = mt.operator(SCORED.filter("n > 1"))
    assert op.ask(row(0)).row is None
    assert op.ask(row(1)).row is not None


def test_a_late_row_that_a_filter_leaves_out_is_late_to_ask_and_to_peek() -> None:
    op = mt.operator(SCORED.filter("n > 100"))
    op.ask(row(100))
    assert [call(row(50)).late for call in (op.peek, op.ask)] == [True, True]


def test_an_invalid_row_is_an_error_and_counted() -> None:
    op = mt.operator(SCORED)
    with pytest.raises(mt.DataError, match="the row is invalid: null_time"):
        op.ask(row(None))
    assert op.stats["operators"][0]["invalid"] == 1


def test_a_sum_that_does_not_fit_is_null_and_noted() -> None:
    pipeline = EVENTS.sliding("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))
    op = mt.operator(pipeline)
    op.ask(row(0, v=2**62))
    expected = op.peek(row(1, v=2**62))
    answer = op.ask(row(1, v=2**62))
    assert answer == expected
    assert answer.row is not None
    assert (answer.row["n"], answer.row["total"]) == (2, None)
    assert answer.notes == ("sum_overflow in sliding#1",)
    assert op.ask(row(60.5, v=-1)).row == row(60.5, v=-1) | {"n": 2, "total": 2**62 - 1}


def test_a_row_whose_expression_overflows_is_invalid_to_ask_and_to_peek() -> None:
    op = mt.operator(SCORED.with_columns(big=f"v + {2**63 - 1}"))
    for call in (op.peek, op.ask):
        with pytest.raises(mt.DataError, match="the row is invalid: overflow in with_columns#2"):
            call(row(0, v=1))
    assert op.stats["operators"][2]["invalid"] == 1


@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        (MINUTES, "tumbling fires by the clock"),
        (EVENTS.silent("1m", by="k"), "silent fires by the clock"),
        (EVENTS.sliding("1m", by="k", emit="watermark").agg(n=mt.count()), "waits for the clock"),
        (mt.union(EVENTS.filter("v > 0"), EVENTS.filter("v < 9")), "it gives 2 rows"),
        ({"a": SCORED, "b": EVENTS}, "several outputs, a, b"),
    ],
    ids=["tumbling", "silent", "watermark", "twice", "outputs"],
)
def test_ask_needs_a_row_for_a_row(pipeline: Any, reason: str) -> None:
    op = mt.operator(pipeline)
    with pytest.raises(mt.PlanError, match=f"no answer row by row: .*{reason}"):
        op.ask(row(0))


def test_many_threads_may_ask() -> None:
    op = mt.operator(SCORED)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: op.ask(row(0)), range(64)))
    found = sorted(answer.row["n"] for answer in answers if answer.row)
    assert found == list(range(1, 65))


# ── the pure form ───────────────────────────────────────────────────────────────────────────────


def test_finished_data_are_taken_in_order_of_time() -> None:
    rows = [row(130), row(0), row(None), row(65), row(1)]
    whole = mt.collect(MINUTES, rows)
    assert counts(whole.rows) == [("a", 2), ("a", 1), ("a", 1)]
    assert len(whole.late) == 0
    assert [(r["reason"], r["position"]) for r in whole.invalid.to_dicts()] == [("null_time", 2)]
    given = mt.collect(MINUTES, rows, order="given")
    assert [(r["position"]) for r in given.late.to_dicts()] == [1, 3, 4]
    assert whole.stats["operators"][0]["rows_in"] == 5


def test_rows_of_one_time_keep_their_order() -> None:
    rows = [row(5, v=1), row(0, v=2), row(5, v=3), row(0, v=4)]
    assert [r["v"] for r in mt.collect(EVENTS, rows).rows.to_dicts()] == [2, 4, 1, 3]


def test_a_computed_time_sorts_as_well() -> None:
    events = mt.stream(time=mt.epoch("s", "sec"), out_of_order="0s", schema={"sec": "i64"})
    result = mt.collect(events, [{"sec": 9}, {"sec": 3}, {"sec": 5}])
    assert [r["sec"] for r in result.rows.to_dicts()] == [3, 5, 9]
    assert len(result.late) == 0


def test_several_inputs_are_merged_and_cut_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    union = mt.union(EVENTS, OTHERS, tag="of")
    pipeline = union.sliding("10s").agg(n=mt.count())
    data = {
        "events": [row(s) for s in (0, 3, 3, 8, 20, None)],
        "others": table(*[row(s, "b") for s in (3, 5, 30, 1)]),
    }
    whole = mt.collect(pipeline, data)
    found = [(r["of"], r["at"].second) for r in whole.rows.to_dicts()]
    assert found == [
        *[("events", 0), ("others", 1), ("events", 3), ("events", 3), ("others", 3)],
        *[("others", 5), ("events", 8), ("events", 20), ("others", 30)],
    ]
    for size in (1, 2, 3):
        # the function of that name hides the module in the package
        module = sys.modules["muntin.engine.collect"]
        monkeypatch.setattr(module, "common_cuts", lambda t, s=size: common_cuts(t, s))
        assert mt.collect(pipeline, data).rows.to_dicts() == whole.rows.to_dicts()


def test_data_must_fit_the_inputs() -> None:
    union = mt.union(EVENTS, OTHERS)
    with pytest.raises(mt.PlanError, match="data is needed for each input: events, others"):
        mt.collect(union, {"events": [row(0)]})
    with pytest.raises(mt.PlanError, match="give a dict"):
        mt.collect(union, [row(0)])
    with pytest.raises(mt.PlanError, match='data: unknown input "event"'):
        mt.collect(MINUTES, {"event": [row(0)]})
    with pytest.raises(mt.PlanError, match='order: "arrival" is not an order'):
        mt.collect(MINUTES, [], order="arrival")  # type: ignore[arg-type]
    with pytest.raises(mt.ColumnError, match='time: unknown column "at"'):
        mt.collect(MINUTES, pa.table({"att": [1]}))
    with pytest.raises(mt.SchemaError, match='the time column "at" is a int64'):
        mt.collect(mt.stream(time="at", out_of_order="0s"), pa.table({"at": [1]}))


def test_no_rows_give_an_empty_result() -> None:
    for nothing in ([], table()):
        result = mt.collect(MINUTES, nothing)
        assert len(result.rows) == len(result.late) == len(result.alerts) == 0
        assert result.rows.columns == ["k", "window_start", "window_end", "n", "total"]
    assert len(mt.collect(mt.stream(time="at", out_of_order="0s"), []).rows) == 0


def test_a_window_that_was_not_fired_as_unchanged_starts_at_revision_0() -> None:
    # every 1 us, of 2 us: at W = 0 the window [-2, 0) holds what [-3, -1) held, and keeps quiet;
    # then a row comes late for it
    hops = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]"}).hopping(
        dt.timedelta(microseconds=2),
        dt.timedelta(microseconds=1),
        emit="changed",
        allowed_lateness=dt.timedelta(microseconds=1),
    )
    epoch = dt.datetime(1970, 1, 1)
    rows = [{"at": epoch + dt.timedelta(microseconds=us)} for us in (-2, 0, 0, 0, -1)]
    fired = mt.operator(hops.agg(n=mt.count())).push(rows).rows.to_dicts()
    assert [((row["window_end"] - epoch).microseconds % 1000, row["n"], row["revision"])
            for row in fired] == [(999, 1, 0), (0, 2, 0)]  # fmt: skip
