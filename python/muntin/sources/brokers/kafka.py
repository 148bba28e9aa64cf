"""Reads topics of Kafka, all partitions, from positions that a checkpoint keeps."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from muntin.base import arguments
from muntin.base.errors import SourceError, unknown, with_hint
from muntin.clients.kafka import CONSUMER, OF_MEMBERS, Client, Cluster
from muntin.clients.kafka.ownership import Ownership
from muntin.sources.base import Holder, Reader, Words
from muntin.sources.brokers.inferred import inferred_schema
from muntin.sources.brokers.messages import COLUMNS, Decoding
from muntin.sources.brokers.offsets import Place, first_offsets, start_of
from muntin.sources.brokers.reader import OWN_SETTINGS, KafkaReader
from muntin.sources.brokers.shared import SharedReader
from muntin.sources.brokers.topics import Topics
from muntin.sources.checks import check_schema
from muntin.sources.decode.decoded import kept_schema, known_schema
from muntin.sources.decode.messages import FORMATS, INFER, decoder_of, pasted
from muntin.values.rows import arrow_schema

Partitioner: TypeAlias = Literal["murmur2", "crc32"]
"""How producers choose the partition of a key: Java clients murmur2, librdkafka CRC32."""

CONNECT_S = 20.0
"""How long a run waits at its start for the brokers."""

_DEFAULTS = {
    "queued.max.messages.kbytes": 32_768,
    "fetch.queue.backoff.ms": 20,  # a second by default: a fast reader would wait for the brokers
}


class Kafka:
    """A source of the messages of Kafka topics; it needs the extra `muntin[kafka]`.

    It reads all partitions itself, unless copies of a run share them (`docs/kafka.md`, Several
    copies): then the group assigns them. A run with a checkpoint
    continues at the offsets in the checkpoint, whatever the group's offsets say; those are
    committed only for tools that show how far a group is. Only records of committed transactions
    are read. A row's position is its offset, its arrival the timestamp of its record.

    Brokers that restart or cannot be reached for a while stop nothing: reading goes on when they
    are back, and that time does not count as silence for `idle_after`. Partitions that are added
    are found within about half a minute and read from their first record. A topic that was
    deleted and made again, records that retention removed before they were read, another cluster:
    each ends the run with an error that says where.

    Args:
        topics: the name of a topic, a list of names, or a regular expression that begins with `^`
            and matches from the start of a name; topics that appear later are read, too.
        servers: `"host:port"`, several with commas between, or a list.
        group: the name under which Kafka's tools show the offsets.
        schema: column to type. Without it the stream's schema is used. "infer" looks at the first
            messages (JSON), or at their type (Protocol Buffers), prints the schema so that it can
            be pasted, and uses it. The columns `_key`, `_partition`, `_offset`, `_timestamp`,
            `_headers` and `_topic` are those of the message itself.
        format: the format of the payloads: "json", "csv", "raw", "arrow" or "protobuf".
        options: those of the format, as `mt.decode` has them.
        time_of: the name of a column to fill with the record's timestamp, for messages that have
            no time of their own.
        partitioned_by: the columns whose values decide the partition of a row, if producers
            choose it so. If every key of the pipeline contains them, each partition gets a state
            and a watermark of its own, and copies of the run may share the partitions. One key from
            two partitions is an error.
        partitioner: how producers choose the partition of a record's key: "murmur2" (Java) or
            "crc32" (librdkafka). Each record is checked by it. It needs `partitioned_by=`.
        start: where partitions begin that no checkpoint has: "earliest", "latest", a `datetime` (at
            the first record of that time), or offsets by partition, `{0: 170}`, with several
            topics `{("payments", 0): 170}`.
        bad: what to do with a message that cannot be decoded: "stop" the run, "record" it as an
            invalid record, or a sink for such messages.
        tombstones: whether a message without a payload is a row of nulls; it is skipped otherwise.
        settings: settings of librdkafka, such as `{"security.protocol": "SASL_SSL"}`; those that
            muntin must set itself are refused. Values are shown nowhere.

    Raises:
        SourceError: an argument is wrong, or the topics cannot be read.
        MissingExtra: confluent-kafka is not installed.

    >>> Kafka("payments", servers="localhost:9092", group="fraud",
    ...       schema={"at": "timestamp[us, UTC]", "card": "str", "amount": "f64"})
    Kafka('payments', servers='localhost:9092', group='fraud')
    """

    bounded = False
    total: int | None = None

    def __init__(
        self,
        topics: str | Sequence[str],
        *,
        servers: str | Sequence[str],
        group: str,
        schema: Mapping[str, str] | Literal["infer"] | None = None,
        format: str = "json",
        options: Mapping[str, Any] | None = None,
        time_of: str | None = None,
        partitioned_by: str | Sequence[str] | None = None,
        partitioner: Partitioner | None = None,
        start: Any = "earliest",
        bad: Any = "stop",
        tombstones: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the arguments; nothing is connected before the run."""
        self._given = topics
        self._names = _topics(topics)
        self.partitioned_by = _columns(partitioned_by)
        """The columns whose values decide a row's partition; None if that is not known."""
        owned = CONSUMER if self.partitioned_by is not None else {**CONSUMER, **OF_MEMBERS}
        self._client = Client(servers, settings, "Kafka", owned=owned)
        self.group = _group(group)
        """The group under which the offsets are shown."""
        if not isinstance(format, str) or format not in FORMATS:
            raise SourceError(unknown("format", str(format), FORMATS, "Kafka"))
        self._format = format
        arguments.flag(tombstones, "Kafka: tombstones", error=SourceError)
        self._options = {**_options(options, format), "tombstones": tombstones}
        if schema != INFER:
            check_schema(schema, "Kafka")
        elif format not in ("json", "protobuf"):
            raise SourceError(f'Kafka: schema="infer" is for JSON, not for "{format}"')
        self._infers = schema == INFER
        self._schema = arrow_schema(schema.items()) if isinstance(schema, Mapping) else None
        if time_of is not None and (not isinstance(time_of, str) or not time_of):
            hint = 'write time_of="at" to name the column'
            message = f"Kafka: time_of={arguments.shown(time_of)} is not the name of a column"
            raise SourceError(with_hint(message, hint))
        self._time_of = time_of
        if partitioner is not None:
            known = ("murmur2", "crc32")
            arguments.one_of(partitioner, known, "Kafka: partitioner", error=SourceError)
            if self.partitioned_by is None:
                hint = "add partitioned_by=, the columns that the key is made of"
                message = f'Kafka: partitioner="{partitioner}" without partitioned_by='
                raise SourceError(with_hint(message, hint))
        self.partitioner = partitioner
        """How producers choose the partition of a key; each record's key is checked by it."""
        self._start = start_of(start)
        self.bad = _bad(bad)
        """What to do with a message that cannot be decoded: a word, or a sink for it."""
        self._once = False
        self._ends: Mapping[int, int] | None = None
        self._before: Sequence[str] = ()
        self._cluster: Cluster | None = None
        self._topics: Topics | None = None

    def __repr__(self) -> str:
        """Its topics, servers and group."""
        servers = self._client.servers
        return f"Kafka({self._given!r}, servers={servers!r}, group={self.group!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Without the connection."""
        return {**self.__dict__, "_cluster": None, "_topics": None}

    def for_once(self) -> Kafka:
        """The same source for a run that reads what is there when it starts."""
        found = copy(self)
        found._once = True
        return found

    @property
    def begins_at(self) -> int | None:
        """The time at which it begins, in microseconds since 1970, if `start=` is a time."""
        return None if self._start.time is None else self._start.time * 1000

    def begins(self) -> Mapping[int, int]:
        """The offset at which each partition begins that no checkpoint has.

        Raises:
            SourceError: the topics cannot be read, or have no such offset.
        """
        return first_offsets(self._connected(), self._found(), {}, self._start)

    def before(self, history: Any, begins: Mapping[int, int]) -> Kafka | None:
        """The records of the same topics before the offsets `begins`; None if it is another source.

        Args:
            history: a source of Kafka, or the `start=` of one that is otherwise this one.
            begins: the offset of each partition at which this source begins.

        Raises:
            SourceError: it begins behind them, or rows between both would be missing.
        """
        if isinstance(history, (str, dt.datetime)):
            found = copy(self)
            found._start = start_of(history)
        elif isinstance(history, Kafka) and history.identity() == self.identity():
            found = copy(history)
        elif self._start.word == "latest":
            hint = 'start="earliest", or start= the time at which the history ends'
            message = f"Kafka: rows between {arguments.label(history)} and the newest record of "
            raise SourceError(with_hint(f'{message}{self!r} (start="latest") are missing', hint))
        else:
            return None
        if found._start == self._start:
            hint = 'begin with start="latest" or a time, and let the history begin earlier'
            message = f"Kafka: there is no history before the source: both start at {self._start}"
            raise SourceError(with_hint(message, hint))
        first = found.begins()
        for each, at in begins.items():
            if first.get(each, 0) > at:
                topic, number = self._found().place(each)
                message = f'Kafka: topic "{topic}", partition {number}: the history begins at '
                message += f"offset {first[each]:,}, the source at {at:,}"
                hint = "let the history start before the source does"
                raise SourceError(with_hint(message, hint))
        found._ends, found.bounded = dict(begins), True
        found.total = sum(at - first.get(each, at) for each, at in begins.items())
        return found

    def ownership(self, name: str) -> Ownership:
        """Membership in the group of the copies of the run `name`."""
        topics = self.identity()[1:]
        if not topics:
            raise SourceError("Kafka: standby=True needs a topic that exists")
        return Ownership(self._client, name, topics[0])

    @property
    def cluster(self) -> str:
        """The servers, in order: the sinks of the same cluster have the same."""
        return ",".join(sorted(self._client.servers.split(",")))

    def reads(self) -> Sequence[str]:
        """No files."""
        return ()

    def recall(self, identity: Sequence[str]) -> None:
        """Look the topics up again, with the numbers that an earlier run gave them."""
        self._before, self._topics = identity, None

    def partitions(self) -> Sequence[int]:
        """All partitions; those of the n-th topic have (n - 1) << 32 added, n counted from 1."""
        return self._found().partitions()

    def identity(self) -> Sequence[str]:
        """The cluster's id, and the topics in the order of their numbers."""
        return self._found().identity()

    def partition_count(self) -> int | None:
        """How many partitions keys are spread over; None if topics differ in that."""
        return self._found().partition_count()

    def open(
        self,
        schema: Words | None,
        positions: Mapping[int, int],
        mark: Mapping[str, Any] | None = None,
    ) -> Reader:
        """Start reading at the positions, and where there is none as `start` says."""
        topics, cluster = self._found(), self._connected()
        memory = dict(mark or {})
        topics.check_ids(memory.get("ids", {}))
        offsets = first_offsets(cluster, topics, positions, self._start)
        own = known_schema(memory, self._schema)
        if self._infers and own is None:
            own = self._inferred({topics.place(each): at for each, at in offsets.items()})
            print(pasted(own), file=sys.stderr)
        return KafkaReader(
            self._client,
            self.group,
            cluster,
            topics,
            self._decoding(schema, own),
            offsets,
            stops=self.bad == "stop",
            once=self._once,
            ends=self._ends,
            defaults=_DEFAULTS,
            memory=kept_schema(own) if self._infers else {},
        )

    def why_alone(self) -> str | None:
        """Why its partitions cannot be shared, as a clause; None if they can."""
        if self._names[0].startswith("^"):
            return "copies could number the topics that a regular expression finds differently"
        if self._infers:
            return 'copies could find different columns with schema="infer"'
        return None

    def instance(self) -> str | None:
        """The setting `group.instance.id`."""
        found = self._client.settings.get("group.instance.id")
        return None if found is None else str(found)

    def open_shared(self, schema: Words | None, holder: Holder) -> Reader:
        """Join the group, which assigns partitions; a new one starts as `start` says."""
        return SharedReader(
            self._client,
            self.group,
            self._connected(),
            self._found(),
            self._decoding(schema, self._schema),
            self._start,
            holder,
            stops=self.bad == "stop",
            once=self._once,
            defaults=_DEFAULTS,
        )

    def _decoding(self, schema: Words | None, own: Any) -> Decoding:
        """What decodes messages: by the columns of the source, else those of the stream."""
        declared = None if schema is None else arrow_schema(schema)
        columns = declared if own is None else own
        if columns is None:
            hint = 'give schema={"at": "timestamp[us, UTC]", ...}, or schema="infer" to see one'
            raise SourceError(with_hint("Kafka: the columns of the messages are not known", hint))
        asked = [name for name in COLUMNS if declared is not None and name in declared.names]
        asked += ["_key"] if self.partitioner is not None and "_key" not in asked else []
        return Decoding(self._format, self._options, columns, asked, self._time_of)

    def _inferred(self, offsets: Mapping[Place, int]) -> Any:
        if self._format == "protobuf":
            decoder = decoder_of(self._format, INFER, "Kafka", self._options)
            return pa.table(decoder.schema()).schema
        settings = {**OWN_SETTINGS, "group.id": self.group}
        return inferred_schema(self._client, settings, offsets)

    def _found(self) -> Topics:
        if self._topics is None:
            self._topics = Topics(self._connected(), self._names, self._before)
        return self._topics

    def _connected(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(self._client, CONNECT_S)
        return self._cluster


def _topics(given: Any) -> list[str]:
    hint = 'write "payments", ["payments", "refunds"], or a regular expression "^payments-"'
    names = [given] if isinstance(given, str) else given
    names = list(arguments.several(names, "Kafka: topics", "names", error=SourceError))
    for name in names:
        if not isinstance(name, str) or not name:
            message = f"Kafka: topics: {arguments.shown(name)} is not the name of a topic"
            raise SourceError(with_hint(message, hint))
        if name.startswith("^"):
            if len(names) > 1:
                message = f'Kafka: topics: the regular expression "{name}" beside others'
                raise SourceError(with_hint(message, 'join them: "^(payments|refunds-.*)$"'))
            try:
                re.compile(name)
            except re.error as error:
                message = f'Kafka: topics: "{name}" is not a regular expression: {error}'
                raise SourceError(message) from None
        elif not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name):
            message = f'Kafka: topics: "{name}" is not the name of a topic'
            hint = "a name has letters, digits, dots, _ and -, at most 249; a regular expression ^"
            raise SourceError(with_hint(message, hint))
    if not names or len(set(names)) < len(names):
        what = "a topic comes twice" if names else "no topic"
        raise SourceError(with_hint(f"Kafka: topics: {what}", hint))
    return names


def _group(given: Any) -> str:
    if not isinstance(given, str) or not given or "\0" in given:
        hint = 'write group="fraud", under which Kafka shows the offsets of this run'
        message = f"Kafka: group={arguments.shown(given)} is not the name of a group"
        raise SourceError(with_hint(message, hint))
    return given


def _options(given: Any, format: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        hint = 'write a dict: options={"delimiter": ";"}'
        raise SourceError(with_hint(f"Kafka: options={arguments.shown(given)} is not a dict", hint))
    if "tombstones" in given:
        raise SourceError(with_hint('Kafka: options: "tombstones"', "write tombstones=True"))
    for name in given:
        if name not in FORMATS[format]:
            raise SourceError(unknown(f"option of {format}", name, FORMATS[format], "Kafka"))
    return dict(given)


def _columns(given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = (given,) if isinstance(given, str) else given
    found = arguments.several(names, "Kafka: partitioned_by", "columns", error=SourceError)
    if not found or not all(isinstance(name, str) and name for name in found):
        hint = 'write partitioned_by=["card"]'
        message = f"Kafka: partitioned_by={arguments.shown(given)} is not a list of columns"
        raise SourceError(with_hint(message, hint))
    return found


def _bad(given: Any) -> Any:
    if arguments.is_sink(given):
        return given
    if isinstance(given, str):
        arguments.one_of(given, ("stop", "record"), "Kafka: bad", error=SourceError)
        return given
    hint = 'write bad="stop", bad="record", or a sink: bad=mt.sinks.JsonLines("bad.jsonl")'
    raise SourceError(with_hint(f"Kafka: bad={arguments.shown(given)} is not a sink", hint))
