"""Writes rows to a topic of Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

from muntin.base import arguments
from muntin.base.errors import SinkError, with_hint
from muntin.clients.kafka.client import Client
from muntin.clients.kafka.ownership import Ownership
from muntin.clients.kafka.producer import Producer, Record
from muntin.clients.kafka.settings import PRODUCER
from muntin.clients.kafka.transaction import Transaction
from muntin.clients.registry import registry_of
from muntin.sinks.base import When, checked_when
from muntin.sinks.topics.encode import (
    Values,
    avro_values,
    keys_of,
    partitions_of,
    values_in,
)
from muntin.values.table import Table

Format: TypeAlias = Literal["json", "avro", "csv", "arrow"]
"""How a row becomes the value of a record."""


class Kafka:
    """A sink that writes one record for each row; with checkpoints exactly once.

    In a run with checkpoints the rows, the offsets of a Kafka source and a pointer to the
    checkpoint are committed in one transaction of Kafka. Readers with
    `isolation.level=read_committed` see each row exactly once, after the checkpoint that contains
    it; other readers also see rows that are taken back. If sinks write to several clusters, the
    transaction is in that of the first; the others get rows at least once, as do all without
    checkpoints.

    Args:
        topic: the topic.
        servers: where to find the cluster, as `"host:port"`, several with commas between.
        key: the column, or the columns, of which the record's key is made: the text of one (bytes
            as they are), a JSON object of several. By default the columns that identify a row (its
            keys and window), so that a compacted topic keeps the newest revision of each; none if
            the rows have no such columns, or for `()`.
        format: "json": a JSON object, with the forms of `docs/values.md`; "avro": a record in which
            every field may be null; "csv": a record without a header, which is a line of the file
            that `mt.sinks.Csv` writes; "arrow": a stream of Arrow's IPC format with one row.
        registry: for "avro", the schema registry whose id of the schema stands before each record:
            its address, or a dict with `url`, `user`, `password`. The schema is registered as the
            subject `<topic>-value`. Without one the record has no prefix.
        partition_by: the column, or the columns, that decide the partition of a row: as a Java
            client does for a key of them (murmur2), so rows with the same values share a partition,
            whatever `key=` is. By default the client chooses by the key (`partitioner` of
            librdkafka), and any partition for a record without one. The number of partitions is
            that at the start of the run.
        headers: headers of every record, name to text.
        settings: further settings of librdkafka, for example those of security.
        when: which alerts to take; only for sinks in `alerts=`.

    Raises:
        SinkError: an argument is wrong, or the cluster cannot be written.
        MissingExtra: confluent-kafka is not installed.

    >>> Kafka("scored", servers="localhost:9092", key="card")
    Kafka('scored', servers='localhost:9092')
    """

    def __init__(
        self,
        topic: str,
        *,
        servers: str | Sequence[str],
        key: str | Sequence[str] | None = None,
        format: Format = "json",
        registry: str | Mapping[str, Any] | None = None,
        partition_by: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        when: When = None,
    ) -> None:
        """Keep the arguments; `open` connects."""
        if not isinstance(topic, str) or not topic:
            hint = 'mt.sinks.Kafka("scored", servers="localhost:9092")'
            raise SinkError(with_hint(f"Kafka: topic={arguments.shown(topic)}", hint))
        place = f'Kafka("{topic}")'
        self._client = Client(servers, settings, place, error=SinkError, owned=PRODUCER)
        arguments.one_of(format, get_args(Format), "Kafka: format", error=SinkError)
        if registry is not None and format != "avro":
            hint = 'leave it out, or write format="avro"'
            raise SinkError(with_hint(f'Kafka: registry= with format="{format}"', hint))
        if format == "avro":
            found = None if registry is None else registry_of(registry, SinkError)
            self._values: Values = avro_values(topic, found)
        else:
            self._values = values_in(format)
        self.topic = topic
        self.servers = self._client.servers
        self.format = format
        self.when = checked_when(when, "Kafka")
        self._key = (key,) if isinstance(key, str) else None if key is None else tuple(key)
        self._partition_by = _columns(partition_by)
        self._partitions = 0
        self._headers = [(name, text.encode()) for name, text in (headers or {}).items()]
        self._producer = Producer(self._client)
        self._transaction: Transaction | None = None
        self._keys: dict[str, tuple[str, ...]] = {}
        self._staged: list[Record] = []

    def __repr__(self) -> str:
        """Its topic and its cluster, without settings: these may have secrets."""
        return f"Kafka({self.topic!r}, servers={self.servers!r})"

    @property
    def cluster(self) -> str:
        """What the sinks that may share a transaction have in common."""
        return ",".join(sorted(self.servers.split(",")))

    def transaction(self, transactional_id: str, timeout: float) -> Transaction:
        """A transaction of its cluster, for this sink and others; `join` takes part in it."""
        return Transaction(self._client, transactional_id, timeout)

    def join(self, transaction: Transaction | None) -> None:
        """Send rows in this transaction from now on; None: send them alone.

        Raises:
            SinkError: there is no such topic, or no broker answers.
        """
        self._transaction = transaction
        if transaction is not None:
            # a transaction waits for brokers as long as an outage may last: too long at the start
            self._reach()

    def ownership(self, name: str) -> Ownership:
        """Membership in the group of the copies of the run `name`.

        Raises:
            SinkError: there is no such topic, or no broker answers.
        """
        self._reach()  # a member waits for brokers without end
        return Ownership(self._client, name, self.topic)

    @property
    def joined(self) -> bool:
        """Whether it sends rows in a transaction."""
        return self._transaction is not None

    def open(self, output: str, key: Sequence[str]) -> None:
        """Connect, unless its transaction has."""
        self._keys[output] = tuple(key) if self._key is None else self._key
        self._staged.clear()
        if self._transaction is None:
            self._connect()

    def _reach(self) -> None:
        """Check that the topic can be written."""
        self._connect()
        self._producer.close()

    def _connect(self) -> None:
        self._partitions = self._producer.open(self.topic)
        if self._partition_by and not self._partitions:
            message = f'Kafka("{self.topic}"): the number of partitions is not known'
            raise SinkError(with_hint(message, "start again: the topic was just made, it seems"))

    def stage(self, output: str, rows: Table) -> None:
        """Send the rows in the open transaction, or keep them."""
        place = f'Kafka("{self.topic}")'
        keys = keys_of(rows, self._keys[output], f"{place}: key")
        partitions = [-1] * len(keys)
        if self._partition_by:
            by = f"{place}: partition_by"
            partitions = partitions_of(rows, self._partition_by, self._partitions, by)
        records = list(zip(keys, self._values(rows), partitions, strict=True))
        if self._transaction is None:
            self._staged += records
            return
        send, topic, headers = self._transaction.send, self.topic, self._headers
        for each, value, partition in records:
            send(topic, value, each, headers=headers, partition=partition)

    def publish(self) -> None:
        """Hand over what is staged to the client; in a transaction that is done."""
        staged, self._staged = self._staged, []
        self._producer.send(self.topic, staged, self._headers)

    def flush(self) -> None:
        """Wait until the brokers have all published rows."""
        self._producer.flush()

    def close(self) -> None:
        """Wait until the brokers have all published rows, and disconnect."""
        self._producer.close()


def _columns(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    names = (given,) if isinstance(given, str) else given
    hint = 'write partition_by="card", or a list of columns'
    if not isinstance(names, (list, tuple)) or not names:
        message = f"Kafka: partition_by={arguments.shown(given)} is not a list of columns"
        raise SinkError(with_hint(message, hint))
    for name in names:
        if not isinstance(name, str) or not name:
            message = f"Kafka: partition_by: {arguments.shown(name)} is not a column"
            raise SinkError(with_hint(message, hint))
    return tuple(names)
