"""What tests ask of a cluster: topics and names of their own, records in and out, offsets."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# Of confluent_kafka nothing is imported here: tests that need no broker run without it.

Row = tuple[Any, ...]
QUIET = {"log_level": 0}


class Record(NamedTuple):
    """A record of a topic; `timestamp` in milliseconds since 1970."""

    key: bytes | None
    value: bytes | None
    partition: int
    timestamp: int
    offset: int
    headers: list[tuple[str, bytes]]


class EndedEarly(RuntimeError):
    """The broker's process ended before it answered."""


class Kafka:
    """A cluster at `servers`, which others may use at the same time."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self._numbers = itertools.count()
        self._run = uuid.uuid4().hex[:8]

    def name(self, what: str = "name") -> str:
        """A name that no other test has: for a group, a transactional id, a topic."""
        return f"{what}-{self._run}-{next(self._numbers)}"

    @property
    def client(self) -> dict[str, Any]:
        """The settings of a client that connects to this cluster."""
        return {"bootstrap.servers": self.servers, **QUIET}

    def admin(self) -> Any:
        """An admin client of confluent-kafka."""
        from confluent_kafka.admin import AdminClient

        return AdminClient(self.client)

    def wait(self, seconds: float, alive: Callable[[], bool] = lambda: True) -> None:
        """Return when the cluster answers; raise if that takes longer, or it is not alive."""
        from confluent_kafka import KafkaException

        end = time.monotonic() + seconds
        admin = self.admin()
        while True:
            try:
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                pass
            if not alive():
                raise EndedEarly(f"the broker at {self.servers} ended before it answered")
            if time.monotonic() > end:
                raise TimeoutError(f"{self.servers} did not answer within {seconds} s")

    def topic(self, partitions: int = 4, name: str | None = None, **config: Any) -> str:
        """Make a topic with a name of its own; `config` with underscores for dots."""
        from confluent_kafka.admin import NewTopic

        name = name or self.name("topic")
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        new = NewTopic(name, partitions, replication_factor=1, config=settings)
        admin = self.admin()
        admin.create_topics([new], operation_timeout=20)[name].result(30)
        end = time.monotonic() + 20
        while not _has_leaders(admin.list_topics(name, timeout=5).topics[name], partitions):
            if time.monotonic() > end:
                raise TimeoutError(f"the topic {name} has no leaders")
            time.sleep(0.02)
        return name

    def produce(self, topic: str, rows: Iterable[Row]) -> None:
        """Write rows of (key, value, partition, timestamp), of which the last ones may be left out.

        A partition or timestamp that is None is left to the client. Returns when all are written.
        """
        from confluent_kafka import Producer

        failed: list[Any] = []
        producer = Producer({**self.client, "linger.ms": 5, "enable.idempotence": True})

        def written(error: Any, _: Any) -> None:
            if error is not None:
                failed.append(error)

        for row in rows:
            key, value, partition, timestamp = (*row, None, None, None)[:4]
            more: dict[str, Any] = {"on_delivery": written}
            if partition is not None:
                more["partition"] = partition
            if timestamp is not None:
                more["timestamp"] = timestamp
            while True:
                try:
                    producer.produce(topic, value, key, **more)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        left = producer.flush(60)
        assert not failed and not left, (failed[:3], left)

    def read(self, topic: str, isolation: str = "read_committed") -> list[Record]:
        """All records up to the end, in the order of each partition.

        With `read_committed` the end is the first record of a transaction that is still open.
        """
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        settings = {
            **self.client,
            "group.id": self.name("reader"),
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
        consumer = Consumer(settings)
        try:
            open_parts = set(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in open_parts])
            found: list[Record] = []
            end = time.monotonic() + 60
            while open_parts:
                assert time.monotonic() < end, f"{topic}: no end of the partitions {open_parts}"
                for message in consumer.consume(1000, 0.1):
                    error = message.error()
                    if error is None:
                        found.append(_record(message))
                        end = time.monotonic() + 60
                    elif error.code() == KafkaError._PARTITION_EOF:
                        open_parts.discard(message.partition())
                    else:
                        raise RuntimeError(f"{topic}: {error}")
            return found
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, tuple[int, str]]:
        """Offset and metadata that a group has committed, by partition; not those that it has not.

        Asks for one partition at a time: one with an open transaction blocks a whole request.
        """
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({**self.client, "group.id": group, "enable.auto.commit": False})
        try:
            found = {}
            for part in consumer.list_topics(topic, timeout=20).topics[topic].partitions:
                (place,) = consumer.committed([TopicPartition(topic, part)], timeout=20)
                assert place.error is None, place.error
                if place.offset >= 0:
                    found[part] = (place.offset, place.metadata or "")
            return found
        finally:
            consumer.close()

    def close(self) -> None:
        """Nothing is kept open; a broker of its own ends here."""


def _has_leaders(topic: Any, partitions: int) -> bool:
    parts = topic.partitions.values()
    return len(parts) == partitions and all(each.leader >= 0 for each in parts)


def _record(message: Any) -> Record:
    _, timestamp = message.timestamp()
    key, value, headers = message.key(), message.value(), message.headers() or []
    return Record(key, value, message.partition(), timestamp, message.offset(), headers)
