"""Fills the state of a run from earlier rows, whose results nobody sees.

The history ends where the live source begins. If both read the same topics, that is an offset in
each partition. If the live source begins at a time, it is that time: by recorded arrival if the
history has it, else by event time, and rows of the live source before it are left out by the same
clock. Otherwise the history is read to its end, and the live source from its beginning.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

from muntin.base.errors import PlanError, SourceError, unknown, with_hint
from muntin.checkpoint.manifest import Clock, Cut, History
from muntin.engine.event_times import event_times
from muntin.engine.feeds import Feed
from muntin.engine.operator import Operator
from muntin.loop.cuts import parted
from muntin.loop.intake import Reading, as_they_come, merged
from muntin.sources import Given, Source, source_of
from muntin.sources.base import Continuing, Reader, opened
from muntin.sources.deliveries.once import Once, given
from muntin.sources.deliveries.pace import PacedReader

_log = logging.getLogger("muntin.run")

Past = Given | str | dt.datetime
"""A source of earlier rows, or an earlier start of the live one."""


@dataclass(frozen=True, slots=True)
class Before:
    """The history of one input, and where the live rows begin.

    Attributes:
        source: the history; it ends.
        begins: the position at which each partition of the live source begins; None: unknown.
        until: the time at which the live source begins, in microseconds since 1970; None: the
            history is read to its end.
        shares: whether its partitions are those of the live source, all of them.
        lacks: how many partitions of the live source it does not have.
    """

    source: Source
    begins: Mapping[int, int] | None = None
    until: int | None = None
    shares: bool = False
    lacks: int = 0


def histories_given(
    history: Past | Mapping[str, Past] | None, sources: Mapping[str, Source]
) -> dict[str, Any]:
    """The history of each input that has one: a source, or an earlier start of the live one.

    Raises:
        PlanError: there is no such input, or its source cannot follow this history.
        SourceError: something is not a source.
    """
    if history is None:
        return {}
    if not isinstance(history, Mapping):
        if len(sources) > 1:
            hint = "give a dict: the input's name to its history"
            raise PlanError(with_hint(f"history= for which of {list(sources)}?", hint))
        history = dict.fromkeys(sources, history)
    found: dict[str, Any] = {}
    for name, past in history.items():
        if name not in sources:
            raise PlanError(unknown("input", name, list(sources), "history"))
        live = given(sources[name])
        if isinstance(past, str | dt.datetime):
            found[name] = _start_given(name, past, live)
            continue
        found[name] = source = source_of(past)
        if source is live or (_paths(source) and _paths(source) == _paths(live)):
            hint = "the history holds the rows before those of the source"
            message = f'input "{name}": the history is the source itself, so its rows count twice'
            raise PlanError(with_hint(message, hint))
    return found


def _paths(source: Source) -> set[str]:
    return set(source.reads()) if hasattr(source, "reads") else set()


def _start_given(name: str, past: str | dt.datetime, live: Source) -> str | dt.datetime:
    if not isinstance(live, Continuing):
        source_of(past)  # the error for a path names the source that fits
        message = f'input "{name}": history={past!r} is not a source'
        raise PlanError(with_hint(message, "a start is for sources of Kafka"))
    return past


def sources_of(history: Mapping[str, Any]) -> dict[str, Source]:
    """The histories that are sources of their own, under names that no input has."""
    found = {
        name: past for name, past in history.items() if not isinstance(past, str | dt.datetime)
    }
    return {f"history of {name}": past for name, past in found.items()}


def befores(history: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, Before]:
    """Find where each history ends.

    Raises:
        PlanError: rows between the history and the live source would be missing.
        SourceError: a source cannot be read.
    """
    return {name: _before(name, past, given(sources[name])) for name, past in history.items()}


def _before(name: str, past: Any, live: Source) -> Before:
    if not isinstance(live, Continuing):
        return _apart(name, past, live)
    begins = live.begins()
    if (same := live.before(past, begins)) is not None:
        return Before(same, begins, shares=True)
    return replace(_apart(name, past, live), begins=begins, until=live.begins_at)


def _apart(name: str, past: Source, live: Source) -> Before:
    source = past if past.bounded else Once(past)
    here, there = source.partitions(), set(live.partitions())
    for each in here:
        if each not in there:
            hint = "partition= names the column with the number that a row's partition has there"
            message = f'input "{name}": the history has partition {each}, the source has not'
            raise PlanError(with_hint(message, hint))
    return Before(source, lacks=len(there) - len(here))


@dataclass(slots=True)
class Filling:
    """Fills the state of an operator, once.

    Attributes:
        op: the operator.
        befores: the history of each input that has one.
        rows: rows taken so far, by input.
        late: records of late rows, which nobody gets.
        invalid: records of invalid rows, including those that could not be decoded.
    """

    op: Operator
    befores: Mapping[str, Before]
    rows: Counter[str] = field(default_factory=Counter)
    late: int = 0
    invalid: int = 0
    _clocks: dict[str, Clock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that each partition that has a state of its own gets it.

        Raises:
            PlanError: the rows of all partitions would go to one of them.
        """
        for name, before in self.befores.items():
            if self.op.scope.is_partition and before.lacks and len(before.source.partitions()) == 1:
                hint = "partition= names the column with the number that a row's partition has "
                hint += "there; or leave partitioned_by= out"
                message = f'input "{name}": each partition of the source has a state of its own, '
                message += "but the history has one partition"
                raise PlanError(with_hint(message, hint))

    @property
    def total(self) -> int | None:
        """How many rows there are, at most; None if that is unknown."""
        totals = [each.source.total for each in self.befores.values()]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None

    @property
    def begins(self) -> dict[str, Mapping[int, int]]:
        """Where live sources begin, of those that know it."""
        found = {name: before.begins for name, before in self.befores.items()}
        return {name: begins for name, begins in found.items() if begins is not None}

    @property
    def later(self) -> Collection[str]:
        """Inputs whose live source is opened when the state is full: it is known to be there."""
        return self.begins.keys()

    def log(self, run: str) -> None:
        """Say what was taken, and what nobody gets."""
        rows = self.rows.total()
        facts = {"event": "history", "run": run, "rows": rows}
        facts |= {"late": self.late, "invalid": self.invalid}
        level = logging.WARNING if self.invalid else logging.INFO
        text = "the state is filled with %s rows of history; not reported: %d late, %d invalid"
        _log.log(level, text, f"{rows:,}", self.late, self.invalid, extra=facts)

    def readings(self) -> Iterator[Reading]:
        """Read the history; the caller steps the operator with each reading.

        Raises:
            SourceError: it cannot be read.
        """
        self.rows.update(dict.fromkeys(self.befores, 0))
        with ExitStack() as stack:
            readers = {
                name: stack.enter_context(closing(self._opened(name))) for name in self.befores
            }
            if len(readers) > 1:
                found = merged(readers, lambda name, table: event_times(self.op, name, table))
            else:
                found = as_they_come(readers)
            for reading in found:
                self.invalid += len(reading.undecodable)
                yield replace(reading, feeds=list(filter(None, map(self._cut, reading.feeds))))

    def took(self, reading: Reading, late: int, invalid: int) -> None:
        """Count what a step has taken."""
        self.rows.update(reading.rows())
        self.late += late
        self.invalid += invalid

    def done(self) -> History:
        """What a checkpoint keeps of it."""
        cuts = {
            name: Cut(self._clocks[name], before.until)
            for name, before in self.befores.items()
            if before.until is not None and name in self._clocks
        }
        return History(dict(self.rows), dict(self.op.stats["alerts"]), cuts)

    def _opened(self, name: str) -> Reader:
        words = self.op.input_plan(name)["schema"]
        declared = None if words is None else [(column, word) for column, word in words]
        reader = opened(self.befores[name].source, declared, {}, None)
        if isinstance(reader, PacedReader):
            reader.close()
            hint = "leave out speed=: a history is read as fast as possible"
            raise SourceError(with_hint(f'input "{name}": a history with speed=', hint))
        return reader

    def _cut(self, feed: Feed) -> Feed | None:
        """The rows before the live source begins."""
        name = str(feed.input)
        until = self.befores[name].until
        if until is None:
            return feed
        clock: Clock = "time" if feed.arrival is None else "arrival"
        if self._clocks.setdefault(name, clock) != clock:
            message = f'input "{name}": only some rows of the history have a recorded arrival'
            raise SourceError(with_hint(message, "leave out arrival=, or fill the column"))
        kept, _ = parted(self.op, feed, Cut(clock, until))
        return kept
