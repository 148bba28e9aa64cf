"""Reads the partitions that a group assigns to this process; others have the rest.

librdkafka calls back while messages are polled, so on the loop's thread and between two of its
steps. When a callback for revoked partitions returns they belong to somebody else: so the loop's
state is committed within the callback, and restored within that for assigned ones, which must know
the offsets. Errors wait until the poll is over, since what a callback raises gets lost.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from muntin.base import core
from muntin.base.errors import CommitLost
from muntin.clients.kafka import Client, Cluster
from muntin.clients.kafka.errors import name_of
from muntin.clients.kafka.member import Member
from muntin.sources.base import Added, Holder
from muntin.sources.brokers.messages import Decoding
from muntin.sources.brokers.offsets import Place, Start, started
from muntin.sources.brokers.reader import KafkaReader
from muntin.sources.brokers.topics import Topics

_log = logging.getLogger("muntin.kafka")

_STRATEGY = "partition.assignment.strategy"
_CLASSIC: Mapping[str, Any] = {
    _STRATEGY: "cooperative-sticky",
    "session.timeout.ms": 6_000,  # how long the group waits for a member that died
    "heartbeat.interval.ms": 1_500,
}
"""Of a group whose members agree on the assignment themselves; newer groups leave it to Kafka."""


class SharedReader(KafkaReader):
    """The part of some topics that a group assigns to this process."""

    def __init__(
        self,
        client: Client,
        group: str,
        cluster: Cluster,
        topics: Topics,
        decoding: Decoding,
        start: Start,
        holder: Holder,
        *,
        stops: bool,
        once: bool,
        defaults: Mapping[str, Any],
    ) -> None:
        """Join the group; nothing is read before it assigns something.

        Args:
            client: the way to the cluster.
            group: the group.
            cluster: for questions beside the reading.
            topics: the topics and their partitions.
            decoding: decodes messages.
            start: where partitions start that nobody had before.
            holder: has the state of the assigned partitions.
            stops: a message that cannot be decoded ends the run.
            once: end at the records that are there when a partition is assigned.
            defaults: settings that a user may set otherwise.
        """
        classic = client.settings.get("group.protocol", "classic") == "classic"
        strategy = str(client.settings.get(_STRATEGY, _CLASSIC[_STRATEGY]))
        self._eager = classic and "cooperative" not in strategy
        self._start = start
        self._holder: Holder | None = holder
        self._member: Member
        self._raised: BaseException | None = None
        self._was_assigned = False
        super().__init__(
            client,
            group,
            cluster,
            topics,
            decoding,
            {},
            stops=stops,
            once=once,
            defaults={**defaults, **(_CLASSIC if classic else {})},
            memory={},
        )

    def checkpointed(self, positions: Mapping[int, int]) -> None:
        """Nothing: the offsets of the group are those of the transactions."""

    def close(self) -> None:
        """Leave the group; what it has to give back is committed by now, or is not to be."""
        self._holder = None
        super().close()

    def _assign(self) -> None:
        self._member = Member(self._consumer, self._group)
        assert self._holder is not None
        self._holder.joins(self._member)
        names = self._topics.identity()[1:]
        self._consumer.subscribe(
            names, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def _messages(self) -> tuple[core.Records, list[Any]]:
        before = set(self._next)
        records, failed = super()._messages()
        if self._raised is not None:
            raise self._raised
        if before != set(self._next):
            records.keep(set(self._next))
            failed = [each for each in failed if self._is_ours(each)]
        return records, failed

    def _is_ours(self, message: Any) -> bool:
        """Whether a message is of a partition that this process still has, or of none."""
        if (message.topic(), message.partition()) in self._next:
            return True
        error = message.error()
        return error is not None and name_of(error) != "_PARTITION_EOF"

    def _added(self) -> Added | None:
        """Nothing: the group assigns new partitions; but topics that are gone end the run."""
        if (found := self._lookout.news()) is not None:
            self._topics.changed(found)
        return None

    def _has_reached(self) -> bool:
        return self._was_assigned and super()._has_reached()

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        offsets: dict[Place, int] = {}
        with self._keeping_errors(), self._member.within_callback():
            if self._holder is not None and self._raised is None:
                offsets = self._taken([(each.topic, each.partition) for each in partitions])
                self._was_assigned = True
        self._next |= offsets
        one = self._library.TopicPartition
        found = [one(*place, at) for place, at in offsets.items()]
        consumer.assign(found) if self._eager else consumer.incremental_assign(found)

    def _taken(self, assigned: list[Place]) -> dict[Place, int]:
        """Let the holder restore partitions; the offset at which each goes on."""
        assert self._holder is not None
        places = {self._number(each): each for each in assigned}
        facts = {"event": "assigned", "group": self._group, "partitions": sorted(assigned)}
        text = 'group "%s" assigns %s'
        _log.info(text, self._group, _listed(assigned), extra=facts)

        def first(partitions: Collection[int]) -> Mapping[int, int]:
            new = {each: places[each] for each in partitions}
            return started(self._cluster, new, {}, self._start)

        taken = self._holder.take(places, first)
        for _, mark in taken.values():
            self._topics.check_ids((mark or {}).get("ids", {}))
        known = {each: at for each, (at, _) in taken.items()}
        if places:
            started(self._cluster, places, known, self._start)  # whether the records are there
        if self._targets is not None:
            ends = self._cluster.offsets(assigned, "committed")
            self._targets |= {place: at or 0 for place, at in ends.items()}
        return {places[each]: at for each, at in known.items()}

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        ours = [place for place in places if place in self._next]
        with self._keeping_errors(), self._member.within_callback():
            if self._holder is not None and self._raised is None and ours:
                facts = {"event": "revoked", "group": self._group, "partitions": sorted(ours)}
                _log.info('group "%s" takes back %s', self._group, _listed(ours), extra=facts)
                self._holder.give_up([self._number(place) for place in ours])
        self._leave(consumer, partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        places = [(each.topic, each.partition) for each in partitions]
        why = f'group "{self._group}" took {_listed(places)} away: this process did not answer '
        why += "in time, or the group began anew"
        self._member.lose(why)
        if self._holder is not None and self._raised is None:
            self._raised = CommitLost(why)
        self._leave(consumer, partitions)

    def _leave(self, consumer: Any, partitions: list[Any]) -> None:
        for each in partitions:
            place = (each.topic, each.partition)
            for known in (self._next, self._ends, self._read, self._targets or {}):
                known.pop(place, None)
        consumer.unassign() if self._eager else consumer.incremental_unassign(partitions)

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        """Keep an error until the poll is over, and commit nothing from now on."""
        try:
            yield
        except BaseException as error:
            self._member.lose(f"partitions were not handed over: {error}")
            if self._raised is None:
                self._raised = error


def _listed(places: Collection[Place]) -> str:
    if not places:
        return "no partitions"
    return ", ".join(f"{topic}/{number}" for topic, number in sorted(places))
