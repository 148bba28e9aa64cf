"""This process as a member of a group whose members share the partitions of topics."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from muntin.base.errors import CommitLost

_FORM = struct.Struct("=7si")
_HEAD = b"CGMDv2:"


class Member:
    """Says for each commit which generation of the group this process belongs to.

    The brokers refuse a commit of an earlier generation, so a process that lost its partitions and
    does not know yet cannot commit for them. Without a generation they would accept it.
    """

    def __init__(self, consumer: Any, group: str) -> None:
        """Keep the consumer, which subscribes."""
        self._consumer = consumer
        self._group = group
        self._lost = ""
        self._lock = Lock()
        self._now: bytes | None = None
        self._answer: SimpleQueue[bytes | Exception] = SimpleQueue()

    @property
    def is_lost(self) -> bool:
        """Whether it had to give up partitions without a commit."""
        return bool(self._lost)

    def lose(self, why: str) -> None:
        """Commit nothing from now on: some of what is in memory belongs to somebody else."""
        self._lost = self._lost or why

    @contextmanager
    def within_callback(self) -> Iterator[None]:
        """Ask for the generation now, for all commits until the callback of a rebalance ends.

        It does not change before that, and librdkafka lets another thread that asks wait as long,
        also one that asked before the callback began.
        """
        now = self._asked()
        with self._lock:
            self._now = now
            self._answer.put(now)
        try:
            yield
        finally:
            with self._lock:
                self._now = None

    def metadata(self) -> bytes:
        """What names it in a transaction; from any thread.

        Raises:
            CommitLost: it is not a member now, or had to give up partitions.
        """
        found = self._soonest()
        # after the call: partitions that were lost before it may have another owner now
        if self._lost:
            raise CommitLost(self._lost)
        if generation_of(found) < 0:
            raise CommitLost(f'this process is not a member of group "{self._group}" now')
        return found

    def _soonest(self) -> bytes:
        """What librdkafka answers, or a callback that begins meanwhile and waits for the commit."""
        with self._lock:
            if self._now is not None:
                return self._now
            answer = self._answer = SimpleQueue()

        def ask() -> None:
            try:
                answer.put(self._asked())
            except Exception as error:
                answer.put(error)

        Thread(target=ask, name="muntin-member", daemon=True).start()
        found = answer.get()
        if isinstance(found, Exception):
            raise found
        return found

    def _asked(self) -> bytes:
        try:
            return bytes(self._consumer.consumer_group_metadata())
        except RuntimeError as error:
            raise CommitLost(f'group "{self._group}" was left: {error}') from error


def generation_of(metadata: bytes) -> int:
    """The generation of a group in the metadata of a member; -1 if there is none.

    >>> generation_of(b"CGMDv2:" + (7).to_bytes(4, __import__("sys").byteorder) + b"group")
    7
    """
    if len(metadata) < _FORM.size:
        return -1
    head, generation = _FORM.unpack_from(metadata)
    return int(generation) if head == _HEAD else -1
