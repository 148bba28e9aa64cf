"""The guarantee of each pair in `docs/kafka.md`: a Kafka source before each kind of sink.

A run breaks again and again, at another moment each time, and resumes from its checkpoint.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Broker, Kafka
from kafka.reads import SCHEMA, fill, source
from muntin.sources.brokers.reader import KafkaReader
from receivers import Server
from runs import Cut
from test_alert_mail import Post
from test_sinks_durable import KINDS

pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

STREAM = mt.stream(time="at", out_of_order="0s", schema=dict(SCHEMA))
ALARM = mt.rule("each", "v >= 0", message="{v}")
ROWS, PART = 300, 20


def sized(reader: Any, messages: Any) -> None:
    reader._many = reader._list = PART


class Broken:
    """Runs that break after some polls, until one goes through."""

    def __init__(self, kafka: Kafka, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka, self.place = kafka, place
        self.topic, self.name = kafka.topic(2), kafka.name("run")
        self.left = 0
        poll = KafkaReader.poll

        def counted(reader: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Cut
            return poll(reader)

        monkeypatch.setattr(KafkaReader, "poll", counted)
        # many small deliveries, so that there is something to break
        monkeypatch.setattr(KafkaReader, "_sized", sized)

    def run(self, make: Callable[[], Any], word: str = "sinks", every: str = "0s") -> int:
        """Run to the end; returns how often it broke."""
        fill(self.kafka, self.topic, range(ROWS))
        state = mt.Checkpoint(self.place / "state", every=every)
        for broken in itertools.count():
            self.left = 2 + broken
            given: dict[str, Any] = {word: make(), "checkpoint": state, "name": self.name}
            if word == "alerts":
                given["rules"] = [ALARM]
            try:
                mt.run(source(self.kafka, self.topic), STREAM, once=True, **given)
            except Cut:
                continue
            return broken
        raise AssertionError


@pytest.fixture
def broken(kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(kafka, tmp_path, monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.mark.parametrize("every", ["0s", "1h"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_and_databases_have_each_row_once(broken: Broken, kind: str, every: str) -> None:
    make, read = KINDS[kind]
    path = broken.place / f"rows.{kind}"
    assert broken.run(lambda: make(path), every=every) >= 2
    assert sorted(int(row["v"]) for row in read(path)) == list(range(ROWS))


@pytest.mark.parametrize("word", ["sinks", "alerts"])
def test_a_topic_has_each_row_once(broken: Broken, kafka: Kafka, word: str) -> None:
    topic = kafka.topic(2)
    assert broken.run(lambda: mt.sinks.Kafka(topic, servers=kafka.servers), word) >= 2
    rows = [json.loads(record.value) for record in kafka.read(topic) if record.value]
    values = (int(row["message"]) if word == "alerts" else row["v"] for row in rows)
    assert sorted(values) == list(range(ROWS))


def test_a_topic_beside_a_file_has_each_row_once(broken: Broken, kafka: Kafka) -> None:
    """The transaction is the authority, and the file follows it."""
    topic, path = kafka.topic(2), broken.place / "rows.jsonl"

    def both() -> list[Any]:
        return [mt.sinks.JsonLines(path), mt.sinks.Kafka(topic, servers=kafka.servers)]

    assert broken.run(both) >= 2
    records = [record for record in kafka.read(topic) if record.value]
    for texts in (path.read_text().splitlines(), [each.value for each in records]):
        assert sorted(json.loads(text)["v"] for text in texts) == list(range(ROWS))


@pytest.mark.slow
def test_a_topic_of_another_cluster_has_each_row_at_least_once(
    broken: Broken, kafka: Kafka, kafka_broker: Callable[..., Broker]
) -> None:
    other = kafka_broker()
    here, there = kafka.topic(1), other.topic(1)

    def both() -> list[mt.sinks.Kafka]:
        return [
            mt.sinks.Kafka(here, servers=kafka.servers),
            mt.sinks.Kafka(there, servers=other.servers),
        ]

    assert broken.run(both) >= 2
    first, second = (
        sorted(json.loads(record.value)["v"] for record in place.read(topic) if record.value)
        for place, topic in ((kafka, here), (other, there))
    )
    assert first == list(range(ROWS)) and set(second) == set(range(ROWS))


def test_functions_and_the_console_get_each_row_at_least_once(broken: Broken) -> None:
    got: list[int] = []
    printed = io.StringIO()

    def both() -> list[Any]:
        callback = mt.sinks.Callback(lambda table: got.extend(table["v"].to_pylist()))
        return [callback, mt.sinks.Console(stream=printed)]

    assert broken.run(both) >= 2
    assert set(got) == set(range(ROWS))
    assert sum(map(int, re.findall(r"(\d+) rows?\b", printed.getvalue()))) >= ROWS


def test_webhooks_get_each_alert_with_an_id_that_stays_the_same(
    broken: Broken, server: Server
) -> None:
    def hook() -> mt.sinks.Webhook:
        return mt.sinks.Webhook(server.url, allow_http=True, allow_private=True)

    assert broken.run(hook, "alerts") >= 2
    told = {(id, row["message"]) for id, row in zip(server.ids(), server.rows(), strict=True)}
    assert sorted(int(message) for _, message in told) == list(range(ROWS))
    assert len({id for id, _ in told}) == ROWS


def test_mails_have_each_alert_with_an_id_that_stays_the_same(broken: Broken) -> None:
    post = Post()
    post.start()
    try:
        more: Any = {"port": post.port, "tls": "none", "sender": "muntin@example.com"}
        mail = lambda: mt.sinks.Email("ops@example.com", server="127.0.0.1", **more)  # noqa: E731
        assert broken.run(mail, "alerts") >= 2
    finally:
        post.stop()
    told = {(each["X-Muntin-Id"], each.get_content().splitlines()[0]) for each in post.mails}
    assert sorted(int(message) for _, message in told) == list(range(ROWS))
    assert len({id for id, _ in told}) == ROWS
