"""Which of several copies of a run is the owner: the one that a group gives partition 0 of a topic.

All copies join a group of their own and subscribe to a topic that exists anyway; nothing is read
from it. Kafka gives each partition to one member, notices within the session's timeout when a
member has died, and gives its partitions to another one. The transactional id then fences a copy
that does not know yet.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from muntin.clients.kafka.client import Client

_log = logging.getLogger("muntin.kafka")

_SESSION_MS = 6_000  # the least that brokers allow by default
_HEARTBEAT_MS = 1_500
_POLL_S = 0.2
_RELEASE_S = 30.0


def _nothing() -> None:
    """No rebalance is counted."""


class Ownership:
    """Membership in the group; on a thread of its own, so that a long step does not end it."""

    def __init__(self, client: Client, name: str, topic: str) -> None:
        """Join nothing yet.

        Args:
            client: the way to the cluster.
            name: the run's name; the group is named after it.
            topic: a topic that exists.
        """
        self.rebalanced: Callable[[], None] = _nothing
        """Called when partitions came to this copy or left it; on another thread."""
        self._client = client
        self._group = f"{name}.owner"
        self._topic = topic
        self._owned = threading.Event()
        self._released = threading.Event()
        self._released.set()
        self._closing = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def owned(self) -> bool:
        """Whether this copy is the owner now."""
        return self._owned.is_set()

    def wait(self, stopping: Callable[[], bool]) -> bool:
        """Join, and wait until this copy is the owner; False if it is to stop instead.

        Raises:
            MuntinError: no consumer can be made.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="muntin-owner", daemon=True)
            self._thread.start()
        told = False
        while not self._owned.wait(_POLL_S):
            if self._error is not None:
                raise self._error
            if stopping():
                return False
            if not told:
                told = True
                facts = {"event": "standby", "group": self._group}
                _log.info('waits until group "%s" makes it the owner', self._group, extra=facts)
        self._released.clear()
        return True

    def release(self) -> None:
        """This copy has stopped to act as the owner; another one may begin."""
        self._released.set()

    def close(self) -> None:
        """Leave the group, so that another copy takes over at once."""
        self._released.set()
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        own = {
            "group.id": self._group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "latest",
            # keeps the owner if a copy joins, as far as the partitions divide evenly
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": _SESSION_MS,
            "heartbeat.interval.ms": _HEARTBEAT_MS,
        }
        try:
            consumer = self._client.consumer(own)
        except BaseException as error:
            self._error = error
            return
        try:
            consumer.subscribe(
                [self._topic],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self._closing.is_set():
                consumer.poll(_POLL_S)
        except BaseException as error:
            self._error = error
        finally:
            self._owned.clear()
            consumer.close()

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        self.rebalanced()
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)  # nothing is to be read
        if any(each.partition == 0 for each in partitions):
            self._owned.set()
            facts = {"event": "owner", "group": self._group}
            _log.info('group "%s" has made it the owner', self._group, extra=facts)

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        self.rebalanced()
        if any(each.partition == 0 for each in partitions):
            self._owned.clear()
            if not self._released.wait(_RELEASE_S):
                _log.warning('group "%s": the run did not stop in time', self._group)
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        self.rebalanced()
        if any(each.partition == 0 for each in partitions):
            self._owned.clear()
            facts = {"event": "owner_lost", "group": self._group}
            message = 'group "%s" has taken its ownership: it did not answer in time'
            _log.warning(message, self._group, extra=facts)
        consumer.incremental_unassign(partitions)


@runtime_checkable
class Ownable(Protocol):
    """A source or sink of Kafka, whose cluster can say which copy of a run is the owner."""

    def ownership(self, name: str) -> Ownership:
        """Membership in the group of the copies of the run `name`."""
