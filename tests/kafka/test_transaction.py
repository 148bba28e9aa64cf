"""A transaction whose commit is repeated, or whose records cannot be sent: nothing is torn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka
from muntin.clients.kafka.transaction import Offset, Transaction, TransactionLost
from muntin.monitor.counters import Counters

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")


def transaction(servers: str, id: str, timeout: float = 20.0) -> Transaction:
    sink = mt.sinks.Kafka("any", servers=servers)
    return sink.transaction(id, timeout)


def test_a_producer_whose_commit_was_repeated_is_replaced(kafka: Kafka, monkeypatch) -> None:
    """The first request may arrive late, and would commit half of the next transaction."""
    topic, group = kafka.topic(1), kafka.name("group")
    ours = transaction(kafka.servers, kafka.name("id"))
    mark = (group, Offset(topic, 0, 0))
    ours.start([topic], mark)
    first = ours._producer
    ours.send(topic, b"1", None)
    ours.commit({group: [Offset(topic, 0, 1)]})
    assert ours._producer is first

    class Twice:
        """A producer whose commit answers once that it did not hear from the broker."""

        asked = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(first, name)

        def commit_transaction(self, timeout: float) -> None:
            self.asked += 1
            if self.asked == 1:
                raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT, retriable=True))
            first.commit_transaction(timeout)

    ours._producer = twice = Twice()
    ours.send(topic, b"2", None)
    ours.commit({group: [Offset(topic, 0, 2)]})
    assert twice.asked == 2
    ours.send(topic, b"3", None)
    assert ours._producer not in (first, twice)
    with pytest.raises(ck.KafkaException):  # what the old one still has on its way is refused
        first.begin_transaction()
        first.produce(topic, b"torn")
        first.commit_transaction(10)
    ours.commit({group: [Offset(topic, 0, 3)]})
    ours.close()
    assert [record.value for record in kafka.read(topic)] == [b"1", b"2", b"3"]
    assert kafka.committed(group, topic) == {0: (3, "")}


def test_a_run_whose_records_are_refused_resumes_from_its_checkpoint(
    kafka: Kafka, tmp_path: Path, monkeypatch
) -> None:
    """As after a sleep: the producer finds out that it is fenced when it sends."""
    topic = kafka.topic(1)
    real, sent = Transaction.send, []

    def send(self: Transaction, to: str, value: bytes | None, *more: Any, **named: Any) -> None:
        sent.append(value)
        if value and len([each for each in sent if each]) == 3:
            self.give_up()
            raise TransactionLost("produce failed: a test says so", "fenced")
        real(self, to, value, *more, **named)

    monkeypatch.setattr(Transaction, "send", send)
    rows = [{"at": f"2024-05-01T10:0{i}:00Z", "n": i} for i in range(9)]
    stream = mt.stream(
        time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]", "n": "i64"}
    )
    report = mt.run(
        mt.sources.Rows(rows),
        stream.tumbling("1m").agg(n=mt.sum("n")),
        sinks=[mt.sinks.Kafka(topic, servers=kafka.servers)],
        checkpoint=mt.Checkpoint(tmp_path / "state", every="0s"),
        name=kafka.name("run"),
    )
    assert [json.loads(record.value or b"")["n"] for record in kafka.read(topic)] == [*range(9)]
    assert report.aborts == {"fenced": 1}
    assert "aborts    fenced 1" in repr(report)


def test_the_cause_of_a_lost_commit_is_that_another_run_has_the_name(kafka: Kafka) -> None:
    topic, group, name = kafka.topic(1), kafka.name("group"), kafka.name("id")
    first, second = (transaction(kafka.servers, name) for _ in range(2))
    first.start([topic], (group, Offset(topic, 0, 0)))
    first.send(topic, b"1", None)
    second.start([topic], (group, Offset(topic, 0, 0)))
    with pytest.raises(TransactionLost) as lost:
        first.commit({group: [Offset(topic, 0, 1)]})
    assert lost.value.cause == "fenced", lost.value
    second.close()
    first.close()


def test_joining_the_copies_of_a_run_is_a_rebalance(kafka: Kafka) -> None:
    counters = Counters()
    sink = mt.sinks.Kafka(kafka.topic(1), servers=kafka.servers)
    ours = sink.ownership(kafka.name("run"))
    ours.rebalanced = counters.rebalanced
    assert ours.wait(lambda: False)
    assert counters.rebalances == 1
    ours.close()
