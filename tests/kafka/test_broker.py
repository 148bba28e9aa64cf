"""The broker for tests: transactions work, and it can be killed, paused and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kafka.broker import Broker, Kafka

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def test_records_come_back(kafka: Kafka) -> None:
    topic = kafka.topic(partitions=2)
    rows = [(b"a", b"1", 0, 1_000), (None, b"2", 1, 2_000), (b"c", None, 0, 3_000)]
    kafka.produce(topic, rows)
    found = kafka.read(topic)
    assert {each[:4] for each in found} == set(rows)
    assert [each.offset for each in found if each.partition == 0] == [0, 1]


def test_a_transaction_writes_records_and_offsets_with_metadata(kafka: Kafka) -> None:
    source, target, group = kafka.topic(1), kafka.topic(1), kafka.name("group")
    consumer = ck.Consumer({**kafka.client, "group.id": group, "enable.auto.commit": False})
    producer = ck.Producer({**kafka.client, "transactional.id": kafka.name("id")})
    producer.init_transactions(20)
    for number, end in enumerate((producer.commit_transaction, producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(target, f"value {number}")
        place = ck.TopicPartition(source, 0, 7 + number, metadata=f"snapshot {number}")
        producer.send_offsets_to_transaction([place], consumer.consumer_group_metadata(), 20)
        end(20)
    consumer.close()
    assert kafka.committed(group, source) == {0: (7, "snapshot 0")}
    assert [each.value for each in kafka.read(target)] == [b"value 0"]
    every = kafka.read(target, isolation="read_uncommitted")
    assert [each.value for each in every] == [b"value 0", b"value 1"]


@pytest.mark.slow
def test_a_broker_of_its_own_is_killed_paused_and_started_again(kafka_broker) -> None:
    broker: Broker = kafka_broker()
    topic = broker.topic(1)
    broker.produce(topic, [(None, b"before")])
    broker.kill()
    with pytest.raises(ck.KafkaException):
        broker.admin().list_topics(timeout=0.5)
    broker.start()
    broker.pause()
    with pytest.raises(ck.KafkaException):
        broker.admin().list_topics(timeout=0.5)
    broker.resume()
    broker.produce(topic, [(None, b"after")])
    assert [each.value for each in broker.read(topic)] == [b"before", b"after"]


@pytest.mark.slow
def test_a_killed_test_run_leaves_no_broker(kafka: Kafka, tmp_path: Path) -> None:
    place = tmp_path / "broker"
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from kafka.broker import Broker
print(Broker(Path({str(place)!r})).pid, flush=True)
time.sleep(100)
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    broker = int(run.stdout.readline())
    os.kill(broker, 0)
    run.kill()
    run.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and (place.exists() or os.path.exists(f"/proc/{broker}")):
        time.sleep(0.05)
    assert not place.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(broker, signal.SIGCONT)
