"""One thread at a time in an operator, and no wait that could never end.

A rule's function may start a thread and wait for it. If that thread calls the rule's operator, the
two would wait for each other for ever. The call is refused instead, as one is that the function
makes itself.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from types import FrameType
from typing import Any

from muntin.base.errors import EngineError, with_hint

_LOOK_EVERY = 0.05
"""Seconds between two looks at what the thread inside waits for."""

_PATIENCE = 5.0
"""Seconds until a thread that was started while a function runs is refused where the function waits
for something that names no thread, such as an event."""

_RESULTS = (futures.Future.result.__code__, futures.Future.exception.__code__)
_GATHERED = (futures.wait.__code__, futures.as_completed.__code__)
_JOIN = threading.Thread.join.__code__
_WAITS = (threading.Condition.wait.__code__, threading.Event.wait.__code__)


class Turn:
    """A lock that one thread may take again, for a `with` statement.

    Raises:
        EngineError: the thread inside runs a rule's function that waits for this one.

    >>> turn = Turn()
    >>> with turn, turn:
    ...     pass
    """

    def __init__(self) -> None:
        """Free."""
        self._lock = threading.RLock()
        self._depth = 0
        self._owner: int | None = None
        self._older: set[int] | None = None

    def __enter__(self) -> None:
        """Waits until no other thread is inside."""
        if not self._lock.acquire(blocking=False):
            self._wait()
        self._depth += 1
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        """Lets the next thread in."""
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
        self._lock.release()

    def judging(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A rule's function, with a note of which threads are older than its call."""

        def call(batch: Any) -> Any:
            self._older = set(sys._current_frames())
            try:
                return function(batch)
            finally:
                self._older = None

        return call

    def _wait(self) -> None:
        since = time.monotonic()
        while not self._lock.acquire(timeout=_LOOK_EVERY):
            owner, older = self._owner, self._older
            if owner is None or older is None:
                continue
            frames, me = sys._current_frames(), threading.get_ident()
            is_patient = time.monotonic() - since < _PATIENCE
            stuck = not is_patient and me not in older and _waits(frames.get(owner))
            if stuck or _is_waited_for(me, owner, frames):
                said = "a rule called the operator that it belongs to, from a thread it waits for"
                hint = "a rule gets all it needs with its batch; call the operator outside of rules"
                raise EngineError(with_hint(said, hint))


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _waits(frame: FrameType | None) -> bool:
    return any(each.f_code in _WAITS for each in _stack(frame))


def _is_waited_for(me: int, owner: int, frames: dict[int, FrameType]) -> bool:
    """Whether a thread waits for another, or for one that waits for it, and so on."""
    runs = {id(future): ident for ident, top in frames.items() for future in _running(top)}
    seen, ahead = {owner}, [owner]
    while ahead:
        for ident in _awaited(frames.get(ahead.pop()), runs):
            if ident == me:
                return True
            if ident not in seen:
                seen.add(ident)
                ahead.append(ident)
    return False


def _running(frame: FrameType | None) -> Iterator[Any]:
    """The futures that the work of a thread in a pool is for."""
    for each in _stack(frame):
        if each.f_code.co_name == "run" and each.f_globals.get("__name__") == _POOL:
            yield getattr(each.f_locals.get("self"), "future", None)


_POOL = "concurrent.futures.thread"


def _awaited(frame: FrameType | None, runs: dict[int, int]) -> Iterator[int]:
    """The threads that a thread joins or whose results it awaits."""
    for each in _stack(frame):
        if each.f_code is _JOIN:
            ident = getattr(each.f_locals.get("self"), "ident", None)
            if ident is not None:
                yield ident
        results = []
        if each.f_code in _RESULTS:
            results = [each.f_locals.get("self")]
        elif each.f_code in _GATHERED:
            results = list(each.f_locals.get("fs") or ())
        yield from (runs[id(result)] for result in results if id(result) in runs)


__all__ = ["Turn"]
