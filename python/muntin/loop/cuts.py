"""Parts rows at the time where the history of an input ends and its live rows begin."""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.checkpoint.manifest import Cut
from muntin.engine.event_times import event_times
from muntin.engine.feeds import Feed
from muntin.engine.operator import Operator
from muntin.loop.intake import Reading
from muntin.values.order import micros
from muntin.values.table import table_of

_log = logging.getLogger("muntin.run")


class Skipping:
    """Leaves out rows of live sources that were in the history, by the clock that ended it."""

    def __init__(self, op: Operator, cuts: Mapping[str, Cut]) -> None:
        """Leave out rows before these cuts."""
        self._op = op
        self._cuts = cuts
        self.skipped: Counter[str] = Counter()
        """Rows left out, by input."""

    def rest(self, reading: Reading) -> Reading:
        """The rows that were not in the history."""
        if not self._cuts:
            return reading
        return replace(reading, feeds=list(filter(None, map(self._after, reading.feeds))))

    def _after(self, feed: Feed) -> Feed | None:
        name = str(feed.input)
        cut = self._cuts.get(name)
        if cut is None or (cut.clock == "arrival" and feed.arrival is None):
            return feed
        early, kept = parted(self._op, feed, cut)
        if early is not None:
            if not self.skipped[name]:
                text = 'input "%s": rows of before %s were in the history and are left out'
                at = dt.datetime.fromtimestamp(cut.until / 1e6, dt.UTC)
                _log.info(text, name, at.isoformat(), extra={"event": "history_skipped"})
            rows: Any = early.batch
            self.skipped[name] += len(rows)
        return kept


def parted(op: Operator, feed: Feed, cut: Cut) -> tuple[Feed | None, Feed | None]:
    """The rows before a cut, and the others; a row without a time is one of the others."""
    batch: Any = feed.batch
    table = table_of(batch)
    if cut.clock == "time":
        times = event_times(op, str(feed.input), table)
    else:
        times = _micros(feed.arrival, len(table))
    early = pc.fill_null(pc.less(times, cut.until), False)
    if not (count := pc.sum(early).as_py()):
        return None, feed
    if count == len(table):
        return feed, None
    return _filtered(feed, table, early), _filtered(feed, table, pc.invert(early))


def _micros(arrival: Any, rows: int) -> Any:
    if isinstance(arrival, int):
        return pa.array([arrival] * rows, pa.int64())
    found = pa.array(arrival)
    return micros(found) if pa.types.is_timestamp(found.type) else found.cast(pa.int64())


def _filtered(feed: Feed, table: Any, keep: Any) -> Feed:
    position: Any = feed.position
    if isinstance(position, int):
        position = pa.array(range(position, position + len(table)), pa.int64())

    def kept(column: Any) -> Any:
        return (
            column if column is None or isinstance(column, int) else pa.array(column).filter(keep)
        )

    return Feed(
        feed.input, table.filter(keep), kept(feed.partition), kept(position), kept(feed.arrival)
    )
