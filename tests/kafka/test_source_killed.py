"""kill -9 of runs over a Kafka source, with files and a database as sinks: exactly once."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kafka import lives
from kafka.broker import Kafka

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="processes are killed as POSIX does it"),
]

START = datetime(2024, 5, 1, 10, tzinfo=UTC)
PARTITIONS = 3

KILLS: list[dict[str, Any]] = [
    {"point": point, "nth": 3}
    for point in (
        "before write",
        "inside write",
        "after write",
        "before rename",
        "after rename",
        "after prepare JsonLines",
        "before publish Sqlite",
        "after publish JsonLines",
    )
] + [{"after": seconds} for seconds in (0.4, 0.9, 1.3)]


class Feeder(threading.Thread):
    """Writes rows with their number, in about the order of time, until it is told to end."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        super().__init__(daemon=True)
        self.kafka, self.topic, self.done = kafka, topic, threading.Event()
        self.rows: list[tuple[datetime, str, int]] = []

    def run(self) -> None:
        chance = random.Random(7)
        while not self.done.wait(0.02):
            self.write([self._row(chance) for _ in range(40)])
        # closes every window, in each partition
        far = START + timedelta(days=1)
        self.write([(far, "end", -1 - part) for part in range(PARTITIONS)])

    def _row(self, chance: random.Random) -> tuple[datetime, str, int]:
        number = len(self.rows) + chance.randrange(3)
        at = START + timedelta(seconds=len(self.rows) // 4 - chance.randrange(3))
        return at, chance.choice("abcdef"), number

    def write(self, rows: list[tuple[datetime, str, int]]) -> None:
        messages = []
        for at, key, v in rows:
            self.rows.append((at, key, v))
            value = json.dumps({"at": at.isoformat(), "key": key, "v": v}).encode()
            part = -1 - v if v < 0 else hash_of(key) % PARTITIONS
            messages.append((key.encode(), value, part, int(at.timestamp() * 1000)))
        self.kafka.produce(self.topic, messages)


def hash_of(key: str) -> int:
    return ord(key[0])


@pytest.fixture(scope="module")
def start() -> Iterator[Any]:
    process = subprocess.Popen(
        [sys.executable, lives.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None

    def live(**told: Any) -> int:
        print(json.dumps(told), file=process.stdin, flush=True)
        return int(process.stdout.readline())

    yield live
    process.stdin.close()
    assert process.wait(30) == 0


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_row_and_window_is_there_once(kafka: Kafka, start: Any, tmp_path: Path) -> None:
    topic = kafka.topic(PARTITIONS)
    told = {"topic": topic, "servers": kafka.servers, "group": kafka.name("group")}
    feeder = Feeder(kafka, topic)
    feeder.start()
    for kill in KILLS:
        assert start(**told, out=str(tmp_path), **kill) == -9
    feeder.done.set()
    feeder.join(30)
    assert start(**told, out=str(tmp_path), once=True) == 0

    assert len(feeder.rows) > 200
    written = Counter((key, v) for _, key, v in feeder.rows)
    assert Counter((row["key"], row["v"]) for row in lines(tmp_path / "rows.jsonl")) == written
    counts: Counter[tuple[str, str]] = Counter()
    for at, key, v in feeder.rows:
        if v >= 0:
            counts[at.replace(second=0).strftime("%Y-%m-%d %H:%M"), key] += 1
    late = lines(tmp_path / "late.jsonl") if (tmp_path / "late.jsonl").exists() else []
    assert late == []
    fired = [
        ((row["window_start"].replace("T", " ")[:16], row["key"]), row["n"])
        for row in lines(tmp_path / "minutes.jsonl")
    ]
    assert len(dict(fired)) == len(fired)
    assert dict(fired) == counts
    with sqlite3.connect(tmp_path / "out.db") as db:
        rows = db.execute("SELECT key, v FROM rows").fetchall()
        windows = db.execute("SELECT key, n FROM minutes").fetchall()
    assert Counter(rows) == written
    assert Counter(windows) == Counter((key, n) for (_, key), n in fired)
