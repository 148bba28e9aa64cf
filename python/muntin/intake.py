"""Sources to steps: who is read when, and how the rows of several inputs are merged.

Bounded sources are merged row by row, by recorded arrival if each has it, else by the running
maximum of event time, ties by input. A cut is made only between two different times, so how the
sources cut their rows into batches changes nothing. Sources that do not end are taken as they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.merge import FIRST, LAST, is_sorted, micros, rising, rows_before, runs
from muntin.operator import Feed, Order
from muntin.result import table_of
from muntin.sources import Delivery, Quiet, Reader, Undecodable

Times = Callable[[str, Any], Any]
"""The event times of an input's rows, `int64` microseconds."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one round of reading brought.

    Attributes:
        feeds: rows for one step.
        order: how the step merges them.
        undecodable: for each input, what could not be made into rows.
        quiet: (input, partition) pairs that were asked and had nothing.
        ended: inputs that have no more rows, where others go on.
    """

    feeds: list[Feed] = field(default_factory=list)
    order: Order = "given"
    undecodable: list[tuple[str, Undecodable]] = field(default_factory=list)
    quiet: list[tuple[str, int]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def rows(self) -> Counter[str]:
        """How many rows there are of each input."""
        counts: Counter[str] = Counter()
        for feed in self.feeds:
            table: Any = feed.batch
            counts[str(feed.input)] += len(table)
        return counts


def as_they_come(readers: Mapping[str, Reader]) -> Iterator[Taken]:
    """Ask each reader in turn until all have ended."""
    open_readers = dict(readers)
    while open_readers:
        for name, reader in list(open_readers.items()):
            match reader.poll():
                case None:
                    del open_readers[name]
                    yield Taken(ended=[name])
                case Quiet(partitions):
                    yield Taken(quiet=[(name, partition) for partition in partitions])
                case Delivery() as delivery:
                    bad = [(name, record) for record in delivery.undecodable]
                    feed = _feed(name, delivery)
                    yield Taken([feed] if feed else [], undecodable=bad)


def merged(readers: Mapping[str, Reader], times: Times) -> Iterator[Taken]:
    """Merge readers that end, row by row."""
    queues = [_Queue(name, reader, times) for name, reader in readers.items()]
    while True:
        for queue in queues:
            queue.fill()
        cut = min(queue.last for queue in queues)
        taken = [(queue.name, queue.take(cut)) for queue in queues]
        parts = [(name, part) for name, part in taken if part is not None]
        bad = [(queue.name, record) for queue in queues for record in queue.undecodable()]
        if parts or bad:
            yield _step(parts, bad)
        if all(queue.ended for queue in queues):
            return
        for queue in queues:
            # everything held has the time of the cut: more is needed to see its end
            if queue.last == cut:
                queue.fill(more=True)


@dataclass(frozen=True, slots=True)
class _Part:
    table: Any
    keys: Any
    times: Any
    partition: Any
    position: Any
    arrival: Any

    def slice(self, start: int, stop: int) -> _Part:
        columns = (self.table, self.keys, self.times, self.partition, self.position, self.arrival)
        return _Part(*(None if c is None else c.slice(start, stop - start) for c in columns))

    @property
    def arrives_in_order(self) -> bool:
        """True if the engine, which orders ties by partition, would merge the rows as given."""
        if self.arrival is None or self.arrival.null_count or not is_sorted(self.arrival):
            return False
        return self.partition is None or len(pc.unique(self.partition)) == 1

    def feed(self, name: str) -> Feed:
        return Feed(name, self.table, self.partition, self.position, self.arrival)


class _Queue:
    """The rows of one reader that have been read and not yet taken, with their merge keys."""

    def __init__(self, name: str, reader: Reader, times: Times) -> None:
        self.name = name
        self.ended = False
        self._reader = reader
        self._times = times
        self._held: list[_Part] = []
        self._bad: list[Undecodable] = []
        self._floor = FIRST

    @property
    def last(self) -> int:
        """The greatest key that is known to be complete up to, exclusive; LAST at the end."""
        return LAST if self.ended else self._floor

    def fill(self, *, more: bool = False) -> None:
        """Read until there are rows, or one batch more than there are."""
        while not self.ended and (more or not self._held):
            polled = self._reader.poll()
            if polled is None:
                self.ended = True
            elif isinstance(polled, Delivery):
                self._bad.extend(polled.undecodable)
                part = self._part(polled)
                if len(part.table):
                    self._held.append(part)
                    self._floor = part.keys[-1].as_py()
                    more = False

    def take(self, cut: int) -> _Part | None:
        """The rows whose key is below the cut, all of them at the end; None if there are none."""
        taken, kept = [], []
        for part in self._held:
            count = len(part.table) if cut == LAST else rows_before(part.keys, cut)
            if count:
                taken.append(part.slice(0, count))
            if count < len(part.table):
                kept.append(part.slice(count, len(part.table)))
        self._held = kept
        return _glued(taken) if taken else None

    def undecodable(self) -> list[Undecodable]:
        """What could not be made into rows since the last call."""
        bad, self._bad = self._bad, []
        return bad

    def _part(self, delivery: Delivery) -> _Part:
        table = table_of(delivery.batch)
        rows = len(table)
        times = self._times(self.name, table) if rows else pa.array([], pa.int64())
        arrival = _arrival(delivery.arrival)
        keys = rising(times if arrival is None else arrival, self._floor)
        return _Part(
            table,
            keys,
            times,
            _per_row(delivery.partition, rows, step=0),
            _per_row(delivery.position, rows, step=1),
            arrival,
        )


def _step(named: Sequence[tuple[str, _Part]], bad: list[tuple[str, Undecodable]]) -> Taken:
    if len(named) < 2:
        return Taken([part.feed(name) for name, part in named], "given", bad)
    if all(part.arrival is None and is_sorted(part.times) for _, part in named):
        return Taken([part.feed(name) for name, part in named], "time", bad)
    if all(part.arrives_in_order for _, part in named):
        return Taken([part.feed(name) for name, part in named], "arrival", bad)
    feeds = [
        named[i][1].slice(start, stop).feed(named[i][0])
        for i, start, stop in runs([part.keys for _, part in named])
    ]
    return Taken(feeds, "given", bad)


def _glued(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]

    def column(name: str) -> Any:
        pieces = [getattr(part, name) for part in parts]
        return None if pieces[0] is None else pa.concat_arrays(pieces)

    names = ("keys", "times", "partition", "position", "arrival")
    return _Part(pa.concat_tables([part.table for part in parts]), *map(column, names))


def _feed(name: str, delivery: Delivery) -> Feed | None:
    table = table_of(delivery.batch)
    if not len(table):
        return None
    return Feed(name, table, delivery.partition, delivery.position, delivery.arrival)


def _per_row(value: Any, rows: int, *, step: int) -> Any:
    if value is None:
        return None
    if isinstance(value, int):
        each = range(value, value + rows) if step else [value] * rows
        return pa.array(each, pa.int64())
    return pa.array(value)


def _arrival(value: Any) -> Any:
    if value is None:
        return None
    array = pa.array(value)
    return micros(array) if pa.types.is_timestamp(array.type) else array.cast(pa.int64())
