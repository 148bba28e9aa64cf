"""Copies of a run share the partitions of its source: results are those of one run."""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import muntin as mt
from kafka.broker import Kafka

ck = pytest.importorskip("confluent_kafka", reason="not installed: confluent-kafka")

SCHEMA = {"at": "timestamp[ms, UTC]", "k": "str", "v": "i64"}
STREAM = mt.stream("rows", time="at", out_of_order="0s", idle_after=None, schema=SCHEMA)
WINDOWS = STREAM.tumbling("10s", by="k").agg(n=mt.count(), total=mt.sum("v"))
START_MS = 1_714_550_400_000
PARTITIONS = 4
PROTOCOLS = {
    "cooperative": {},
    "eager": {"partition.assignment.strategy": "range"},
    "static": {"group.instance.id": "worker-{}"},
    "kip848": {"group.protocol": "consumer"},
}


class Topics:
    """A topic that rows come from, a topic that windows go to, and the copies between."""

    def __init__(self, kafka: Kafka, place: Path, protocol: str = "cooperative") -> None:
        self.kafka, self.place, self.protocol = kafka, place, protocol
        self.source, self.target = kafka.topic(PARTITIONS), kafka.topic(2)
        self.group = kafka.name("group")
        self.rows = 0
        self.running: list[Any] = []

    def write(self, rows: int) -> None:
        """A row a second of event time, keys in turn; each key has one partition."""
        made = range(self.rows, self.rows + rows)
        self.rows += rows
        self.kafka.produce(self.source, [self.row(n, f"k{n % 20}", n % PARTITIONS) for n in made])

    def write_until_all_read(self) -> None:
        """Write rows until each copy that runs has read some; a group may assign slowly."""

        def all_read() -> bool:
            self.write(200)
            moments = [each.moment for each in self.running if each.alive]
            return all(each is not None and sum(each.sources.values()) for each in moments)

        self.until(all_read)

    def close_windows(self) -> None:
        """A row for each partition that lets an hour pass."""
        late = self.rows + 3600
        self.kafka.produce(self.source, [self.row(late, f"end{p}", p) for p in range(PARTITIONS)])

    def row(self, n: int, key: str, partition: int) -> tuple[bytes, bytes, int]:
        at = dt.datetime.fromtimestamp(START_MS / 1000 + n, dt.UTC).isoformat()
        value = {"at": at, "k": key, "v": n}
        return key.encode(), json.dumps(value).encode(), partition

    def due(self) -> Counter[tuple[str, int, int, int]]:
        """The windows of all rows so far, as if they had closed."""
        found: dict[tuple[str, int], list[int]] = {}
        for n in range(self.rows):
            found.setdefault((f"k{n % 20}", n // 10), []).append(n)
        return Counter((k, w, len(v), sum(v)) for (k, w), v in found.items())

    def found(self) -> Counter[tuple[str, int, int, int]]:
        rows = [json.loads(record.value or b"") for record in self.kafka.read(self.target)]
        return Counter((row["k"], self.window(row), row["n"], row["total"]) for row in rows)

    def window(self, row: dict[str, Any]) -> int:
        at = dt.datetime.fromisoformat(row["window_start"])
        at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
        return (round(at.timestamp() * 1000) - START_MS) // 10_000

    def run(self, **given: Any) -> Any:
        """One copy; with background=True it goes on."""
        number = len(self.running)
        settings = {"fetch.wait.max.ms": 50, **PROTOCOLS[self.protocol]}
        settings = {k: v.format(number) if k[-2:] == "id" else v for k, v in settings.items()}
        return mt.run(
            mt.sources.Kafka(
                self.source,
                servers=self.kafka.servers,
                group=self.group,
                partitioned_by="k",
                settings=settings,
            ),
            WINDOWS,
            sinks=[mt.sinks.Kafka(self.target, servers=self.kafka.servers)],
            checkpoint=mt.Checkpoint(self.place / "state", every="100ms"),
            **given,
        )

    def start(self) -> Any:
        running = self.run(background=True)
        self.running.append(running)
        return running

    def until(self, what: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not what():
            for each in self.running:
                if not each.alive:
                    each.wait()
            assert time.monotonic() < end, (self.due() - self.found(), self.found() - self.due())
            time.sleep(0.1)


@pytest.fixture
def topics(kafka: Kafka, tmp_path: Path, caplog: Any) -> Iterator[Callable[..., Topics]]:
    caplog.set_level(logging.INFO)
    made: list[Topics] = []

    def make(protocol: str = "cooperative") -> Topics:
        made.append(Topics(kafka, tmp_path, protocol))
        return made[-1]

    yield make
    for each in made:
        for running in each.running:
            if running.alive:
                running.stop(30)


def test_one_copy_resumes_each_partition(topics: Callable[..., Topics]) -> None:
    here = topics()
    for _ in range(3):
        here.write(100)
        here.run(once=True)
    here.close_windows()
    here.run(once=True)
    assert here.found() == here.due()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_partitions_move_between_copies(topics: Callable[..., Topics], protocol: str) -> None:
    here = topics(protocol)
    here.write(100)
    here.start()
    for _ in range(2):
        here.write(200)
        here.start()
        time.sleep(2)
    here.write(200)
    here.running[0].stop(30)
    here.write_until_all_read()
    here.close_windows()
    here.until(lambda: here.found() == here.due())
    read = [each.stop(30).rows for each in here.running[1:]]
    assert sum(map(bool, read)) == 2, read
