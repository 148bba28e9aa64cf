"""A Kafka source that declares its partitions: scope, and the check of record keys."""

from __future__ import annotations

import datetime as dt
import json

import pytest

import muntin as mt
from kafka.broker import Kafka

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

STREAM = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "k": "str"})
COUNTS = STREAM.tumbling("1m", by="k").agg(n=mt.count())
NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)


def fill(kafka: Kafka, topic: str, partitioner: str) -> None:
    """Ten keys, each record in the partition that the client's partitioner chooses."""
    producer = ck.Producer({**kafka.client, "partitioner": partitioner})
    for n in range(30):
        row = {"at": (NOON + dt.timedelta(seconds=10 * n)).isoformat(), "k": f"k{n % 10}"}
        producer.produce(topic, json.dumps(row).encode(), row["k"].encode())
    assert producer.flush(30) == 0


def source(kafka: Kafka, topic: str, **given: object) -> mt.sources.Kafka:
    settings = {"fetch.wait.max.ms": 50}
    group, servers = kafka.name("group"), kafka.servers
    return mt.sources.Kafka(topic, servers=servers, group=group, settings=settings, **given)


def test_records_are_where_the_partitioner_says(kafka: Kafka, tmp_path) -> None:
    topic = kafka.topic(partitions=4)
    fill(kafka, topic, "murmur2")
    given = {"partitioned_by": "k", "partitioner": "murmur2"}
    report = mt.run(source(kafka, topic, **given), COUNTS, checkpoint=tmp_path / "a", once=True)
    assert (report.rows, report.late, report.invalid) == (30, 0, 0)
    with pytest.raises(mt.PartitionError, match='partitioner="crc32" leads to'):
        given["partitioner"] = "crc32"
        mt.run(source(kafka, topic, **given), COUNTS, checkpoint=tmp_path / "b", once=True)


def test_a_partitioner_needs_columns_and_equal_topics(kafka: Kafka) -> None:
    with pytest.raises(mt.SourceError, match='partitioner="murmur2" without partitioned_by='):
        source(kafka, "any", partitioner="murmur2")
    topics = [kafka.topic(partitions=1), kafka.topic(partitions=2)]
    with pytest.raises(mt.PlanError, match="the topics have different numbers of partitions"):
        mt.run(source(kafka, topics, partitioned_by="k", partitioner="murmur2"), COUNTS)
