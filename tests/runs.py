"""Small streams and sources for tests of the loop."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

import muntin as mt

START = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
WORDS = {"at": "timestamp[us, UTC]", "k": "str", "v": "i64"}
EVENTS = mt.stream("events", time="at", out_of_order="5s", schema=WORDS)
MINUTES = EVENTS.tumbling("1m", by="k").agg(n=mt.count(), total=mt.sum("v"))


def rows_at(*seconds: float) -> pa.Table:
    times = [START + dt.timedelta(seconds=s) for s in seconds]
    return pa.table({"at": times, "k": ["a"] * len(times), "v": [1] * len(times)})


class Script:
    """A source that hands over, or raises, what it was told, and moves a clock at each poll."""

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
        told = next(self.polls, None)
        if isinstance(told, Exception):
            raise told
        return told

    def close(self) -> None:
        pass


class Cut(Exception):
    """What cuts a run short."""


class CutShort(mt.sources.Arrow):
    """A source that breaks after some polls."""

    def __init__(self, table: pa.Table, polls: float) -> None:
        super().__init__(table, batch_rows=3)
        self.polls = polls

    def open(self, schema: Any, positions: Any) -> Any:
        reader = super().open(schema, positions)
        left, poll = [self.polls], reader.poll

        def counted() -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Cut
            return poll()

        reader.poll = counted
        return reader
