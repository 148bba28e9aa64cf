"""A worker of the tests' own, by the rules of the protocol: `python -m kafka.kills.raw '{...}'`.

It shows that the verifier finds damage: with a rule switched off, as `without` says, outputs are
lost or double. Partitions are shared out by the group; each has an operator and snapshots.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import pyarrow as pa

import muntin as mt
from kafka.kills.points import Points

POINTS = (
    "after init",
    "after clean",
    "after read",
    "before snapshot",
    "after snapshot",
    "before offsets",
    "after offsets",
    "after commit",
)
WITHOUT = ("transaction", "names", "reload", "clean")
WAIT = 15.0
TYPES = pa.schema([("at", pa.timestamp("ms", "UTC")), ("key", pa.string()), ("v", pa.int64())])


def pipeline() -> Any:
    rows = mt.stream(
        "rows",
        time="at",
        out_of_order="5s",
        max_future_skew=None,
        schema={"at": "timestamp[ms, UTC]", "key": "str", "v": "i64"},
    )
    return rows.tumbling("2s", by="key").agg(
        n=mt.count(), total=mt.sum("v"), low=mt.min("v"), high=mt.max("v")
    )


class Aborted(Exception):
    """A transaction did not end as it should: what is in memory counts no more."""


class Part:
    """A partition that is worked on: its operator, and the next offset."""

    def __init__(self, snapshot: bytes | None, offset: int) -> None:
        self.operator = mt.operator(pipeline(), snapshot=snapshot)
        self.offset = offset
        self.changed = False


class Worker:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.without = set(told.get("without", ()))
        self.points = Points(told.get("point"), told.get("nth", 1))
        self.chance = random.Random(told.get("seed", 0))
        self.parts: dict[int, Part] = {}
        self.producer: Any = None
        self.in_transaction = False
        self.must_recover = False
        self.store = Path(told["store"])
        self.client = {"bootstrap.servers": told["servers"], "log_level": 0}
        self.consumer = ck.Consumer(
            {
                **self.client,
                "group.id": told["group"],
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "session.timeout.ms": told.get("session_ms", 3000),
                "heartbeat.interval.ms": 500,
                "max.poll.interval.ms": 30_000,
            }
        )

    def run(self) -> None:
        self.consumer.subscribe(
            [self.told["source"]],
            on_assign=lambda _, parts: self.assigned(parts),
            on_revoke=lambda *_: self.drop(),
            on_lost=lambda *_: self.drop(),
        )
        due = time.monotonic() + self.told["every"]
        while True:
            messages = self.consumer.consume(500, 0.05)
            try:
                if self.must_recover:
                    raise Aborted
                self.take(messages)
                if time.monotonic() >= due:
                    self.commit()
                    due = time.monotonic() + self.told["every"]
            except (ck.KafkaException, Aborted) as error:
                self.recover(error)

    # the partitions

    def assigned(self, parts: list[Any]) -> None:
        """Within a callback, where an error would get lost: what fails is done again later."""
        self.parts = {}
        self.consumer.assign(parts)
        self.must_recover = True

    def drop(self) -> None:
        with contextlib.suppress(ck.KafkaException):
            self.abort()
        self.parts = {}

    def recover(self, error: Exception) -> None:
        """Drop all that is in memory; read again what counts."""
        if "reload" in self.without and not self.must_recover and self.producer is not None:
            with contextlib.suppress(ck.KafkaException):
                self.abort()
                return
        self.must_recover = True
        with contextlib.suppress(ck.KafkaException):
            self.load([part.partition for part in self.consumer.assignment()])
            self.must_recover = False

    def load(self, numbers: list[int]) -> None:
        self.parts = {}
        if not numbers:
            return
        self.in_transaction = False
        self.producer = ck.Producer(
            {
                **self.client,
                "transactional.id": self.told["id"],
                "transaction.timeout.ms": self.told["timeout_ms"],
                "linger.ms": 5,
            }
        )
        self.producer.init_transactions(WAIT)
        self.points.reached("after init")
        if "clean" not in self.without:
            self.clean(numbers)
        self.points.reached("after clean")
        places = []
        for number in numbers:
            (place,) = self.consumer.committed([self.place(number)], WAIT)
            if place.error is not None:
                raise ck.KafkaException(place.error)
            snapshot = None
            if place.offset >= 0:
                snapshot = (self.store / place.metadata).read_bytes()
            self.parts[number] = Part(snapshot, max(place.offset, 0))
            places.append(self.place(number, self.parts[number].offset))
        self.points.reached("after read")
        self.consumer.assign(places)

    def clean(self, numbers: list[int]) -> None:
        """Abort a transaction on all that the next one may write: rule 11."""
        self.producer.begin_transaction()
        for number in range(self.told["target_partitions"]):
            self.producer.produce(self.told["target"], b"", partition=number)
        self.producer.flush(WAIT)
        self.producer.send_offsets_to_transaction(
            [self.place(numbers[0], 0)], self.consumer.consumer_group_metadata(), WAIT
        )
        self.producer.abort_transaction(WAIT)

    def place(self, number: int, offset: int = -1001, metadata: str = "") -> Any:
        return ck.TopicPartition(self.told["source"], number, offset, metadata=metadata)

    # rows in and out

    def take(self, messages: list[Any]) -> None:
        rows: dict[int, list[dict[str, Any]]] = {}
        for message in messages:
            if message.error() is not None:
                raise Aborted(message.error())
            part = self.parts.get(message.partition())
            if part is None or ("reload" not in self.without and message.offset() < part.offset):
                continue
            rows.setdefault(message.partition(), []).append(json.loads(message.value()))
            part.offset = message.offset() + 1
        for number, found in rows.items():
            for row in found:
                row["at"] = datetime.fromisoformat(row["at"])
            part = self.parts[number]
            result = part.operator.push(pa.Table.from_pylist(found, schema=TYPES))
            assert len(result.late) == 0, "rows of the tests are never late"
            part.changed = True
            for row in result.rows.to_arrow().to_pylist():
                self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        self.begin()
        row["window_start"] = row["window_start"].isoformat()
        del row["window_end"]
        self.producer.produce(self.told["target"], json.dumps(row), row["key"])

    def begin(self) -> None:
        if not self.in_transaction:
            self.producer.begin_transaction()
            self.in_transaction = True

    def abort(self) -> None:
        if self.in_transaction:
            self.in_transaction = False
            self.producer.abort_transaction(WAIT)

    def commit(self) -> None:
        changed = {number: part for number, part in self.parts.items() if part.changed}
        if not changed:
            return
        self.begin()
        self.points.reached("before snapshot")
        places = [self.place(n, part.offset, self.save(n, part)) for n, part in changed.items()]
        self.points.reached("after snapshot")
        self.producer.flush(WAIT)
        self.points.reached("before offsets")
        group = self.consumer.consumer_group_metadata()
        if "transaction" not in self.without:
            self.producer.send_offsets_to_transaction(places, group, WAIT)
        self.points.reached("after offsets")
        if self.chance.random() < self.told.get("aborts", 0):
            raise Aborted("injected")
        self.producer.commit_transaction(WAIT)
        self.in_transaction = False
        self.points.reached("after commit")
        if "transaction" in self.without:
            self.consumer.commit(offsets=places, asynchronous=False)
        for part in changed.values():
            part.changed = False

    def save(self, number: int, part: Part) -> str:
        name = f"{number}" if "names" in self.without else f"{number}-{uuid.uuid4().hex}"
        with open(self.store / name, "wb") as file:
            file.write(part.operator.snapshot())
            file.flush()
            os.fsync(file.fileno())
        return name


if __name__ == "__main__":
    Worker(json.loads(sys.argv[1])).run()
