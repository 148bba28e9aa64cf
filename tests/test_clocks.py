"""Partitions that are not declared or send nothing, and clocks that are wrong."""

from __future__ import annotations

import datetime as dt
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.loop.loop import Loop
from muntin.loop.quiet import QuietPartitions
from muntin.loop.routes import Destinations, Routes
from muntin.monitor.moment import Scene
from muntin.sources import Delivery, Quiet
from runs import START, WORDS, Script, rows_at

EVENTS = mt.stream("events", time="at", out_of_order="0s", idle_after="30s", schema=WORDS)
MINUTE = EVENTS.tumbling("1m").agg(n=mt.count())


def line(second: float, partition: int) -> str:
    at = (START + dt.timedelta(seconds=second)).isoformat()
    return json.dumps({"at": at, "k": "a", "v": 1, "part": partition}) + "\n"


def test_only_the_partitions_that_sent_rows_count_as_heard() -> None:
    clock = [0.0]
    op = mt.operator(EVENTS, partitions=(0, 1))
    quiet = QuietPartitions(op, lambda: clock[0])
    op.push(rows_at(0), partition=0)
    assert quiet.has_none("events", 1) == []
    clock[0] = 31.0
    quiet.has_rows("events", pa.array([0, 0, 7]))
    (verdict,) = quiet.has_none("events", 1)
    assert verdict is not None
    assert op.watermark == op.newest_watermark("events")


def test_a_silent_partition_beside_a_busy_one_in_a_followed_file(tmp_path: Path) -> None:
    """A reader that has read all that was written says which partitions had nothing of it."""
    path = tmp_path / "events.jsonl"
    path.write_text(line(0, 0))
    words = {**WORDS, "part": "i64"}
    source = mt.sources.JsonLines(
        path, follow=True, partition="part", partitions=[0, 1], schema=words
    )
    reader = source.open(list(words.items()), {})
    try:
        for second in range(1, 4):
            assert isinstance(reader.poll(), Delivery)
            assert reader.poll() == Quiet((1,))
            with path.open("a") as file:
                file.write(line(second, 0))
    finally:
        reader.close()


def test_a_row_of_an_undeclared_partition_does_not_end_the_run(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(line(0, 0) + line(1, 9) + line(61, 1) + line(62, 0))
    invalid: list[Any] = []
    counts: list[int] = []
    words = {**WORDS, "part": "i64"}
    report = mt.run(
        mt.sources.JsonLines(path, partition="part", partitions=[0, 1], schema=words),
        mt.stream("events", time="at", out_of_order="0s", schema=words)
        .tumbling("1m")
        .agg(n=mt.count()),
        sinks=[mt.sinks.Callback(lambda t: counts.extend(r["n"] for r in t.to_dicts()))],
        invalid=[mt.sinks.Callback(lambda t: invalid.extend(t.to_dicts()))],
    )
    assert report.invalid == 1
    assert counts == [1, 2]
    assert [(r["reason"], r["partition"]) for r in invalid] == [("undeclared_partition", 9)]


def play(told: list[Any], pipeline: mt.Stream, now: dt.datetime) -> tuple[list, list]:
    """A run over a live source whose rows arrive now: what fired, what was invalid."""
    fired: list[Any] = []
    invalid: list[Any] = []
    sinks = [mt.sinks.Callback(lambda t: fired.extend(t.to_dicts()))]
    bad = [mt.sinks.Callback(lambda t: invalid.extend(t.to_dicts()))]
    op = mt.operator([mt.output("out", pipeline)], partitions=(0, 1))
    routes = Routes(Destinations({"out": sinks}, (), (), bad), op.upsert_keys)
    scene = Scene("test", op.plan, op.facts, [], {}, {}, [], 0.0, None)
    Loop(op, {"events": Script(*told)}, routes, scene, wall=now.timestamp).run()
    return fired, invalid


def test_a_live_row_from_the_future_is_set_aside_by_the_clock_of_the_loop() -> None:
    told = [Delivery(rows_at(0, 3 * 86_400), {0: 2}, 0, 0)]
    fired, invalid = play(told, MINUTE, START)
    assert [row["n"] for row in fired] == [1]
    assert [row["reason"] for row in invalid] == ["future"]


def test_a_leap_of_time_is_told_with_its_row_and_position(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = [Delivery(rows_at(0, 30), {0: 2}, 0, 10), Delivery(rows_at(7200, 7300), {0: 4}, 0, 12)]
    with caplog.at_level(logging.WARNING, "muntin.run"):
        play(told, MINUTE, START + dt.timedelta(days=1))
    (said,) = [record.getMessage() for record in caplog.records if "leaps" in record.getMessage()]
    assert 'input "events", partition 0, position 12: event time leaps by 2.0 h' in said
    assert "datetime(2024, 5, 1, 12, 0" in said


def test_push_and_ask_take_the_time_of_arrival() -> None:
    op = mt.operator(EVENTS.sliding("1h", by="k").agg(n=mt.count()))
    late = START + dt.timedelta(days=2)
    invalid = op.push([row(86_401)], arrival=START).invalid.to_dicts()
    assert [each["reason"] for each in invalid] == ["future"]
    assert op.ask(row(0), arrival=START).row["n"] == 1
    with pytest.raises(mt.DataError, match="future"):
        op.ask(row(86_401), arrival=START)
    assert op.ask(row(86_401), arrival=late).row["n"] == 1
    with pytest.raises(mt.DataError, match="future"):
        op.ask({"at": dt.datetime(2999, 1, 1, tzinfo=dt.UTC), "k": "a", "v": 1})
    assert op.peek(row(86_401), arrival=None).row["n"] == 2
    with pytest.raises(mt.DataError, match='arrival="later"'):
        op.ask(row(0), arrival="later")  # type: ignore[arg-type]


def test_the_arrival_that_was_given_is_what_an_expression_reads() -> None:
    op = mt.operator(EVENTS.with_columns(came=mt.arrival()))
    assert op.ask(row(0), arrival=START).row["came"] == START
    assert op.push([row(0)]).rows.to_dicts()[0]["came"] is None


def test_no_payment_is_answered_with_a_count_of_nothing() -> None:
    op = mt.operator(EVENTS.sliding("5m", by="k").agg(n=mt.count()))
    assert [op.ask(row(second)).row["n"] for second in (0, 1, 330, 2, 3)] == [1, 2, 1, 2, 2]


def row(second: float) -> dict[str, Any]:
    return {"at": START + dt.timedelta(seconds=second), "k": "a", "v": 1}
