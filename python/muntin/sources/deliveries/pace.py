"""Replays the rows of any source at the pace of their times.

A pace decides when the loop gets rows, never which rows or in what order: a run of bounded sources
has the same results with and without a pace.
"""

from __future__ import annotations

import math
import time
from threading import Event
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from muntin.base.errors import SourceError, unknown, with_hint
from muntin.sources.base import Added, Delivery, Polled, Quiet, Reader
from muntin.sources.deliveries.split import partitions_of, split
from muntin.values.order import FIRST, micros, rising, rows_before
from muntin.values.table import table_of

TICK = 0.05
"""Seconds between two deliveries while rows are not overdue."""


class Clock(Protocol):
    """The clock of a pace.

    >>> class Impatient:
    ...     def now(self): return time.monotonic()
    ...     def wait(self, stop, seconds): pass
    >>> Pace(60, by="at", clock=Impatient())
    Pace(60, by='at')
    """

    def now(self) -> float:
        """The monotonic time, in seconds."""

    def wait(self, stop: Event, seconds: float) -> None:
        """Wait for a time, or less if `stop` is set meanwhile."""


class _RealClock:
    def now(self) -> float:
        return time.monotonic()

    def wait(self, stop: Event, seconds: float) -> None:
        stop.wait(seconds)


class Pace:
    """How fast recorded rows are delivered, and by which of their times.

    The start of the run corresponds to the earliest first row of all sources that share the pace,
    so give the *same* pace to all sources of a run; `speed=60` makes one for a single source. A
    pace serves one run after another, not two at once.

    Args:
        speed: how many times faster than recorded; 1 is the recorded speed.
        by: a timestamp, date or `int64` microseconds column; the source's `arrival=` if not
            given. Rows keep their order.
        clock: the clock to use.

    Raises:
        SourceError: the speed is not a number above 0.

    >>> Pace(60, by="at")
    Pace(60, by='at')
    """

    def __init__(self, speed: float, *, by: str | None = None, clock: Clock | None = None) -> None:
        """Keep the arguments; time starts with the first `poll` of a source."""
        number = isinstance(speed, (int, float)) and not isinstance(speed, bool)
        if not (number and math.isfinite(speed) and speed > 0):
            hint = "60 plays an hour in a minute"
            raise SourceError(with_hint(f"speed must be a number above 0, got {speed!r}", hint))
        self._speed = speed
        self._by = by
        self._clock: Clock = _RealClock() if clock is None else clock
        self._readers: list[PacedReader] = []
        self._start: tuple[float, int] | None = None

    def __repr__(self) -> str:
        """The pace as Python code."""
        by = "" if self._by is None else f", by={self._by!r}"
        return f"Pace({self._speed}{by})"

    @property
    def by(self) -> str | None:
        """The column that says when a row is due; None for its arrival."""
        return self._by

    def paced(self, reader: Reader) -> PacedReader:
        """A reader that delivers the rows of another when they are due."""
        paced = PacedReader(reader, self)
        self._readers.append(paced)
        return paced

    def horizon(self) -> int:
        """The last time that is due, in whole ticks since the start, as microseconds."""
        if self._start is None:
            firsts = [first for each in self._readers if (first := each.first()) is not None]
            self._start = (self._clock.now(), min(firsts, default=0))
        ticks, _ = self._ticks()
        return self._start[1] + round(ticks * TICK * self._speed * 1e6)

    def wait(self, stop: Event) -> None:
        """Wait for the next tick, or for `stop`."""
        ticks, seconds = self._ticks()
        self._clock.wait(stop, (ticks + 1) * TICK - seconds)

    def _ticks(self) -> tuple[int, float]:
        """Whole ticks, and seconds, since the start."""
        now = self._clock.now()
        seconds = now - (now if self._start is None else self._start[0])
        # at a tick, a clock may return slightly less than the tick
        return math.floor(seconds / TICK + 1e-6), seconds

    def left(self, reader: PacedReader) -> None:
        """Note that a reader is closed; the last one ends the run."""
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers:
            self._start = None


Speed: TypeAlias = float | Pace | None
"""`speed=` of a source: how many times faster, a pace shared with others, or at once."""


def pace_of(speed: Speed, arrival: str | None, place: str) -> Pace | None:
    """What `speed=` means.

    Raises:
        SourceError: nothing says when a row is due.
    """
    if speed is None:
        return None
    pace = speed if isinstance(speed, Pace) else Pace(speed)
    if pace.by is None and arrival is None:
        hint = 'name a column: arrival="..." or speed=mt.sources.Pace(60, by="...")'
        raise SourceError(with_hint(f"{place}: speed= needs the time of each row", hint))
    return pace


class PacedReader:
    """Another reader's rows, delivered when they are due."""

    def __init__(self, reader: Reader, pace: Pace) -> None:
        """Read ahead by one delivery of `reader`."""
        self._reader = reader
        self._pace = pace
        self._stop = Event()
        self._held: Delivery | None = None
        self._times: Any = None
        self._floor = FIRST
        self._seen: set[int] = set()
        self._ended = False
        self.waited = 0.0
        """Seconds that were spent waiting for rows to be due."""

    def first(self) -> int | None:
        """The time of the first row, in microseconds; None if there is none yet."""
        self._fill()
        if self._held is None or not len(self._times):
            return None
        first = int(self._times[0].as_py())
        return first if first > FIRST else None

    def poll(self) -> Polled:
        """The rows that are due, or `Quiet` if none are, or None at the end."""
        message = self._fill()
        if message is not None:
            return message
        if (due := self._due()) is None and not self._ended:
            start = time.monotonic()
            self._pace.wait(self._stop)
            self.waited += time.monotonic() - start
            due = self._due()
        if due is not None:
            return due
        if self._ended:
            return None
        until = self._pace.horizon() + 1 if self._pace.by is None else None
        return Quiet(tuple(sorted(self._seen)), until)

    def close(self) -> None:
        """Stop reading, and end a wait."""
        self._stop.set()
        self._ended, self._held = True, None
        self._pace.left(self)
        self._reader.close()

    def _fill(self) -> Quiet | Added | None:
        """Buffer the next delivery; returns what the source gave if that was something else."""
        while self._held is None and not self._ended:
            polled = self._reader.poll()
            if polled is None:
                self._ended = True
            elif isinstance(polled, Quiet | Added):
                return polled
            else:
                self._held = polled
                self._times = self._times_of(polled)
                self._seen |= partitions_of(polled.partition)
        return None

    def _times_of(self, delivery: Delivery) -> Any:
        """When each row is due: the running maximum of its time, `int64` microseconds."""
        by = self._pace.by
        if by is None:
            column = pa.array(delivery.arrival)
        else:
            table = table_of(delivery.batch)
            if by not in table.column_names:
                raise SourceError(unknown("column", by, table.column_names, "speed"))
            column = table[by].combine_chunks()
        times = rising(_moments(column, by), self._floor)
        if len(times):
            self._floor = times[-1].as_py()
        return times

    def _due(self) -> Delivery | None:
        held = self._held
        if held is None or self._stop.is_set():
            return None
        count = rows_before(self._times, self._pace.horizon() + 1)
        if not count and len(self._times):
            return None
        if count < len(self._times):
            held, self._held = split(held, count)
            self._times = self._times.slice(count)
        else:
            self._held = None
        return held


def _moments(column: Any, by: str | None) -> Any:
    """A column of times as `int64` microseconds.

    Raises:
        SourceError: it is not one.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return micros(column)
    if not (pa.types.is_integer(kind) or pa.types.is_null(kind)):
        hint = "it says when a row is due: a timestamp, a date, or int64 microseconds"
        raise SourceError(with_hint(f'speed: the column "{by}" is a {kind}', hint))
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise SourceError(f'speed: the column "{by}" does not fit int64: {error}') from error
