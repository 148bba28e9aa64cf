"""Outbox and sender thread, shared by the sinks that send each row as a message.

A receiver may be slow or unavailable, and the pipeline must not wait for it. So publishing only
puts rows into the outbox; a thread sends them in order, one at a time, and retries if that may
help. Rows that cannot be sent go to the dead letter file and are counted, never lost silently.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from muntin.base.durations import Duration, parse
from muntin.base.errors import SinkError, with_hint
from muntin.sinks.base import When, Writes, checked_when
from muntin.sinks.files.disk import Count, path_of, state_of, write_all
from muntin.sinks.flat import json_rows
from muntin.values.table import Table

_log = logging.getLogger("muntin.sinks")

_ENCODER = msgspec.json.Encoder()
_ID_MAX = 255


class Item(msgspec.Struct, frozen=True):
    """A row to send.

    Attributes:
        id: the same each time the row is sent: the id of an alert, else a hash.
        row: its columns, as JSON text.
    """

    id: str
    row: str

    def columns(self) -> dict[str, Any]:
        """The row as a dict of JSON values."""
        return dict(msgspec.json.decode(self.row))


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint keeps of an outbox.

    Attributes:
        waiting: the rows not sent yet, the oldest first.
        counts: how many rows each output has produced.
    """

    waiting: list[Item]
    counts: dict[str, Count] = {}


class Refused(Exception):
    """The receiver will never accept the row; retrying does not help."""


class Failed(Exception):
    """The receiver did not accept the row this time.

    Attributes:
        after: seconds until the receiver wants a retry, if it said so.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        """The reason appears in logs and dead letters, so it must not contain secrets."""
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait before the next try: exponential, with full jitter.

    Attributes:
        first: the maximum wait before the second try, in seconds; it doubles with each try.
        most: the maximum wait in any case, in seconds.
        chance: returns random numbers from 0 to 1.
        pause: waits a number of seconds, or until the event is set.

    >>> [Pace(chance=lambda: 1.0).wait(tried) for tried in (1, 2, 3, 20)]
    [0.5, 1.0, 2.0, 60.0]
    """

    first: float = 0.5
    most: float = 60.0
    chance: Callable[[], float] = random.random
    pause: Callable[[threading.Event, float], object] = threading.Event.wait

    def wait(self, tried: int) -> float:
        """Seconds to wait after a number of tries."""
        return self.chance() * min(self.most, self.first * 2.0 ** min(tried - 1, 30))


class Outbox:
    """Rows that wait for a receiver, in order, and the thread that sends them."""

    def __init__(
        self,
        send: Callable[[Item], None],
        give_up: Callable[[Item, str, int], None],
        *,
        limit: int,
        attempts: int,
    ) -> None:
        """Keep the arguments; start nothing.

        Args:
            send: sends a row; raises `Failed` or `Refused`.
            give_up: called with rows that are given up, the reason and the number of tries.
            limit: the maximum number of waiting rows.
            attempts: the maximum number of tries for a row.
        """
        self.pace = Pace()
        self._send = send
        self._give_up = give_up
        self._limit = limit
        self._attempts = attempts
        self._rows: deque[Item] = deque()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """The number of waiting rows, including the one being sent."""
        return len(self._rows)

    def waiting(self) -> list[Item]:
        """The waiting rows, the oldest first."""
        with self._changed:
            return list(self._rows)

    def put(self, items: Iterable[Item]) -> None:
        """Add rows, without waiting; rows without room are given up."""
        surplus = []
        with self._changed:
            for item in items:
                if len(self._rows) < self._limit:
                    self._rows.append(item)
                else:
                    surplus.append(item)
            self._changed.notify_all()
            if self._rows and self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._work, args=(self._stop,), name="muntin-outbox", daemon=True
                )
                self._thread.start()
        for item in surplus:
            self._give_up(item, f"the outbox is full: {self._limit:,} rows wait", 0)

    def close(self, drain: float) -> list[Item]:
        """Wait for the outbox to empty, up to a number of seconds; returns the rows left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._rows, timeout=drain)
            left = list(self._rows)
            # tells the thread that the row it may be sending is no longer its own
            self._rows.clear()
            self._stop.set()
            self._thread = None
            self._changed.notify_all()
        return left

    def _work(self, stop: threading.Event) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rows or stop.is_set())
                if stop.is_set():
                    return
                item = self._rows[0]
            reason, tried = self._deliver(item, stop)
            with self._changed:
                if stop.is_set():
                    return
                if reason is not None:
                    # a checkpoint taken now must find the row here or in the dead letter
                    self._give_up(item, reason, tried)
                self._rows.popleft()
                self._changed.notify_all()

    def _deliver(self, item: Item, stop: threading.Event) -> tuple[str | None, int]:
        """Send a row; returns why that failed, or None, and the number of tries."""
        tried = 0
        while True:
            tried += 1
            try:
                self._send(item)
                return None, tried
            except Failed as error:
                if tried >= self._attempts or stop.is_set():
                    return str(error), tried
                wait = max(self.pace.wait(tried), error.after or 0.0)
                _log.debug("row %s: %s; next try in %.1f s", item.id, error, wait)
                self.pace.pause(stop, wait)
                if stop.is_set():
                    return str(error), tried
            except Refused as error:
                return str(error), tried
            except Exception as error:
                # its text may contain a header or an address, and so a secret
                return f"an unexpected {type(error).__name__}", tried


class OutboxSink(ABC):
    """A durable sink that sends each row through an outbox; subclasses say how in `_send`.

    Each checkpoint contains the rows not sent yet, so that they are sent after a restart: at least
    once, with the same ids.

    Attributes:
        when: which alerts it takes.
        drain: how many seconds the end of a run may wait for it.
    """

    def __init__(
        self,
        place: str,
        *,
        attempts: int,
        outbox: int,
        dead_letter: str | os.PathLike[str] | None,
        drain: Duration,
        when: When,
    ) -> None:
        """Check the options; `place` names the receiver in errors and logs, without secrets."""
        for word, value in (("attempts", attempts), ("outbox", outbox)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                hint = "it is a number of at least 1"
                raise SinkError(with_hint(f"{place}: {word}={value!r}", hint))
        self.when = checked_when(when, place)
        self._place = place
        self.drain = parse(drain, "drain", zero=True).us / 1e6
        self._dead_letter = None if dead_letter is None else path_of(dead_letter, place)
        self._writing = threading.Lock()
        self._outbox = Outbox(self._send, self._give_up, limit=outbox, attempts=attempts)
        self._keys: dict[str, tuple[str, ...]] = {}
        self._staged: list[Item] = []
        self._counts = Counter[str]()
        self._durable = False
        self._dropped = 0

    def waited(self, seconds: float) -> None:
        """Count time that the end of the run has already waited."""
        self.drain = max(0.0, self.drain - seconds)

    @property
    def waiting(self) -> int:
        """The number of rows not sent yet, including the one being sent."""
        return len(self._outbox)

    @property
    def dropped(self) -> int:
        """The number of rows given up: they are in the dead letter file, or in the log."""
        return self._dropped

    def writes(self, outputs: Sequence[str]) -> Sequence[Writes]:
        """The dead letter file, which several sinks may share: each line is written at once."""
        return () if self._dead_letter is None else (Writes(self._dead_letter, shared=True),)

    def open(self, output: str, key: Sequence[str]) -> None:
        """Keep the key; connect only when there is a row."""
        if self._dead_letter is not None:
            try:
                open(self._dead_letter, "ab").close()
            except OSError as error:
                message = f"{self._place}: the dead letter cannot be written: {error}"
                raise SinkError(message) from error
        self._keys[output] = tuple(key)

    def restore(self, state: dict[str, Any] | None) -> None:
        """Send the rows that were not sent when the checkpoint was taken."""
        self._durable = True
        if state is not None:
            then = state_of(State, state, self._place)
            self._counts.update(then.counts)
            self._outbox.put(then.waiting)

    def stage(self, output: str, rows: Table) -> None:
        """Encode the rows."""
        key = self._keys.get(output, ())
        for plain in json_rows(rows):
            for row in plain:
                self._staged.append(_item(output, key, row, self._counts[output]))
                self._counts[output] += 1

    def prepare(self) -> dict[str, Any]:
        """The waiting rows and the staged ones."""
        rows = [*self._outbox.waiting(), *self._staged]
        return dict(msgspec.to_builtins(State(rows, dict(self._counts))))

    def publish(self) -> None:
        """Put the staged rows into the outbox; never waits."""
        staged, self._staged = self._staged, []
        self._outbox.put(staged)

    def close(self) -> None:
        """Wait for the outbox to empty, at most for the rest of `drain`.

        Rows left then go to the dead letter file; with checkpoints, the last one keeps them.
        """
        left = self._outbox.close(self.drain)
        if self._durable:
            if left:
                message = "%s: %d rows were not sent; the checkpoint keeps them for the next start"
                _log.warning(message, self._place, len(left))
            return
        for item in left:
            self._give_up(item, "the run ended before it could be sent", 0)

    @abstractmethod
    def _send(self, item: Item) -> None:
        """Send a row; raises `Failed` or `Refused`."""

    def _give_up(self, item: Item, reason: str, tried: int) -> None:
        with self._writing:
            self._dropped += 1
            if self._dead_letter is not None:
                try:
                    with open(self._dead_letter, "ab", buffering=0) as file:
                        write_all(file, _letter(self._place, item, reason, tried))
                    return
                except OSError as error:
                    _log.error("%s: the dead letter cannot be written: %s", self._place, error)
        _log.error("%s: row %s is given up: %s", self._place, item.id, reason)


def _letter(place: str, item: Item, reason: str, tried: int) -> bytes:
    letter = {
        "at": dt.datetime.fromtimestamp(time.time(), dt.UTC),
        "sink": place,
        "id": item.id,
        "reason": reason,
        "attempts": tried,
        "row": msgspec.Raw(item.row.encode()),
    }
    return _ENCODER.encode(letter) + b"\n"


def _item(output: str, key: Sequence[str], row: Mapping[str, Any], number: int) -> Item:
    return Item(_id(output, key, row, number), _ENCODER.encode(row).decode())


def _id(output: str, key: Sequence[str], row: Mapping[str, Any], number: int) -> str:
    """The id by which a receiver recognizes a repeated row.

    A revision gets another id, since it is not a repeat of the row it corrects. So does the second
    of two equal rows without a key: the `number` of rows before it distinguishes them.
    """
    if tuple(key) == ("id",):
        text = str(row["id"])
        if text.isascii() and text.isprintable() and " " not in text and len(text) <= _ID_MAX:
            return text
    names = [*key, *(name for name in ("revision",) if name in row)] if key else list(row)
    named = [output, *([] if key else [number]), *([name, row[name]] for name in names)]
    return hashlib.sha256(_ENCODER.encode(named)).hexdigest()
