"""Reads topics with the Kafka source, for tests: poll until something is there."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import muntin as mt
from kafka.broker import Kafka
from muntin.sources import Added, Delivery, Quiet

SCHEMA = [("at", "timestamp[us, UTC]"), ("v", "i64")]
START_MS = 1_714_550_400_000


def payload(v: int) -> bytes:
    at = dt.datetime.fromtimestamp(START_MS / 1000 + v, dt.UTC)
    return json.dumps({"at": at.isoformat(), "v": v}).encode()


def fill(kafka: Kafka, topic: str, values: Any, partition: int | None = None) -> None:
    """Messages with these values, in partition value % 2 unless one is given."""
    parts = [(v, v % 2 if partition is None else partition) for v in values]
    kafka.produce(topic, [(b"k%d" % v, payload(v), part, START_MS + v) for v, part in parts])


def source(kafka: Kafka, topics: Any, **given: Any) -> mt.sources.Kafka:
    given.setdefault("settings", {"fetch.wait.max.ms": 50})  # an end is told after this wait
    return mt.sources.Kafka(topics, servers=kafka.servers, group=kafka.name("group"), **given)


def grow(kafka: Kafka, topic: str) -> None:
    """Give a topic a second partition."""
    from confluent_kafka.admin import NewPartitions

    admin = kafka.admin()
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(10)


def remove(kafka: Kafka, topic: str) -> None:
    """Remove the first seven records of partition 0."""
    from confluent_kafka import TopicPartition

    admin = kafka.admin()
    for done in admin.delete_records([TopicPartition(topic, 0, 7)]).values():
        done.result(10)


class Read:
    """What a reader gave until nothing more was there."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.places: list[tuple[int, int]] = []
        self.arrivals: list[Any] = []
        self.bad: list[Any] = []
        self.resume: dict[int, int] = {}
        self.mark: Any = None
        self.added: list[int] = []
        self.quiet: list[Quiet] = []

    def take(self, polled: Any) -> None:
        match polled:
            case Delivery() as delivery:
                self.resume |= delivery.resume
                self.mark = delivery.mark or self.mark
                self.bad += delivery.undecodable
                rows = delivery.batch.to_pylist()
                self.rows += rows
                if rows:
                    self.places += zip(
                        delivery.partition.to_pylist(), delivery.position.to_pylist(), strict=True
                    )
                    self.arrivals += delivery.arrival.to_pylist()
            case Quiet() as quiet:
                self.quiet.append(quiet)
            case Added(partitions):
                self.added += partitions

    @property
    def values(self) -> list[int]:
        return sorted(row["v"] for row in self.rows)


@contextmanager
def opened(
    source: Any, positions: Mapping[int, int] | None = None, mark: Any = None, schema: Any = SCHEMA
) -> Iterator[Any]:
    with closing(source.open(schema, positions or {}, mark)) as reader:
        yield reader


def read(
    reader: Any, until: Callable[[Read], bool], into: Read | None = None, seconds: float = 20
) -> Read:
    """Poll until a condition is met."""
    found = Read() if into is None else into
    end = time.monotonic() + seconds
    while not until(found):
        assert time.monotonic() < end, vars(found)
        found.take(reader.poll())
    return found


def whole(source: Any, positions: Any = None, mark: Any = None, schema: Any = SCHEMA) -> Read:
    """All that is there."""
    found = Read()
    with opened(source.for_once(), positions, mark, schema) as reader:
        while (polled := reader.poll()) is not None:
            found.take(polled)
    return found
