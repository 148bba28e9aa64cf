"""Messages that cannot be decoded, have no payload, or are large."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka
from kafka.reads import (
    SCHEMA,
    fill,
    opened,
    payload,
    read,
    source,
    whole,
)

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def test_a_key_that_is_not_text_makes_a_bad_row(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(b"a", payload(0)), (b"\xff", payload(1)), (None, payload(2))])
    found = whole(source(kafka, topic, bad="record"), schema=[*SCHEMA, ("_key", "str")])
    assert [(r["v"], r["_key"]) for r in found.rows] == [(0, "a"), (2, None)]
    assert [(bad.position, "_key" in bad.detail) for bad in found.bad] == [(1, True)]
    with pytest.raises(mt.SourceError, match=f'topic "{topic}", partition 0, offset 1: column "_k'):
        whole(source(kafka, topic), schema=[*SCHEMA, ("_key", "str")])


def test_tombstones_are_skipped_and_counted_or_rows_of_nulls(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(b"a", payload(0)), (b"a", None), (b"b", payload(1))])
    with opened(source(kafka, topic)) as reader:
        found = read(reader, lambda found: found.resume == {0: 3})
        assert found.values == [0, 1] and reader.tombstones == 1
    found = whole(source(kafka, topic, tombstones=True))
    assert [row["v"] for row in found.rows] == [0, None, 1]


BAD = [payload(0), b'{"at": 5, "v": [}', b"\xff", payload(3), b"", b'{"at": "x", "v": 1}']


def test_bad_messages_become_records_with_their_place(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, each) for each in BAD])
    found = whole(source(kafka, topic, bad="record"))
    assert found.values == [0, 3]
    assert [(bad.position, bad.payload, bad.file) for bad in found.bad] == [
        (at, BAD[at], topic) for at in (1, 2, 4, 5)
    ]
    assert found.resume == {0: 6}


def test_a_bad_message_stops_the_run_with_its_place(kafka: Kafka, tmp_path: Any) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, each) for each in BAD])
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    where = f'Kafka: topic "{topic}", partition 0, offset 1, byte '
    with pytest.raises(mt.SourceError, match=where) as stopped:
        mt.run(source(kafka, topic), stream, checkpoint=tmp_path / "state", once=True)
    assert "hint: bad=" in str(stopped.value)
    invalid: list[Any] = []
    kept = mt.sinks.Callback(lambda table: invalid.extend(table["position"].to_pylist()))
    job = {"checkpoint": tmp_path / "state", "once": True, "invalid": [kept]}
    report = mt.run(source(kafka, topic, bad="record"), stream, **job)
    assert (report.invalid, invalid) == (4, [1, 2, 4, 5])


def test_large_messages_are_read_few_at_a_time(kafka: Kafka) -> None:
    topic = kafka.topic(1, max_message_bytes=20_000_000)
    large = json.dumps({"at": "2024-05-01T00:00:00Z", "v": 1, "x": "y" * 12_000_000}).encode()
    settings = {**kafka.client, "message.max.bytes": 20_000_000}
    producer = ck.Producer(settings)
    for _ in range(4):
        producer.produce(topic, large)
        producer.flush(30)
    fill(kafka, topic, [5, 6], 0)
    with opened(source(kafka, topic)) as reader:
        found = read(reader, lambda found: len(found.rows) == 6, seconds=40)
    assert found.values == [1, 1, 1, 1, 5, 6]


@pytest.mark.parametrize("once", [True, False])
def test_bad_messages_go_to_a_sink_of_their_own(kafka: Kafka, tmp_path: Any, once: bool) -> None:
    topic = kafka.topic(1)
    kafka.produce(topic, [(None, each) for each in BAD])
    stream = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
    apart: list[Any] = []
    sink = mt.sinks.Callback(lambda table: apart.extend(table.to_dicts()))
    state = mt.Checkpoint(tmp_path / "state", every="100ms")
    run = mt.run(
        source(kafka, topic, bad=sink), stream, checkpoint=state, once=once, background=True
    )
    end = time.monotonic() + 20
    while len(apart) < 4 and run.alive and time.monotonic() < end:
        time.sleep(0.02)
    run.stop()
    assert [row["offset"] for row in apart] == [1, 2, 4, 5]
    assert [row["payload"] for row in apart] == [BAD[at] for at in (1, 2, 4, 5)]
