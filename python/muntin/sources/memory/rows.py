"""Reads rows from Python: lists, generators and functions that give dicts or Arrow objects."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from inspect import isasyncgen, isasyncgenfunction, iscoroutinefunction
from itertools import islice
from threading import Event, Thread
from typing import Any, TypeAlias

import pyarrow as pa

from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import Delivery, Quiet, Reader, Words
from muntin.sources.decode.decoded import Bad, Decoded, Roles, no_rows
from muntin.sources.decode.fitting import fitting, schema_of
from muntin.sources.deliveries.batches import Fit, all_batches_of
from muntin.sources.deliveries.columns import distinct_partitions
from muntin.sources.deliveries.pace import Speed, pace_of
from muntin.sources.deliveries.placed import OnBad, Placed, check_bad
from muntin.sources.deliveries.places import Places
from muntin.sources.deliveries.split import rows_of, split
from muntin.values.protocols import ArrowArrayExportable, ArrowStreamExportable
from muntin.values.rows import arrow_schema

Row: TypeAlias = Mapping[str, Any] | ArrowStreamExportable | ArrowArrayExportable
"""A row as a dict, or several as an Arrow object."""

GATHER_SECONDS = 0.05
"""How long slowly arriving rows are collected before they are delivered."""

_SHOWN = 1024


class Rows:
    """A source of rows from Python code: dicts, one row each, or Arrow objects.

    A list, or anything that can be iterated again, starts over with each run; so does a function
    without arguments that makes a generator. A generator itself can be read only once: a run with a
    checkpoint refuses it, since the next run could not resume.

    Values are converted by the schema as in `mt.operator(...).push`; fields that it does not name
    are ignored. A row whose values do not fit, or that is not a dict, is an invalid record
    with the reason `undecodable`. The position of a row is the number of rows before it; with
    `partition=`, the number of its partition's rows before it.

    A generator runs on the thread of the run, and the source ends with it: open windows fire. With
    `live=True` it runs on its own thread and may take any time between two rows: each row is
    delivered as it comes, windows close by `idle_after`, and the run can be stopped meanwhile.

    Args:
        rows: a list, an iterator, or a function that makes one.
        schema: column to type. Without it the stream's schema is used, and without that the first
            rows decide: ISO 8601 text becomes a timestamp.
        arrival: the field with the recorded arrival time, timestamp or `int64` microseconds.
        partition: the integer field with each row's partition; a row must have it.
        partitions: the values it can have. Without them the rows are read once more, before the
            run, to find them.
        live: the rows arrive over time.
        speed: replay rows at their recorded pace, this many times faster; see `mt.sources.Pace`.
        batch_rows: the maximum number of rows in a step.
        bad: "record" makes an item that is not a row an invalid record; "stop" ends the run with an
            error that names the position and what is wrong.

    Raises:
        SourceError: the rows are not rows, or the code that makes them fails.

    >>> Rows([{"n": 1}, {"n": 2}]).total
    2
    >>> Rows({"n": n} for n in range(3)).replayable
    False
    """

    def __init__(
        self,
        rows: Iterable[Row] | Callable[[], Iterable[Row]],
        *,
        schema: Mapping[str, str] | None = None,
        arrival: str | None = None,
        partition: str | None = None,
        partitions: Sequence[int] | None = None,
        live: bool = False,
        speed: Speed = None,
        batch_rows: int = 16_384,
        bad: OnBad = "record",
    ) -> None:
        """Keep the rows; they are read only when needed."""
        _check_rows(rows)
        if batch_rows < 1:
            raise SourceError(f"Rows: batch_rows must be at least 1, got {batch_rows}")
        self._rows = [rows] if _is_arrow(rows) else rows
        self._schema = None if schema is None else arrow_schema(schema.items())
        self._roles = Roles(arrival, partition)
        self._partitions = None if partitions is None else tuple(partitions)
        self._live = live
        self._pace = pace_of(speed, arrival, "Rows")
        self._batch_rows = batch_rows
        check_bad(bad, "Rows")
        self._bad: OnBad = bad
        if partition is not None and partitions is None and (live or not self.replayable):
            hint = "they must be known before the first row: partitions=[0, 1]"
            raise SourceError(with_hint("Rows: partition= of a generator needs partitions=", hint))

    def __repr__(self) -> str:
        """The kind of its rows."""
        what = "function" if callable(self._rows) else type(self._rows).__name__
        return f"Rows({what}{', live=True' if self._live else ''})"

    @property
    def bounded(self) -> bool:
        """False if the rows arrive over time."""
        return not self._live

    @property
    def replayable(self) -> bool:
        """Whether the rows can be iterated again."""
        return callable(self._rows) or iter(self._rows) is not self._rows

    @property
    def total(self) -> int | None:
        """The number of rows in a list of dicts."""
        if not isinstance(self._rows, Sequence) or not all(map(_is_dict, self._rows)):
            return None
        return len(self._rows)

    def for_once(self) -> Rows:
        """The same rows, not live."""
        found = copy(self)
        found._live = False
        return found

    def partitions(self) -> Sequence[int]:
        """The partitions in `partitions=`, else those of the rows, which are read to find them."""
        if self._roles.partition is None:
            return (0,)
        if self._partitions is None:
            roles = Roles(None, self._roles.partition)
            reader = self._reader(roles.added(pa.schema([])), roles, Places({}), (0,))
            found = iter(reader.poll, None)
            columns = [d.partition for d in found if isinstance(d, Delivery) and rows_of(d)]
            self._partitions = tuple(distinct_partitions(columns))
        return self._partitions

    def identity(self) -> Sequence[str]:
        """A fixed name, since rows in memory have none."""
        return ("Rows",)

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> Reader:
        """Start at the first row, or after those that an earlier run has read."""
        declared = self._schema
        if declared is None and schema is not None:
            declared = arrow_schema(schema)
        reader = self._reader(declared, self._roles, Places(positions), self.partitions())
        return reader if self._pace is None else self._pace.paced(reader)

    def _reader(
        self, schema: Any | None, roles: Roles, places: Places, partitions: Sequence[int]
    ) -> _RowsReader:
        hidden = set() if schema is None else set(roles.added(schema).names) - set(schema.names)
        placed = Placed(places, roles, partitions, hidden, self._bad)
        decoder = _Decoder(schema, roles)
        given = _called(self._rows) if callable(self._rows) else iter(self._rows)
        pull = _Live(given, self._batch_rows) if self._live else _Pulled(given)
        return _RowsReader(pull, decoder, placed, self._batch_rows)


class _RowsReader:
    """Rows being read."""

    def __init__(
        self, pull: _Pulled | _Live, decoder: _Decoder, placed: Placed, batch_rows: int
    ) -> None:
        self._pull = pull
        self._decoder = decoder
        self._placed = placed
        self._batch_rows = batch_rows
        self._ready: deque[Delivery] = deque()
        self._closed = False

    def poll(self) -> Delivery | Quiet | None:
        """The next rows, `Quiet` if none has come, or None at the end."""
        while not self._ready:
            if self._closed:
                return None
            items = self._pull.next(self._batch_rows)
            if items is None:
                self._placed.places.end("Rows")
                return None
            if not items:
                return Quiet(self._placed.partitions)
            for decoded in self._decoder(items):
                self._keep(self._placed("", decoded))
        return self._ready.popleft()

    @property
    def waited(self) -> float:
        """Seconds that were spent waiting for rows."""
        return self._pull.waited

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._pull.close()
        self._ready.clear()

    def _keep(self, left: Delivery | None) -> None:
        if left is None:
            return
        while rows_of(left) > self._batch_rows:
            first, left = split(left, self._batch_rows)
            self._ready.append(first)
        self._ready.append(left)


class _Pulled:
    """Items that are read on demand."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._count = 0
        self.waited = 0.0

    def next(self, count: int) -> list[Any] | None:
        """Some items, or None at the end."""
        found: list[Any] = []
        start = time.monotonic()
        try:
            for item in islice(self._items, count):
                found.append(item)
                self._count += 1
                if time.monotonic() - start >= GATHER_SECONDS:
                    break
        except Exception as error:
            raise _failed(error, self._count) from error
        return found or None

    def close(self) -> None:
        """Close a generator."""
        if hasattr(self._items, "close"):
            self._items.close()
        self._items = iter(())


class _Live:
    """Items that a thread reads, so that the run does not wait for them."""

    def __init__(self, items: Iterator[Any], count: int) -> None:
        self._items = items
        self._came: queue.Queue[Any] = queue.Queue(count)
        self._ended = object()
        self._stop = Event()
        self._error: Exception | None = None
        self._count = 0
        self.waited = 0.0
        self._thread = Thread(target=self._run, name="muntin-rows", daemon=True)
        self._thread.start()

    def next(self, count: int) -> list[Any] | None:
        """The items that have come, which may be none, or None at the end."""
        found: list[Any] = []
        while len(found) < count:
            try:
                item = self._came.get_nowait() if found else self._first()
            except (queue.Empty, ValueError):
                break
            if item is self._ended:
                # the end is found again at the next call
                self._came.put(item)
                if found:
                    break
                if self._error is not None:
                    raise _failed(self._error, self._count) from self._error
                return None
            found.append(item)
        return found

    def _first(self) -> Any:
        start = time.monotonic()
        try:
            return self._came.get(timeout=GATHER_SECONDS)
        finally:
            self.waited += time.monotonic() - start

    def close(self) -> None:
        """Stop reading; the thread ends after the current row."""
        self._stop.set()

    def _run(self) -> None:
        try:
            for item in self._items:
                self._count += 1
                if not self._put(item):
                    return
        except Exception as error:
            self._error = error
        self._put(self._ended)

    def _put(self, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._came.put(item, timeout=GATHER_SECONDS)
            except queue.Full:
                continue
            return True
        return False


class _Decoder:
    """Items to rows of one schema."""

    def __init__(self, schema: Any | None, roles: Roles) -> None:
        self._schema = None if schema is None else roles.added(schema)
        self._roles = roles
        self._fit = Fit(schema, roles, "Rows")
        self._first = True

    def __call__(self, items: list[Any]) -> Iterator[Decoded]:
        """The rows of some items, those of dicts together."""
        if self._first:
            _check_first(items[0])
            self._first = False
        dicts: list[Any] = []
        for item in items:
            if _is_arrow(item) and not _is_dict(item):
                if dicts:
                    yield self._of_dicts(dicts)
                    dicts = []
                yield from map(self._fit, all_batches_of(item, "Rows"))
            else:
                dicts.append(item)
        if dicts:
            yield self._of_dicts(dicts)

    def _of_dicts(self, items: list[Any]) -> Decoded:
        places = [i for i, item in enumerate(items) if _is_dict(item)]
        rows = [items[i] for i in places]
        if self._schema is None and rows:
            self._schema = schema_of(rows, self._roles, "Rows")
        bad = [
            Bad(i, None, _shown(item), f"it is a {type(item).__name__}, not a dict")
            for i, item in enumerate(items)
            if not _is_dict(item)
        ]
        if not rows:
            return Decoded(no_rows(self._schema), pa.array([], pa.int64()), bad, len(items))
        batch, wrong = fitting(rows, self._schema, self._roles)
        bad += [Bad(places[i], None, _shown(rows[i]), why) for i, why in wrong.items()]
        kept = [place for i, place in enumerate(places) if i not in wrong]
        bad.sort(key=lambda each: each.ordinal)
        return Decoded(batch, pa.array(kept, pa.int64()), bad, len(items))


def _is_dict(item: object) -> bool:
    return isinstance(item, Mapping)


def _is_arrow(item: object) -> bool:
    return isinstance(item, (ArrowStreamExportable, ArrowArrayExportable))


def _called(make: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    try:
        made = make()
        return iter([made] if _is_arrow(made) else made)
    except Exception as error:
        hint = "it takes no arguments, and gives a generator, an iterator or a list"
        message = f"Rows: the function that makes the rows failed: {type(error).__name__}: {error}"
        raise SourceError(with_hint(message, hint)) from error


def _failed(error: Exception, count: int) -> SourceError:
    message = f"Rows: the code that makes the rows failed after {count:,} of them"
    return SourceError(f"{message}: {type(error).__name__}: {error}")


def _check_rows(rows: object) -> None:
    if isasyncgen(rows) or isasyncgenfunction(rows) or iscoroutinefunction(rows):
        hint = "give a generator that is not async; pass rows of async code through a queue"
        raise SourceError(with_hint("Rows: an async generator cannot be iterated", hint))
    if isinstance(rows, (str, bytes, Mapping)):
        hint = "give a list of dicts, a generator of them, or a function that makes one"
        raise SourceError(with_hint(f"Rows: a {type(rows).__name__} is not rows", hint))
    if _is_arrow(rows) or callable(rows):
        return
    if not isinstance(rows, Iterable):
        hint = "give a list of dicts, a generator of them, or a function that makes one"
        raise SourceError(with_hint(f"Rows: a {type(rows).__name__} is not rows", hint))
    if isinstance(rows, Sequence) and len(rows):
        _check_first(rows[0])


def _check_first(item: object) -> None:
    if not _is_dict(item) and not _is_arrow(item):
        hint = 'a row is a dict, such as {"at": ..., "n": 1}, or several in an Arrow object'
        raise SourceError(with_hint(f"Rows: the first row is a {type(item).__name__}", hint))


def _shown(item: object) -> bytes:
    try:
        text = repr(item)
    except Exception as error:
        text = f"<a {type(item).__name__} whose repr fails: {error}>"
    return text[:_SHOWN].encode("utf-8", "replace")
