"""Messages to deliveries: columns of the payload and of the message itself, bad ones apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base import core
from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import Delivery, Undecodable
from muntin.sources.brokers.topics import Topics
from muntin.sources.decode.decoded import Roles
from muntin.sources.decode.messages import decoder_of
from muntin.sources.deliveries.batches import Fit
from muntin.values.rows import is_text

COLUMNS = ("_key", "_partition", "_offset", "_timestamp", "_headers", "_topic")
"""Columns that a message has besides its payload."""

_SHOWN = 200
_KINDS = {
    "_key": pa.binary(),
    "_partition": pa.int64(),
    "_offset": pa.int64(),
    "_timestamp": pa.timestamp("us", "UTC"),
    "_topic": pa.string(),
}
"""What the core makes of them; a stream may declare another type."""


class Decoding:
    """Decodes lists of messages of one source."""

    def __init__(
        self,
        format: str,
        options: Mapping[str, Any],
        schema: Any,
        asked: Sequence[str],
        time_of: str | None,
    ) -> None:
        """Make the decoder.

        Args:
            format: the format of payloads.
            options: those of the format.
            schema: the columns, as a `pyarrow` schema, those of messages included.
            asked: names of columns to add besides.
            time_of: the column that gets the record's timestamp, or None.
        """
        added = {*COLUMNS, time_of, *(["_rest"] if options.get("rest") else [])}
        fields = [each for each in schema if each.name not in added]
        self._meta = [name for name in COLUMNS if name in schema.names or name in asked]
        self._time_of = time_of
        self._columns = list(self._meta)
        if time_of is not None and "_timestamp" not in self._columns:
            self._columns.append("_timestamp")
        self._decoder = decoder_of(format, pa.schema(fields), "Kafka", options)
        others = [f for f in schema if f.name in _KINDS and f.type != _KINDS[f.name]]
        if time_of in schema.names and schema.field(time_of).type != _KINDS["_timestamp"]:
            others.append(schema.field(time_of))
        self._key_is_text = any(f.name == "_key" and is_text(f.type) for f in others)
        self._fit = Fit(pa.schema(others), Roles(), "Kafka") if others else None
        self.tombstones = 0
        """How many messages without a payload were skipped."""

    def records(self) -> core.Records:
        """Reads lists of messages, for `take`."""
        return core.Records(self._columns)

    def take(self, records: core.Records) -> Any:
        """The messages, decoded: a `Taken` of the core, or what has the same parts."""
        return self._decoder.take(records)

    def delivery(self, taken: Any, topics: Topics, *, stops: bool) -> Delivery:
        """The rows, with the numbers of the engine; `resume` is what the messages say.

        Raises:
            SourceError: one cannot be decoded, and `stops` is set.
        """
        self.tombstones += taken.tombstones
        bad = [self._undecodable(each, topics) for each in taken.bad]
        if bad and stops:
            raise _stopped(taken.bad[0])
        batch = _batch(taken.batch)
        partitions = _numbered(taken, topics)
        positions, arrival = _array(taken.offsets), _array(taken.timestamps)
        if self._time_of is not None:
            batch = self._timed(batch, arrival)
        if self._fit is not None:
            if self._key_is_text:
                at = batch.schema.get_field_index("_key")  # `fit` checks that it is text
                batch = batch.set_column(at, "_key", batch.column(at).cast(pa.string(), safe=False))
            decoded = self._fit(batch)
            batch, kept = decoded.batch, decoded.ordinals
            if kept is not None:
                for each in decoded.bad:
                    number = partitions[each.ordinal].as_py()
                    topic, text = topics.place(number)[0], each.text.decode("utf-8", "replace")
                    at = positions[each.ordinal].as_py()
                    bad.append(Undecodable(number, at, topic, None, text, each.detail))
                if stops:
                    raise _unfit(bad[0])
                partitions, positions = partitions.take(kept), positions.take(kept)
                arrival = arrival.take(kept)
                bad.sort(key=lambda each: (each.partition, each.position))
        resume = {topics.number(t) + number: at for (t, number), at in taken.next.items()}
        arrived = None if arrival.null_count else arrival
        return Delivery(batch, resume, partitions, positions, arrived, tuple(bad))

    def _timed(self, batch: Any, times: Any) -> Any:
        """The batch with the record's timestamp in the column `time_of`."""
        names, columns = list(batch.schema.names), list(batch.columns)
        if "_timestamp" not in self._meta:
            at = names.index("_timestamp")
            names[at] = self._time_of
        elif self._time_of not in names:
            names.append(self._time_of)
            columns.append(times)
        return pa.RecordBatch.from_arrays(columns, names=names)

    def _undecodable(self, bad: Any, topics: Topics) -> Undecodable:
        topic, partition, offset, payload, at, detail = bad
        detail = detail if at is None else f"byte {at}: {detail}"
        number, text = topics.number(topic) + partition, payload.decode("utf-8", "replace")
        return Undecodable(number, offset, topic, None, text, detail, payload)


def _batch(batches: Any) -> Any:
    table = pa.table(batches).combine_chunks()
    found = table.to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], table.schema)


def _array(column: Any) -> Any:
    return _batch(column).column(0)


def _numbered(taken: Any, topics: Topics) -> Any:
    """The number in the engine of each row's partition."""
    partitions = _array(taken.partitions)
    numbers = [topics.number(name) for name in taken.topic_names]
    if not any(numbers):
        return partitions
    if len(numbers) == 1:
        return pc.add(partitions, pa.scalar(numbers[0], pa.int64()))
    return pc.add(partitions, pa.array(numbers, pa.int64()).take(_array(taken.topics)))


def _stopped(bad: Any) -> SourceError:
    topic, partition, offset, payload, at, detail = bad
    where = f'Kafka: topic "{topic}", partition {partition}, offset {offset}'
    where += "" if at is None else f", byte {at}"
    shown = payload[:_SHOWN].decode("utf-8", "replace") + ("..." if len(payload) > _SHOWN else "")
    hint = _GO_ON
    if "bytes_max" in detail:
        hint = f'options={{"bytes_max": {len(payload)}}} takes it; {_GO_ON}'
    return SourceError(with_hint(f"{where}: {detail}: {shown!r}", hint))


def _unfit(bad: Undecodable) -> SourceError:
    number = bad.partition & 0xFFFF_FFFF
    where = f'Kafka: topic "{bad.file}", partition {number}, offset {bad.position}'
    return SourceError(with_hint(f"{where}: {bad.detail}", _GO_ON))


_GO_ON = 'bad="record" makes an invalid record of it and goes on; bad= also takes a sink'
