"""Messages of Protocol Buffers, by ptars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base import core
from muntin.base.arguments import shown
from muntin.base.errors import MissingExtra, PlanError, SchemaError, unknown, with_hint
from muntin.values.fitting import fitted, may_fit, word_of

_PREFIX_BYTES = 5
_NS_ENDS = (-(2**63), 2**63 - 1)
_PAYLOAD = pa.schema([("payload", pa.binary())])


class TakenMessages(NamedTuple):
    """The same as `_core.Taken`."""

    batch: Any
    partitions: Any
    offsets: Any
    timestamps: Any
    topics: Any
    topic_names: list[str]
    next: dict[tuple[str, int], int]
    bad: list[tuple[str, int, int, bytes, int | None, str]]
    tombstones: int


class ProtobufDecoder:
    """Decodes messages of one type to rows; the interface is that of `_core.Decoder`.

    A time or duration that nanoseconds since 1970 cannot hold (years before 1678 or after 2261)
    makes a message bad: the library would give another time.
    """

    def __init__(self, schema: Any | None, place: str, options: Mapping[str, Any]) -> None:
        """Columns of `schema`, None for those of the message, which `options` must name.

        Raises:
            MissingExtra: ptars is not installed.
            PlanError: the option `message` is missing or is not a message's type.
            SchemaError: the message has no such field, or its type never fits.
        """
        self._tombstones = bool(options.get("tombstones", False))
        self._bytes_max = int(options.get("bytes_max", 16 << 20))
        descriptor = _descriptor(options.get("message"), place)
        self._handler = _handler(descriptor, place)
        self._header = _index_path(descriptor) if options.get("confluent") else None
        own = self._handler.schema()
        self._schema = _in_our_types(own) if schema is None else pa.schema(schema)
        _check(self._schema, own, place)
        self._raw = core.Decoder("raw", _PAYLOAD, '{"tombstones": true, "bytes_max": 2147483647}')

    def schema(self) -> Any:
        """The columns of the rows, as a table without rows."""
        return self._schema.empty_table()

    def decode(
        self, messages: Sequence[bytes | None]
    ) -> tuple[Any, Any, list[tuple[int, int | None, str]]]:
        """Rows, for each the number of its message, and the messages that cannot be decoded."""
        rows, _, _ = self._raw.decode(messages)
        batch, numbers, wrong = self._rows(pa.table(rows).column(0).combine_chunks())
        return batch, pa.table({"ordinal": numbers}), [(at, None, said) for at, said in wrong]

    def take(self, records: core.Records) -> TakenMessages:
        """The rows of a broker's messages, which `records` then holds no more."""
        columns = records.columns
        taken = self._raw.take(records)
        table = pa.table(taken.batch)
        for name in columns:
            if name in self._schema.names:
                hint = "rename the column in schema="
                message = f'the schema has a column "{name}" of its own'
                raise SchemaError(with_hint(message, hint))
        payloads = table.column(0).combine_chunks()
        batch, numbers, wrong = self._rows(payloads)
        for name in columns:
            batch = batch.append_column(name, table[name].take(numbers))
        lists = (taken.partitions, taken.offsets, taken.timestamps, taken.topics)
        tables = [pa.table(each) for each in lists]
        bad: list[tuple[str, int, int, bytes, int | None, str]] = []
        for at, said in wrong:
            partition, offset, _, topic = (each.column(0)[at].as_py() for each in tables)
            name = taken.topic_names[topic]
            bad.append((name, partition, offset, payloads[at].as_py(), None, said))
        partitions, offsets, timestamps, topics = (each.take(numbers) for each in tables)
        return TakenMessages(
            batch=batch,
            partitions=partitions,
            offsets=offsets,
            timestamps=timestamps,
            topics=topics,
            topic_names=taken.topic_names,
            next=taken.next,
            bad=bad,
            tombstones=payloads.null_count,
        )

    def _rows(self, payloads: Any) -> tuple[Any, Any, list[tuple[int, str]]]:
        """A table, the number of each row's payload, and the payloads that are bad."""
        numbers, bodies, wrong = self._bodies(payloads)
        found = _Halves(self._handler, wrong)
        found.decode(numbers, bodies)
        good = pa.array(found.numbers, pa.int64())
        tables = [pa.Table.from_batches([batch]) for batch in found.batches]
        if tables:
            table, numbers = self._fitted(pa.concat_tables(tables), good, wrong)
        else:
            table, numbers = self._schema.empty_table(), good
        if self._tombstones and payloads.null_count:
            null = pc.indices_nonzero(payloads.is_null()).cast(pa.int64())
            nulls = pa.table({f.name: pa.nulls(len(null), f.type) for f in self._schema})
            order = pc.sort_indices(pa.concat_arrays([numbers, null]))
            table = pa.concat_tables([table, nulls.cast(self._schema)]).take(order)
            numbers = pa.concat_arrays([numbers, null]).take(order)
        return table, numbers, sorted(wrong.items())

    def _bodies(self, payloads: Any) -> tuple[list[int], list[bytes], dict[int, str]]:
        """The payloads without what is before them, their numbers, and those that are bad."""
        numbers: list[int] = []
        bodies: list[bytes] = []
        wrong: dict[int, str] = {}
        for number, payload in enumerate(payloads.to_pylist()):
            if payload is None:
                continue
            said, start = "", 0
            if len(payload) > self._bytes_max:
                said = f"it has {len(payload)} bytes, more than bytes_max={self._bytes_max}"
            elif self._header is not None:
                said, start = _after_prefix(payload, self._header)
            if said:
                wrong[number] = said
            else:
                numbers.append(number)
                bodies.append(payload[start:])
        return numbers, bodies, wrong

    def _fitted(self, table: Any, numbers: Any, wrong: dict[int, str]) -> tuple[Any, Any]:
        """The columns in their declared types, without the rows that do not fit."""
        rows = table.select(self._schema.names).combine_chunks()
        batch = rows.to_batches()[0]
        bad: dict[int, str] = {}
        for field in batch.schema:
            for row in _beyond(batch.column(field.name)):
                said = f'column "{field.name}" has a time or duration beyond nanoseconds since 1970'
                bad.setdefault(row, said)
        done, misfits = fitted(batch, self._schema)
        for misfit in misfits:
            bad.setdefault(misfit.row, str(misfit))
        if bad:
            wrong |= {numbers[row].as_py(): said for row, said in bad.items()}
            keep = pa.array([row not in bad for row in range(len(numbers))], pa.bool_())
            done, numbers = done.filter(keep), numbers.filter(keep)
        return pa.Table.from_batches([done]), numbers


class _Halves:
    """Decodes all messages at once; where that fails, each half by itself."""

    def __init__(self, handler: Any, wrong: dict[int, str]) -> None:
        self._handler = handler
        self._wrong = wrong
        self.numbers: list[int] = []
        self.batches: list[Any] = []

    def decode(self, numbers: list[int], bodies: list[bytes]) -> None:
        if not bodies:
            return
        try:
            batch = self._handler.list_to_record_batch(bodies)
        except Exception as error:
            if len(bodies) == 1:
                said = str(error).rpartition(": ")[2]
                self._wrong[numbers[0]] = f"it is not a message of Protocol Buffers: {said}"
                return
            half = len(bodies) // 2
            self.decode(numbers[:half], bodies[:half])
            self.decode(numbers[half:], bodies[half:])
            return
        self.numbers += numbers
        self.batches.append(batch)


def _descriptor(message: Any, place: str) -> Any:
    descriptor = getattr(message, "DESCRIPTOR", message)
    if not hasattr(descriptor, "fields_by_name"):
        hint = "give the class that protoc made: message=payment_pb2.Payment"
        said = f"{place}: protobuf needs message=, got {shown(message)}"
        raise PlanError(with_hint(said, hint))
    return descriptor


def _handler(descriptor: Any, place: str) -> Any:
    try:
        import ptars
    except ImportError as error:
        hint = 'pip install "muntin[protobuf]"'
        message = f"{place}: messages of Protocol Buffers need ptars"
        raise MissingExtra(with_hint(message, hint)) from error
    config = ptars.PtarsConfig(enum_repr="string", list_value_nullable=True)
    return ptars.HandlerPool([descriptor.file], config=config).get_for_message(descriptor)


def _in_our_types(schema: Any) -> Any:
    """The columns that a message has, times in microseconds."""

    def ours(kind: Any) -> Any:
        if pa.types.is_timestamp(kind):
            return pa.timestamp("us", kind.tz)
        if pa.types.is_duration(kind):
            return pa.duration("us")
        if pa.types.is_list(kind):
            return pa.list_(ours(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([(field.name, ours(field.type)) for field in kind])
        return kind

    return pa.schema([(field.name, ours(field.type)) for field in schema])


def _check(schema: Any, own: Any, place: str) -> None:
    """Check that a message has the columns, in types that may fit."""
    for field in schema:
        if field.name not in own.names:
            raise SchemaError(unknown("field of the message", field.name, own.names, place))
    kinds = [own.field(field.name).type for field in schema]
    for field, kind, fits in zip(schema, kinds, may_fit(kinds, schema.types), strict=True):
        if not fits:
            is_a, wanted = word_of(kind), word_of(field.type)
            message = f'{place}: column "{field.name}" is {is_a} in the message, not {wanted}'
            raise SchemaError(with_hint(message, f'declare it as "{is_a}"'))


def _index_path(descriptor: Any) -> tuple[int, ...]:
    """Where a message's type is in its file, as Confluent's prefix has it."""
    path: list[int] = []
    while (outer := descriptor.containing_type) is not None:
        path.insert(0, list(outer.nested_types).index(descriptor))
        descriptor = outer
    names = list(descriptor.file.message_types_by_name)
    return (names.index(descriptor.name), *path)


def _after_prefix(payload: bytes, path: tuple[int, ...]) -> tuple[str, int]:
    """What is wrong with Confluent's prefix of a payload, or where the message begins."""
    if len(payload) <= _PREFIX_BYTES:
        return f"it has {len(payload)} bytes, fewer than the prefix of a schema registry", 0
    if payload[0] != 0:
        return f"its first byte is {payload[0]}, where the prefix of a schema registry has 0", 0
    at = _PREFIX_BYTES
    try:
        count, at = _varint(payload, at)
        found: list[int] = []
        for _ in range(min(count, len(payload))):
            index, at = _varint(payload, at)
            found.append(index)
    except IndexError:
        return "the prefix of a schema registry is cut", 0
    # no index at all stands for the file's first type
    found = found if count else [0]
    if tuple(found) != path:
        return f"it is of another type of its file: {found}, not {list(path)}", 0
    return "", at


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """A zigzag number, and where it ends."""
    value = shift = 0
    while True:
        byte = payload[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def _beyond(array: Any) -> list[int]:
    """The rows with a time at either end of 64 bits, which stands for one beyond it."""
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        ends = pc.is_in(array.cast(pa.int64()), value_set=pa.array(_NS_ENDS, pa.int64()))
        return list(pc.indices_nonzero(ends).to_pylist())
    if pa.types.is_struct(kind):
        return [row for child in array.flatten() for row in _beyond(child)]
    if pa.types.is_list(kind):
        owners = pc.list_parent_indices(array)
        return [owners[item].as_py() for item in _beyond(pc.list_flatten(array))]
    return []
