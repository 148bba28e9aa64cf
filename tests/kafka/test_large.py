"""Messages of 16 MiB in and out, and settings that are too small for them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

LIMIT = 16 << 20
ROOM = 1 << 20  # for what Kafka puts around a message
STREAM = mt.stream(
    time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "n": "i64", "text": "str"}
)
LARGE = {"message.max.bytes": LIMIT + ROOM}


def message(n: int, size: int) -> bytes:
    """A message of so many bytes."""
    start = f'{{"at": "2024-05-01T10:00:0{n}Z", "n": {n}, "text": "'.encode()
    return start + b"x" * (size - len(start) - 2) + b'"}'


def fill(kafka: Kafka, topic: str, *messages: bytes) -> None:
    producer = ck.Producer({**kafka.client, "message.max.bytes": LIMIT + 2 * ROOM})
    for each in messages:
        producer.produce(topic, each)
    assert producer.flush(60) == 0


def rows_of(kafka: Kafka, topic: str) -> list[tuple[int, int]]:
    records = [record for record in kafka.read(topic) if record.value]
    return [(len(row["text"]), row["n"]) for row in (json.loads(each.value) for each in records)]


@pytest.mark.parametrize("checkpoint", [True, False])
def test_messages_of_16_mib_go_in_and_out(kafka: Kafka, tmp_path: Path, checkpoint: bool) -> None:
    given = kafka.topic(1, max_message_bytes=LIMIT + ROOM)
    out = kafka.topic(1, max_message_bytes=LIMIT + ROOM)
    fill(kafka, given, message(0, LIMIT), message(1, 100), message(2, LIMIT))
    source = mt.sources.Kafka(given, servers=kafka.servers, group=kafka.name("group"))
    sink = mt.sinks.Kafka(out, servers=kafka.servers, settings=LARGE, key=())
    if checkpoint:
        mt.run(source, STREAM, sinks=sink, once=True, checkpoint=tmp_path / "state")
    else:
        run = mt.run(source, STREAM, sinks=sink, background=True)
        end = time.monotonic() + 60
        while run.alive and time.monotonic() < end and len(rows_of(kafka, out)) < 3:
            time.sleep(0.1)
        run.stop(60)
    text = LIMIT - len(message(0, 100)) + len(json.loads(message(0, 100))["text"])
    assert sorted(rows_of(kafka, out), key=lambda row: row[1]) == [
        (text, 0),
        (len(json.loads(message(1, 100))["text"]), 1),
        (text, 2),
    ]


def test_a_larger_message_is_bad_and_names_the_option(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1, max_message_bytes=LIMIT + 2 * ROOM)
    fill(kafka, topic, message(0, LIMIT + 1), message(1, 100))

    def source(**given: Any) -> Any:
        return mt.sources.Kafka(topic, servers=kafka.servers, group=kafka.name("group"), **given)

    said = f"it has {LIMIT + 1} bytes, more than bytes_max={LIMIT}"
    with pytest.raises(mt.SourceError, match=said) as stopped:
        mt.run(source(), STREAM, once=True, checkpoint=tmp_path / "stop")
    assert f'hint: options={{"bytes_max": {LIMIT + 1}}} takes it' in str(stopped.value)
    report = mt.run(source(bad="record"), STREAM, once=True, checkpoint=tmp_path / "record")
    assert (report.rows, report.invalid) == (1, 1)
    wider = source(options={"bytes_max": LIMIT + ROOM})
    assert mt.run(wider, STREAM, once=True, checkpoint=tmp_path / "wider").rows == 2


@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize("where", ["client", "topic"])
def test_a_row_that_is_too_large_for_the_topic_ends_the_run_with_a_hint(
    kafka: Kafka, tmp_path: Path, checkpoint: bool, where: str
) -> None:
    """It can never succeed, so it is not tried again and again."""
    topic = kafka.topic(1, max_message_bytes=LIMIT if where == "client" else 100_000)
    sink = mt.sinks.Kafka(
        topic, servers=kafka.servers, settings=LARGE if where == "topic" else None
    )
    row = json.loads(message(0, 2 << 20))
    more = {"checkpoint": tmp_path / "state", "name": kafka.name("run")} if checkpoint else {}
    began = time.monotonic()
    with pytest.raises(mt.SinkError) as refused:
        mt.run([row], STREAM, sinks=sink, **more)
    assert time.monotonic() - began < 30
    assert "hint: raise message.max.bytes in settings=" in str(refused.value)
    assert "MSG_SIZE_TOO_LARGE" in str(refused.value)


def test_a_client_that_may_not_receive_so_much_says_so(kafka: Kafka, tmp_path: Path) -> None:
    topic = kafka.topic(1, max_message_bytes=LIMIT + ROOM)
    fill(kafka, topic, message(0, LIMIT))
    settings = {"receive.message.max.bytes": 2 << 20, "fetch.max.bytes": 1 << 20}
    source = mt.sources.Kafka(
        topic, servers=kafka.servers, group=kafka.name("group"), settings=settings
    )
    run = mt.run(source, STREAM, background=True, checkpoint=tmp_path / "state")
    with pytest.raises(mt.SourceError, match=r'raise "receive.message.max.bytes" in set'):
        run.wait(60)
