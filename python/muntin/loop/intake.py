"""Reads the sources in turn, and merges the rows of bounded inputs.

Bounded sources are merged row by row, by recorded arrival if each has it, else by the running
maximum of event time, ties by input. Rows are split only between two different times, so the
batches of the sources do not change the result. Unbounded sources are read in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import SourceError, with_hint
from muntin.engine.feeds import Feed
from muntin.engine.operator import Order
from muntin.sources import Added, Delivery, Quiet, Reader, Undecodable
from muntin.sources.deliveries.split import split
from muntin.values.order import FIRST, LAST, is_sorted, micros, rising, rows_before, runs
from muntin.values.table import table_of

Times = Callable[[str, Any], Any]
"""The event times of an input's rows, `int64` microseconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of one round of reading.

    Attributes:
        feeds: rows for one step.
        order: how the step merges them.
        undecodable: for each input, records that could not be decoded.
        quiet: (input, partition) pairs that were polled and had no rows.
        lost: (input, partition) pairs of which nothing is known for now.
        added: (input, partition) pairs that are new.
        ended: inputs that have no more rows.
        waited: seconds of it that the sources waited for rows.
        resume: for each input and partition in it, the position after its last row.
        marks: the newest mark of each input whose source has marks.
    """

    feeds: list[Feed] = field(default_factory=list)
    order: Order = "given"
    undecodable: list[tuple[str, Undecodable]] = field(default_factory=list)
    quiet: list[tuple[str, int]] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)
    added: list[tuple[str, int]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    waited: float = 0.0
    resume: list[tuple[str, int, int]] = field(default_factory=list)
    marks: list[tuple[str, object]] = field(default_factory=list)

    def rows(self) -> Counter[str]:
        """How many rows there are of each input."""
        counts: Counter[str] = Counter()
        for feed in self.feeds:
            table: Any = feed.batch
            counts[str(feed.input)] += len(table)
        return counts


def as_they_come(readers: Mapping[str, Reader]) -> Iterator[Reading]:
    """Poll each reader in turn until all have ended."""
    open_readers = dict(readers)
    while open_readers:
        for name, reader in list(open_readers.items()):
            before = _waited(reader)
            polled = reader.poll()
            waited = _waited(reader) - before
            match polled:
                case None:
                    del open_readers[name]
                    yield Reading(ended=[name], waited=waited)
                case Quiet(partitions=partitions, lost=lost):
                    quiet = [(name, partition) for partition in partitions]
                    gone = [(name, partition) for partition in lost]
                    yield Reading(quiet=quiet, lost=gone, waited=inf)
                case Added(partitions=partitions):
                    added = [(name, partition) for partition in partitions]
                    yield Reading(added=added, waited=waited)
                case Delivery() as delivery:
                    bad = [(name, record) for record in delivery.undecodable]
                    feed = _feed(name, delivery)
                    resume = [(name, part, at) for part, at in delivery.resume.items()]
                    marks = [] if delivery.mark is None else [(name, delivery.mark)]
                    feeds = [feed] if feed else []
                    yield Reading(feeds, undecodable=bad, waited=waited, resume=resume, marks=marks)


def _waited(reader: Reader) -> float:
    return float(getattr(reader, "waited", 0.0))


def merged(readers: Mapping[str, Reader], times: Times) -> Iterator[Reading]:
    """Merge readers that end, row by row."""
    queues = [_Queue(name, reader, times) for name, reader in readers.items()]
    while True:
        for queue in queues:
            queue.fill()
        cut = min(queue.last for queue in queues)
        parts = [(queue.name, part) for queue in queues for part in queue.take(cut)]
        if parts:
            yield _step(parts)
        elif any(queue.quiet for queue in queues):
            yield Reading(waited=inf)
        if all(queue.ended for queue in queues):
            yield Reading(ended=[queue.name for queue in queues])
            return
        for queue in queues:
            # all buffered rows have the time of the cut: read on to find where that time ends
            if queue.last == cut:
                queue.fill(more=True)


_ROWS = ("table", "keys", "times", "partition", "position", "arrival")


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one delivery, and the bad records between them."""

    table: Any
    keys: Any
    times: Any
    partition: Any
    position: Any
    arrival: Any
    bad: tuple[Undecodable, ...]
    resume: Mapping[int, int]
    mark: object | None = None
    start: object | None = None

    def cut(self, at: int) -> tuple[_Part, _Part]:
        """The first rows and the rest; a bad record goes with the row before it."""
        if self.position is None:
            hint = "it must give positions to be merged with others"
            raise SourceError(with_hint("a source without positions", hint))
        whole = Delivery(
            self.table,
            self.resume,
            self.partition,
            self.position,
            self.arrival,
            self.bad,
            self.mark,
            self.start,
        )
        first, rest = split(whole, at)
        return (
            replace(
                self._slice(0, at), bad=first.undecodable, resume=first.resume, mark=self.start
            ),
            replace(self._slice(at, len(self.table)), bad=rest.undecodable, resume=rest.resume),
        )

    def _slice(self, start: int, stop: int) -> _Part:
        def sliced(column: Any) -> Any:
            return None if column is None else column.slice(start, stop - start)

        return replace(self, **{name: sliced(getattr(self, name)) for name in _ROWS})

    @property
    def arrives_in_order(self) -> bool:
        """True if the engine, which orders ties by partition, would keep the order of the rows."""
        if self.arrival is None or self.arrival.null_count or not is_sorted(self.arrival):
            return False
        return self.partition is None or len(pc.unique(self.partition)) == 1

    def feed(self, name: str, start: int = 0, stop: int | None = None) -> Feed:
        part = self if stop is None else self._slice(start, stop)
        return Feed(name, part.table, part.partition, part.position, part.arrival)


class _Queue:
    """Buffered rows of one reader, with their merge keys."""

    def __init__(self, name: str, reader: Reader, times: Times) -> None:
        self.name = name
        self.ended = False
        self.quiet = False
        self._reader = reader
        self._times = times
        self._held: list[_Part] = []
        self._floor = FIRST

    @property
    def last(self) -> int:
        """All keys below this one are complete; LAST at the end."""
        return LAST if self.ended else self._floor

    def fill(self, *, more: bool = False) -> None:
        """Read until there are rows, or with `more` one further batch; stop if none are there."""
        self.quiet = False
        while not self.ended and (more or not any(len(part.table) for part in self._held)):
            polled = self._reader.poll()
            if polled is None:
                self.ended = True
            elif isinstance(polled, Delivery):
                part = self._part(polled)
                self._held.append(part)
                if len(part.table):
                    self._floor = part.keys[-1].as_py()
                    more = False
            elif isinstance(polled, Added):
                hint = "only a source without an end may add partitions"
                raise SourceError(with_hint(f'input "{self.name}": {polled!r}', hint))
            else:
                self.quiet = True
                self._floor = max(self._floor, FIRST if polled.until is None else polled.until)
                return

    def take(self, cut: int) -> list[_Part]:
        """The rows with a key below the cut (all of them at the end), as at most one part."""
        taken: list[_Part] = []
        while self._held:
            part = self._held[0]
            count = len(part.table) if cut == LAST else rows_before(part.keys, cut)
            if count < len(part.table):
                if count:
                    first, self._held[0] = part.cut(count)
                    taken.append(first)
                break
            taken.append(self._held.pop(0))
        return [_glued(taken)] if taken else []

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
            delivery.undecodable,
            delivery.resume,
            delivery.mark,
            delivery.start,
        )


def _step(named: Sequence[tuple[str, _Part]]) -> Reading:
    bad = [(name, record) for name, part in named for record in part.bad]
    resume = [(name, *at) for name, part in named for at in part.resume.items()]
    marks = [(name, part.mark) for name, part in named if part.mark is not None]
    more: dict[str, Any] = {"undecodable": bad, "resume": resume, "marks": marks}
    filled = [(name, part) for name, part in named if len(part.table)]
    if len(filled) < 2:
        feeds = [part.feed(name) for name, part in filled]
        return Reading(feeds, **more)
    if all(part.arrival is None and is_sorted(part.times) for _, part in filled):
        feeds = [part.feed(name) for name, part in filled]
        return Reading(feeds, "time", **more)
    if all(part.arrives_in_order for _, part in filled):
        feeds = [part.feed(name) for name, part in filled]
        return Reading(feeds, "arrival", **more)
    feeds = [
        filled[i][1].feed(filled[i][0], start, stop)
        for i, start, stop in runs([part.keys for _, part in filled])
    ]
    return Reading(feeds, **more)


def _glued(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    filled = [part for part in parts if len(part.table)] or parts[:1]

    def column(name: str) -> Any:
        pieces = [getattr(part, name) for part in filled]
        return None if pieces[0] is None else pa.concat_arrays(pieces)

    bad = tuple(record for part in parts for record in part.bad)
    resume = {partition: at for part in parts for partition, at in part.resume.items()}
    mark = next((part.mark for part in reversed(parts) if part.mark is not None), None)
    table = pa.concat_tables([part.table for part in filled])
    columns = {name: column(name) for name in _ROWS if name != "table"}
    return replace(filled[0], table=table, bad=bad, resume=resume, mark=mark, **columns)


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
