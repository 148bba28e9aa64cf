"""The loop: quiet partitions, stopping, checkpoints and going on from them, reports."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from muntin.loop import Loop
from muntin.moment import Scene
from muntin.routes import Destinations, Routes
from muntin.sources import Delivery, Quiet

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
EVENTS = mt.stream("events", time="at", out_of_order="5s", schema=WORDS)
MINUTES = EVENTS.tumbling("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))


def rows_at(*seconds: float) -> pa.Table:
    times = [START + dt.timedelta(seconds=s) for s in seconds]
    return pa.table({"at": times, "k": ["a"] * len(times), "v": [1] * len(times)})


class Script:
    """A source that hands over what it was told, and moves a clock at each poll."""

    bounded, total = False, None

    def __init__(self, *told: Any, clock: list[float] | None = None, each: float = 20.0) -> None:
        self.told, self.clock, self.each = told, clock, each

    def identity(self) -> tuple[str, ...]:
        return ("script",)

    def partitions(self) -> tuple[int, ...]:
        return (0, 1)

    def open(self, schema: Any, positions: Any) -> Script:
        self.polls = iter(self.told)
        return self

    def poll(self) -> Any:
        if self.clock is not None:
            self.clock[0] += self.each
        return next(self.polls, None)

    def close(self) -> None:
        pass


def play(pipeline: mt.Stream, source: Any, sinks: list[Any], clock: list[float]) -> mt.Report:
    op = mt.operator(pipeline, partitions=source.partitions())
    routes = Routes(Destinations({"rows": sinks}, (), (), ()), op.plan)
    scene = Scene("test", op.plan, [], {}, {}, [], {}, 0.0, None)
    return Loop(op, {"events": source}, routes, scene, clock=lambda: clock[0]).run()


@pytest.mark.parametrize(("idle_after", "early"), [("30s", True), (None, False)])
def test_a_quiet_partition_is_idle_after_a_while(idle_after: str | None, early: bool) -> None:
    events = mt.stream("events", time="at", out_of_order="0s", idle_after=idle_after, schema=WORDS)
    clock, fired = [0.0], []
    told = [
        Delivery(rows_at(0), {0: 1}, 0, 0),
        Delivery(rows_at(5), {1: 1}, 1, 0),
        Quiet((1,)),
        Delivery(rows_at(70), {0: 2}, 0, 1),
        Quiet((1,)),
    ]
    sink = mt.sinks.Callback(
        lambda rows: fired.extend((clock[0], row["n"]) for row in rows.to_dicts())
    )
    play(events.tumbling("1m").agg(n=mt.count()), Script(*told, clock=clock), [sink], clock)
    assert [n for _, n in fired] == [2, 1]
    assert (fired[0][0] == 100.0) is early


def test_windows_close_on_a_stream_that_has_fallen_silent() -> None:
    events = mt.stream("events", time="at", out_of_order="0s", idle_after="30s", schema=WORDS)
    clock, fired = [0.0], []
    told = [
        Delivery(rows_at(0, 50), {0: 2}, 0, 0),
        *[Quiet((0, 1))] * 8,
        Delivery(rows_at(500), {0: 3}, 0, 2),
    ]
    sink = mt.sinks.Callback(lambda rows: fired.append((clock[0], len(rows))))
    source = Script(*told, clock=clock, each=10.0)
    play(events.tumbling("1m").agg(n=mt.count()), source, [sink], clock)
    # quiet at 20 s, idle at 50 s with the watermark at 0:50, which is at 1:00 ten seconds later
    assert fired == [(60.0, 1), (110.0, 1)]
