"""What a cluster has: its id, topics, partitions, and the offsets of these. No wait is endless."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from muntin.clients.kafka.client import Client
from muntin.clients.kafka.errors import name_of
from muntin.clients.kafka.library import library

Partition: TypeAlias = tuple[str, int]
"""A topic and a partition of it."""

_T = TypeVar("_T")

_PAUSE_S = 0.1
_ONE_CALL_S = 1.0
_MISSING = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_ID"})
_RETRIED = frozenset(
    "_NOENT _TRANSPORT _TIMED_OUT _ALL_BROKERS_DOWN _WAIT_COORD _MAX_POLL_EXCEEDED _IN_PROGRESS "
    "LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION NOT_LEADER_OR_FOLLOWER BROKER_NOT_AVAILABLE "
    "REPLICA_NOT_AVAILABLE NETWORK_EXCEPTION REQUEST_TIMED_OUT COORDINATOR_LOAD_IN_PROGRESS "
    "COORDINATOR_NOT_AVAILABLE NOT_CONTROLLER OFFSET_NOT_AVAILABLE FENCED_LEADER_EPOCH "
    "UNKNOWN_LEADER_EPOCH KAFKA_STORAGE_ERROR".split()
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        name: its name.
        id: what tells it from an earlier topic of the same name; empty if the broker is too old.
        partitions: the numbers of its partitions.
    """

    name: str
    id: str
    partitions: tuple[int, ...]


class Cluster:
    """One cluster, asked with deadlines. It has a connection of its own."""

    def __init__(self, client: Client, seconds: float) -> None:
        """Connect, and ask for the id of the cluster.

        Args:
            client: the way to it.
            seconds: how long each method may take.

        Raises:
            MuntinError: of the client's class: no broker has answered in that time.
        """
        self._client = client
        self._seconds = seconds
        self._events = client.events()
        self._library = library(client.place)
        self._admin = client.admin(self._events)
        found = self._asked(
            "the cluster cannot be reached", lambda left: self._admin.list_topics(timeout=left)
        )
        self.id = str(found.cluster_id)

    def matching(self, pattern: str) -> list[str]:
        """The names of topics that a regular expression matches from their start, in order.

        Topics that Kafka keeps for itself (`__consumer_offsets`) are left out.
        """
        found = self._asked(
            "the topics cannot be listed", lambda left: self._admin.list_topics(timeout=left)
        )
        names = [name for name in found.topics if not name.startswith("__")]
        return sorted(name for name in names if re.match(pattern, name))

    def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        """The topics of these names; those that do not exist are missing."""
        if not names:
            return {}
        wanted = self._library.TopicCollection(list(names))

        def ask(left: float) -> dict[str, Any]:
            found = self._admin.describe_topics(wanted, request_timeout=left)
            return {name: _unless_missing(future, left) for name, future in found.items()}

        found = self._asked("the topics cannot be described", ask)
        return {
            name: Topic(name, _id_of(each), tuple(sorted(p.id for p in each.partitions)))
            for name, each in found.items()
            if each is not None
        }

    def offsets(
        self,
        partitions: Iterable[Partition],
        at: Literal["earliest", "latest", "committed"] | int,
    ) -> dict[Partition, int | None]:
        """An offset of each partition.

        Args:
            partitions: the partitions.
            at: the first one there is ("earliest"); the one after the last ("latest"), or before
                the first record of a transaction that is still open ("committed"); or that of the
                first record at or after a time, in milliseconds since 1970 (None if there is none).
        """
        wanted = list(partitions)
        if not wanted:
            return {}
        kinds = self._library.admin.OffsetSpec
        if isinstance(at, int):
            which = kinds.for_timestamp(at)
        else:
            which = kinds.earliest() if at == "earliest" else kinds.latest()
        levels = self._library.IsolationLevel
        level = levels.READ_COMMITTED if at == "committed" else levels.READ_UNCOMMITTED
        one = self._library.TopicPartition
        asked = {one(topic, number): which for topic, number in wanted}

        def ask(left: float) -> dict[Partition, int | None]:
            found = self._admin.list_offsets(asked, isolation_level=level, request_timeout=left)
            results = {(tp.topic, tp.partition): future for tp, future in found.items()}
            offsets = {key: int(future.result(left + 1).offset) for key, future in results.items()}
            return {key: None if at < 0 else at for key, at in offsets.items()}

        return self._asked("the offsets cannot be read", ask)

    def _asked(self, what: str, ask: Callable[[float], _T]) -> _T:
        """Ask until there is an answer; `ask` gets the seconds it may take."""
        until = time.monotonic() + self._seconds
        while True:
            left = max(until - time.monotonic(), _PAUSE_S)
            try:
                answer = ask(min(left, _ONE_CALL_S))
                self._events.well()
                return answer
            except Exception as error:
                self._admin.poll(0)  # calls back with the reason
                last = time.monotonic() + _PAUSE_S >= until or self._events.refused
                may_pass = isinstance(error, TimeoutError) or name_of(error) in _RETRIED
                failure = self._client.failed(what, error, self._events)
            if last or not may_pass:
                raise failure
            time.sleep(_PAUSE_S)


def _unless_missing(future: Any, seconds: float) -> Any:
    try:
        return future.result(seconds + 1)
    except Exception as error:
        if name_of(error) in _MISSING:
            return None
        raise


def _id_of(described: Any) -> str:
    found = str(getattr(described, "topic_id", None) or "")
    return "" if not found.strip("A") else found  # all zeros: the broker knows none
