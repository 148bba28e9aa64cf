"""Reads all partitions of topics, each from an offset of its own, with no group to assign them.

Nothing is read ahead of the loop but what librdkafka fetches, which it bounds by bytes: a loop that
does not poll holds the brokers back. Nothing here waits for a broker without end, and a broker that
is away stops nothing: reading goes on when it is back.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa

from muntin.base import core
from muntin.base.errors import SourceError, with_hint
from muntin.clients.kafka import Client, Cluster
from muntin.clients.kafka.errors import hint_of, name_of
from muntin.clients.kafka.library import library
from muntin.clients.kafka.transaction import Offset
from muntin.sources.base import Added, Delivery, Lag, Polled, Quiet
from muntin.sources.brokers.lookout import Lookout
from muntin.sources.brokers.messages import Decoding
from muntin.sources.brokers.offsets import Place, check_offset
from muntin.sources.brokers.standing import INTERVAL_MS, Standing
from muntin.sources.brokers.topics import Topics
from muntin.sources.deliveries.until import until

_log = logging.getLogger("muntin.kafka")

LIST = 1_000
"""Messages in one list of librdkafka's: more are dearer each."""
ROWS_MAX = 8_000
"""Messages in one delivery."""
BYTES_MAX = 16 << 20
"""About how many bytes of payload one delivery may have."""
WAIT_S = 0.05
"""How long one poll waits for a message."""
LINGER_S = 0.005
"""How long it waits for more after the first: fewer, larger steps."""
LOOK_S = 30.0
"""The time between two looks for new partitions and topics."""
STUCK_S = 60.0
"""How long a run with once=True waits for brokers that do not answer."""

OWN_SETTINGS: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "allow.auto.create.topics": False,
    "statistics.interval.ms": INTERVAL_MS,
}
"""What must be so for positions to be exact."""

_PASSES = frozenset({"_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "_WAIT_COORD"})
_GONE = frozenset(
    {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_ID"}
)
_NO_OFFSET = frozenset({"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE", "_NO_OFFSET"})
_NO_ROWS = pa.table({})


class KafkaReader:
    """Topics being read."""

    def __init__(
        self,
        client: Client,
        group: str,
        cluster: Cluster,
        topics: Topics,
        decoding: Decoding,
        offsets: Mapping[int, int],
        *,
        stops: bool,
        once: bool,
        ends: Mapping[int, int] | None = None,
        defaults: Mapping[str, Any],
        memory: Mapping[str, Any],
    ) -> None:
        """Begin at `offsets`.

        Args:
            client: the way to the cluster.
            group: under which the offsets are shown.
            cluster: for questions beside the reading.
            topics: the topics and their partitions.
            decoding: decodes messages.
            offsets: the offset of the first record of each partition.
            stops: a message that cannot be decoded ends the run.
            once: end at the records that are there now.
            ends: end at these offsets, and deliver no record behind them; None: never.
            defaults: settings that a user may set otherwise.
            memory: what the mark of a checkpoint keeps besides the ids of topics.
        """
        self.waited = 0.0
        """Seconds spent waiting for messages."""
        self._client = client
        self._library = library(client.place)
        self._events = client.events(warns=True)
        free = {name: at for name, at in defaults.items() if name not in client.settings}
        own = {**free, **OWN_SETTINGS, "group.id": group, "on_commit": self._on_commit}
        self._consumer = client.consumer(own, self._events)
        wait = client.settings.get("fetch.wait.max.ms", client.settings.get("fetch.max.wait.ms"))
        self._standing = Standing(self._events, int(wait or 500))
        self._group = group
        self._cluster = cluster
        self._topics = topics
        self._decoding = decoding
        self._stops = stops
        self._memory = memory
        self._next = {topics.place(each): at for each, at in offsets.items()}
        self._ends: dict[Place, int] = {}
        self._read: dict[Place, int] = {}
        self._ends_at = ends
        self._left: set[Place] = set()
        self._waits = not once
        self._targets: dict[Place, int] | None = None
        if ends is not None:
            self._targets = {topics.place(each): at for each, at in ends.items()}
        elif once:
            self._targets = {
                place: at or 0 for place, at in cluster.offsets(self._next, "committed").items()
            }
        self._moved_at = time.monotonic()
        self._lookout = Lookout(topics.look, LOOK_S)
        self._begun: Mapping[int, int] | None = dict(offsets)
        self._list = 100
        self._many = LIST
        self._commit_failed = False
        self._assign()

    def poll(self) -> Polled:
        """The next rows, or what is known of partitions without any."""
        if self._begun is not None:
            # a restart must begin here even if no record comes before the first checkpoint
            begun, self._begun = self._begun, None
            return Delivery(_NO_ROWS, begun, mark={"ids": self._topics.ids(), **self._memory})
        if self._ends_at is None and (added := self._added()) is not None:
            return added
        if self._targets is not None and self._has_reached():
            return None
        if (news := self._standing.news(self._next, self._ends)) is not None:
            return self._quiet(*news)
        records, failed = self._messages()
        if self._events.fatal is not None:
            raise SourceError(f"Kafka: the client has failed: {self._events.fatal}")
        return self._delivered(records, failed) if len(records) or failed else Quiet(())

    def group_offsets(self, positions: Mapping[int, int]) -> tuple[str, list[Offset]]:
        """The group and its offsets at these positions, for a transaction to commit."""
        places = {self._topics.place(each): at for each, at in positions.items()}
        return self._group, [Offset(*place, at) for place, at in places.items()]

    def checkpointed(self, positions: Mapping[int, int]) -> None:
        """Commit the group's offsets, for others to see how far the run is; nothing reads them."""
        _, offsets = self.group_offsets(positions)
        one = self._library.TopicPartition
        if not offsets:
            return
        try:
            places = [one(each.topic, each.partition, each.offset) for each in offsets]
            self._consumer.commit(offsets=places, asynchronous=True)
        except Exception as error:
            self._warn_of_commit(error)

    def lag(self) -> dict[int, Lag]:
        """How far each partition is behind, by its number in the engine."""
        found = self._standing.lag(self._next, self._ends, self._read)
        return {self._topics.number(topic) + at: lag for (topic, at), lag in found.items()}

    @property
    def tombstones(self) -> int:
        """How many messages without a payload were skipped."""
        return self._decoding.tombstones

    def close(self) -> None:
        """Leave the cluster."""
        self._lookout.close()
        self._consumer.close()

    def _messages(self) -> tuple[core.Records, list[Any]]:
        """Read what librdkafka has, list by list; waits only if it has nothing.

        Returns the records, and the messages with an error.
        """
        consume, records = self._consumer.consume, self._decoding.records()
        failed: list[Any] = []
        with _no_collection():
            size = self._list
            messages = consume(size, 0)
            if not messages:
                start = time.monotonic()
                messages = consume(1, WAIT_S)
                if messages:
                    messages += consume(size, LINGER_S)
                self.waited += time.monotonic() - start
                size = 0
            while messages:
                failed += records.read(messages)
                self._sized(messages)
                is_full = len(messages) == size
                messages.clear()  # frees them while they are in the processor's cache
                size = self._list
                if not is_full or len(records) + size > self._many:
                    break
                messages = consume(size, 0)
        return records, failed

    def _sized(self, messages: list[Any]) -> None:
        """Bound the number of messages by the bytes of those that came last."""
        sample = messages[::16]
        mean = sum(map(len, sample)) // len(sample) + 1
        self._many = max(1, min(ROWS_MAX, BYTES_MAX // mean))
        self._list = min(LIST, self._many)

    def _delivered(self, records: core.Records, failed: list[Any]) -> Polled:
        taken = self._decoding.take(records)
        ended = dict(filter(None, map(self._error, failed)))
        delivery = self._decoding.delivery(taken, self._topics, stops=self._stops)
        if self._ends_at is not None:
            delivery = until(delivery, self._ends_at)
        self._next.update(taken.next)
        if self._ends_at is not None:
            self._leave_those_at_their_end()
        arrival: Any = delivery.arrival
        if arrival is not None and len(arrival):
            self._read.update(dict.fromkeys(taken.next, arrival[-1].value))
        if taken.next or ended:
            self._moved_at = time.monotonic()
        markers = self._ended(ended)
        if delivery.resume or markers:
            return replace(delivery, resume={**delivery.resume, **markers})
        return self._quiet([place for place in ended if self._is_end(place)], [])

    def _ended(self, ended: Mapping[Place, int]) -> dict[int, int]:
        """Note where partitions have been read to their end, unless more of them came since.

        Returns the positions that this moves on: behind the last record there may be markers of
        transactions, which are not records.
        """
        moved = {}
        for place, at in ended.items():
            if at > self._next[place]:
                self._next[place] = moved[self._number(place)] = at
            if at == self._next[place]:
                self._ends[place] = at
        return moved

    def _is_end(self, place: Place) -> bool:
        """Whether there is nothing behind, not even records of an open transaction."""
        one = self._library.TopicPartition(*place)
        bounds = self._consumer.get_watermark_offsets(one, cached=True)
        return bool(bounds) and bounds[1] == self._next[place]

    def _error(self, message: Any) -> tuple[Place, int] | None:
        """The end of a partition, if that is what the message says.

        Raises:
            SourceError: reading cannot go on.
        """
        error, name = message.error(), name_of(message.error())
        place = (message.topic(), message.partition())
        if name == "_PARTITION_EOF":
            return place, message.offset()
        if name in _NO_OFFSET or name in _GONE:
            self._explain(place if place in self._next else None, error)
            return None
        if name in _PASSES or (error.retriable() and not error.fatal()):
            return None
        where = f'topic "{place[0]}", partition {place[1]}' if place in self._next else "the topics"
        hint = hint_of(error)
        if name == "MSG_SIZE_TOO_LARGE":
            hint = 'raise "receive.message.max.bytes" in settings='
        message = f"Kafka: {where} cannot be read further: {self._client.text(error)}"
        raise SourceError(with_hint(message, hint))

    def _explain(self, place: Place | None, error: Any) -> None:
        """Say why an offset or a topic is not there.

        Raises:
            SourceError: what was found, or the error itself.
        """
        self._topics.changed(self._topics.look())
        if place is not None:
            low = self._cluster.offsets([place], "earliest")[place] or 0
            high = self._cluster.offsets([place], "latest")[place] or 0
            check_offset(place, self._next[place], low, high)
        where = "" if place is None else f' topic "{place[0]}", partition {place[1]}:'
        text = f"Kafka:{where} {self._client.text(error)}"
        raise SourceError(with_hint(text, hint_of(error)))

    def _quiet(self, quiet: list[Place], lost: list[Place]) -> Quiet:
        if not self._waits and lost:
            for_s = time.monotonic() - self._moved_at
            if for_s > STUCK_S:
                reason = f": {self._events.trouble}" if self._events.trouble else ""
                message = f"Kafka: no broker has answered for {for_s:.0f} s{reason}"
                raise SourceError(with_hint(message, "run again later: it resumes where this ends"))
        return Quiet(tuple(map(self._number, quiet)), lost=tuple(map(self._number, lost)))

    def _has_reached(self) -> bool:
        assert self._targets is not None
        return all(self._next[place] >= at for place, at in self._targets.items())

    def _leave_those_at_their_end(self) -> None:
        """Fetch no more of partitions that are read as far as they are to be."""
        assert self._targets is not None
        done = [place for place, at in self._targets.items() if self._next[place] >= at]
        new = [place for place in done if place not in self._left]
        if new:
            self._left.update(new)
            one = self._library.TopicPartition
            self._consumer.incremental_unassign([one(*place) for place in new])

    def _added(self) -> Added | None:
        """New partitions, if a look at the cluster has found some; they are read from then on."""
        if (found := self._lookout.news()) is None:
            return None
        new = self._topics.changed(found)
        if not new:
            return None
        places = {each: self._topics.place(each) for each in new}
        first = self._cluster.offsets(places.values(), "earliest")
        offsets = {each: first[place] or 0 for each, place in places.items()}
        self._next |= {places[each]: at for each, at in offsets.items()}
        one = self._library.TopicPartition
        self._consumer.incremental_assign([one(*places[each], at) for each, at in offsets.items()])
        self._begun = offsets
        for topic, number in places.values():
            _log.info('Kafka: topic "%s" has a new partition %d', topic, number)
        return Added(tuple(new))

    def _assign(self) -> None:
        one = self._library.TopicPartition
        self._consumer.assign([one(*place, at) for place, at in self._next.items()])

    def _number(self, place: Place) -> int:
        return self._topics.number(place[0]) + place[1]

    def _on_commit(self, error: Any, _: Any) -> None:
        if error is not None:
            self._warn_of_commit(error)

    def _warn_of_commit(self, error: Any) -> None:
        if not self._commit_failed:
            self._commit_failed = True
            text = 'Kafka: the offsets of group "%s" are not shown: %s; results do not depend on it'
            _log.warning(text, self._group, self._client.text(error))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection: thousands of new messages, none of them in a cycle, start it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
