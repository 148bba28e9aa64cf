"""Of several copies of a run one is the owner; another one takes over when it ends or dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import muntin as mt

WORKER = """
import logging, sys
import muntin as mt
from muntin.clients.kafka import ownership

rows, servers, topic, name, state = sys.argv[1:]
ownership._SESSION_MS, ownership._HEARTBEAT_MS = 2_000, 300
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
stream = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us]", "n": "i64"})
mt.run(
    mt.sources.JsonLines(rows, follow=True), stream, name=name, standby=True,
    sinks=mt.sinks.Kafka(topic, servers=servers), checkpoint=mt.Checkpoint(state, every="100ms"),
)
"""


class Copies:
    """Copies of one run, as processes that log to files."""

    def __init__(self, kafka, place: Path) -> None:
        self.kafka, self.place = kafka, place
        self.topic, self.name = kafka.topic(partitions=1), kafka.name("run")
        self.rows, self.wrote = place / "rows.jsonl", 0
        self.rows.touch()
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> int:
        number = len(self.started)
        log = (self.place / f"log-{number}").open("wb")
        arguments = [str(self.rows), self.kafka.servers, self.topic, self.name]
        command = [sys.executable, "-c", WORKER, *arguments, str(self.place / "state")]
        self.started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return number

    def write(self, count: int) -> None:
        with self.rows.open("a") as file:
            for n in range(self.wrote, self.wrote + count):
                at = f"2024-05-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}"
                file.write(json.dumps({"at": at, "n": n}) + "\n")
        self.wrote += count

    def log(self, number: int) -> str:
        return (self.place / f"log-{number}").read_text()

    def until(self, what: Callable[[], bool], seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while not what():
            logs = "\n---\n".join(map(self.log, range(len(self.started))))
            assert time.monotonic() < end, logs
            time.sleep(0.1)

    def found(self) -> list[int]:
        return [json.loads(record.value)["n"] for record in self.kafka.read(self.topic)]

    def owns(self, number: int) -> bool:
        return "has made it the owner" in self.log(number)


@pytest.fixture
def copies(kafka, tmp_path: Path) -> Iterator[Copies]:
    made = Copies(kafka, tmp_path)
    yield made
    for each in made.started:
        if each.poll() is None:
            each.kill()
        each.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["ends", "dies"])
def test_another_copy_takes_over_when_the_owner(copies: Copies, how: signal.Signals) -> None:
    first = copies.start()
    copies.write(50)
    copies.until(lambda: len(copies.found()) == 50)
    second = copies.start()
    copies.until(lambda: "waits until group" in copies.log(second))
    assert not copies.owns(second)
    os.kill(copies.started[first].pid, how)
    copies.started[first].wait(timeout=30)
    copies.write(50)
    copies.until(lambda: len(copies.found()) == 100)
    assert copies.owns(second)
    assert copies.found() == list(range(100))


def test_standby_needs_kafka_a_name_and_a_checkpoint(tmp_path: Path) -> None:
    stream = mt.stream(time="at", out_of_order="0s", schema={"at": "date"})
    sink = mt.sinks.Kafka("topic", servers="localhost:9")
    cases = {
        "standby=True needs checkpoint=": {"sinks": sink, "name": "a"},
        "standby=True needs a name": {"sinks": sink, "checkpoint": tmp_path},
        "standby=True needs a source or a sink of Kafka": {"name": "a", "checkpoint": tmp_path},
    }
    for message, given in cases.items():
        with pytest.raises(mt.PlanError, match=message):
            mt.run([{"at": "2024-05-01"}], stream, standby=True, **given)
