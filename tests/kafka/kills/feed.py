"""Rows that come day and night: a thread that writes to the input topic while others are killed."""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import UTC, datetime

from kafka.broker import Kafka
from kafka.kills.verify import END, POISON

START = 1_714_550_400_000
KEYS = 40
DISORDER = 3_000  # ms; the pipeline waits longer, so no row is late
STEP = 20  # ms of event time from row to row


def text_of(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


class Feed:
    """Writes `rate` rows a second, a key always to the same partition, until it is stopped."""

    def __init__(
        self, kafka: Kafka, topic: str, partitions: int, rate: int, seed: int, poison: int = 0
    ) -> None:
        """After every `poison` rows comes a message that cannot be decoded; 0: none does."""
        self.kafka, self.topic, self.partitions, self.rate = kafka, topic, partitions, rate
        self.poison = poison
        self.rows = 0
        self._rng = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None = None
        self._thread.start()

    def stop(self) -> None:
        """Write the last rows, and for each partition one that closes all windows."""
        self._ended.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the feed hangs"
        if self.error is not None:
            raise self.error

    def _row(self) -> tuple[bytes, bytes, int]:
        number = self._rng.randrange(KEYS)
        at = START + self.rows * STEP - self._rng.randrange(DISORDER)
        self.rows += 1
        return self._bytes(f"k{number}", at, number % self.partitions)

    def _bytes(self, key: str, at: int, partition: int) -> tuple[bytes, bytes, int]:
        row = {"at": text_of(at), "key": key, "v": self._rng.randrange(1000)}
        return key.encode(), json.dumps(row).encode(), partition

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:
            self.error = error

    def _write_all(self) -> None:
        from confluent_kafka import Producer

        producer = Producer(
            {
                **self.kafka.client,
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": 300_000,
            }
        )
        began = time.monotonic()
        while not self._ended.is_set():
            due = int((time.monotonic() - began) * self.rate)
            for _ in range(min(due - self.rows, 500)):
                key, value, partition = self._row()
                producer.produce(self.topic, value, key, partition)
                if self.poison and self.rows % self.poison == 0:
                    producer.produce(self.topic, POISON + b"%d" % self.rows, None, partition)
            producer.poll(0.02)
        end = START + self.rows * STEP + 3_600_000
        for partition in range(self.partitions):
            key, value, _ = self._bytes(f"{END}{partition}", end, partition)
            producer.produce(self.topic, value, key, partition)
        assert producer.flush(100) == 0, "the last rows of the feed are not written"
