"""A producer of Kafka without transactions: at least once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from muntin.base.errors import MuntinError, SinkError
from muntin.clients.kafka.client import Client
from muntin.clients.kafka.library import library

Record: TypeAlias = tuple[bytes | None, bytes | None, int]
"""A key, a value and a partition; -1 lets the client choose by the key."""

_FLUSH_S = 120.0
_FULL_S = 0.05
_LIST_S = 10.0


class Producer:
    """Sends records without waiting for each; a record that fails ends the run.

    It is idempotent: what the client itself sends again does not appear twice.
    """

    def __init__(self, client: Client) -> None:
        """Keep the way to the cluster; `open` connects."""
        self._client = client
        self._events = client.events(warns=True)
        self._producer: Any = None
        self._failed: MuntinError | None = None

    def open(self, topic: str) -> int:
        """Connect, and check that there is such a topic; returns how many partitions it has.

        Raises:
            SinkError: there is none, or no broker answers.
        """
        if self._producer is None:
            self._failed = None
            own = {"enable.idempotence": True, "delivery.report.only.error": True}
            more = {"on_delivery": self._delivered}
            self._producer = self._client.producer({**own, **more}, self._events)
        what = f'topic "{topic}" cannot be written'
        try:
            found = self._producer.list_topics(topic, timeout=_LIST_S).topics[topic]
        except library(self._client.place).KafkaException as error:
            raise self._client.failed(what, error, self._events) from None
        if found.error is not None and not found.error.retriable():
            raise self._client.failed(what, found.error)
        return len(found.partitions)

    def send(
        self,
        topic: str,
        records: Iterable[Record],
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        """Hand over records to the client; wait if it is full.

        Raises:
            SinkError: an earlier record failed.
        """
        more: dict[str, Any] = {"headers": list(headers)} if headers else {}
        for key, value, partition in records:
            while True:
                try:
                    self._producer.produce(topic, value, key, partition=partition, **more)
                    break
                except BufferError:
                    self._producer.poll(_FULL_S)
                    self._check()
                except library(self._client.place).KafkaException as error:
                    raise self._client.failed(f'a record of "{topic}"', error) from None
        if self._producer is not None:
            self._producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Wait until the brokers have everything.

        Raises:
            SinkError: a record failed, or the brokers do not answer in time.
        """
        if self._producer is None:
            return
        left = self._producer.flush(_FLUSH_S)
        self._check()
        if left:
            raise SinkError(f"{left:,} records were not sent within {_FLUSH_S:g} s")

    def close(self) -> None:
        """Wait until the brokers have everything, and disconnect."""
        try:
            self.flush()
        finally:
            self._producer = None

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None and self._failed is None:
            what = f'a record was not written to "{message.topic()}"'
            self._failed = self._client.failed(what, error, self._events)

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed
