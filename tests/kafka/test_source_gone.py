"""Records, topics and brokers that are gone, for ever or for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import muntin as mt
from kafka.broker import Broker, Kafka
from kafka.reads import (
    fill,
    opened,
    read,
    remove,
    source,
    whole,
)
from muntin.sources.brokers import reader as reading

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def test_records_that_retention_removed_are_told(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    fill(kafka, topic, range(10), 0)
    remove(kafka, topic)
    said = f'topic "{topic}", partition 0: offset 3 is gone: the first record there is has 7'
    assert whole(source(kafka, topic)).values == [7, 8, 9]
    with pytest.raises(mt.SourceError, match=said):
        whole(source(kafka, topic), {0: 3})
    with pytest.raises(mt.SourceError, match="offset 11 was reached, but the partition ends at 10"):
        whole(source(kafka, topic), {0: 11})
    with pytest.raises(mt.SourceError, match="no longer has partition 4, which had been read"):
        whole(source(kafka, topic), {0: 7, 4: 1})


def test_records_removed_while_they_are_read_are_told(kafka: Kafka) -> None:
    topic = kafka.topic(1)
    with opened(source(kafka, topic)) as reader:
        read(reader, lambda found: any(each.partitions for each in found.quiet))
        reader._consumer.pause([ck.TopicPartition(topic, 0)])
        fill(kafka, topic, range(10), 0)
        remove(kafka, topic)
        reader._consumer.resume([ck.TopicPartition(topic, 0)])
        with pytest.raises(mt.SourceError, match=r"partition 0: offset 0 is gone: .* has 7"):
            read(reader, lambda _: False)


def test_a_topic_made_again_is_told(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LOOK_S", 0.2)
    topic = kafka.topic(1)
    fill(kafka, topic, range(3), 0)
    one = source(kafka, topic)
    with opened(one) as reader:
        found = read(reader, lambda found: len(found.rows) == 3)
        admin = kafka.admin()
        admin.delete_topics([topic])[topic].result(10)
        with pytest.raises(mt.SourceError, match=f'topic "{topic}" was deleted'):
            read(reader, lambda _: False)
    deadline = time.monotonic() + 10
    while True:
        try:
            kafka.topic(1, name=topic)
            break
        except ck.KafkaException:  # the old one is still being removed
            assert time.monotonic() < deadline
            time.sleep(0.1)
    fill(kafka, topic, range(9), 0)
    again = source(kafka, topic)
    with pytest.raises(mt.SourceError, match="was deleted and made again, so its offsets begin"):
        whole(again, {0: 3}, found.mark)
    assert len(whole(again, {0: 3}).rows) == 6  # without a mark nobody can know


@pytest.mark.slow
def test_reading_goes_on_over_outages_and_they_are_not_silence(
    kafka_broker: Callable[..., Broker], caplog: pytest.LogCaptureFixture
) -> None:
    broker = kafka_broker()
    topic = broker.topic(1)
    fill(broker, topic, range(3), 0)
    with opened(source(broker, topic)) as reader:
        found = read(reader, lambda found: any(each.partitions for each in found.quiet))
        for away, back in ((broker.kill, broker.start), (broker.pause, broker.resume)):
            away()
            read(reader, lambda found: bool(found.quiet[-1].lost), found)
            gone = len(found.quiet)
            end = time.monotonic() + 3
            read(reader, lambda _, end=end: time.monotonic() > end, found)
            assert not any(each.partitions for each in found.quiet[gone:])
            back()
            read(reader, lambda found: bool(found.quiet[-1].partitions), found, seconds=40)
        fill(broker, topic, range(3, 6), 0)
        read(reader, lambda found: len(found.rows) == 6, found, seconds=40)
    assert found.values == list(range(6))
    assert "no broker can be reached" in caplog.text or "connected again" in caplog.text


@pytest.mark.slow
def test_a_run_with_once_does_not_wait_for_brokers_for_ever(
    kafka_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STUCK_S", 2.0)
    broker = kafka_broker()
    topic = broker.topic(1)
    with opened(source(broker, topic).for_once()) as reader:
        reader.poll()
        broker.pause()
        reader._targets = {(topic, 0): 5}
        with pytest.raises(mt.SourceError, match=r"no broker has answered for \d+ s"):
            read(reader, lambda _: False)
        broker.resume()
