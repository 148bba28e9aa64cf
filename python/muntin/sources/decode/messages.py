"""Decodes messages, such as those of a broker, each by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from muntin.base import core
from muntin.base.arguments import shown
from muntin.base.errors import DataError, PlanError, SchemaError, unknown, with_hint
from muntin.clients.registry import registry_of
from muntin.sources.decode.decoded import Roles
from muntin.sources.decode.fitting import schema_of
from muntin.sources.decode.objects import NotAnObject, object_of
from muntin.sources.decode.protobuf import ProtobufDecoder
from muntin.values.fitting import words_of
from muntin.values.protocols import ArrowSchemaExportable
from muntin.values.rows import arrow_schema
from muntin.values.table import Table

_COMMON = ("tombstones", "bytes_max", "confluent")
FORMATS: dict[str, tuple[str, ...]] = {
    "json": ("rest", "epoch", *_COMMON),
    "avro": ("registry", "writer", "reader", "schemas", *_COMMON),
    "csv": ("delimiter", "null_values", *_COMMON),
    "raw": _COMMON,
    "arrow": _COMMON,
    "protobuf": ("message", *_COMMON),
}
"""The formats, and the options of each."""

INFER = "infer"
"""In place of a schema: the messages decide."""

_BAD = pa.schema(
    [
        ("ordinal", pa.int64()),
        ("at", pa.int64()),
        ("payload", pa.binary()),
        ("detail", pa.string()),
    ]
)


class DecodedMessages:
    """The rows of messages, and the messages that could not be decoded.

    Attributes:
        rows: a `Table` of the rows, in the order of their messages.
        bad: a `Table` with a row for each message that could not be decoded: `ordinal` (its place
            in the list, from 0), `at` (the byte of its payload at which it goes wrong, null where
            that is not known), `payload`, and `detail`, what is wrong with it.
        ordinals: for each row the place of its message in the list.
        tombstones: how many messages were None.

    >>> import muntin as mt
    >>> found = mt.decode("json", {"n": "i64"}, [b'{"n": 1}', None, b'{"n": "x"}'])
    >>> found.rows.to_dicts(), found.ordinals, found.tombstones
    ([{'n': 1}], [0], 1)
    >>> found.bad["detail"].to_pylist()
    ['column "n" does not fit i64: "x" is of another type']
    """

    __slots__ = ("bad", "ordinals", "rows", "tombstones")

    def __init__(self, rows: Table, bad: Table, ordinals: list[int], tombstones: int) -> None:
        """Keep the parts."""
        self.rows = rows
        self.bad = bad
        self.ordinals = ordinals
        self.tombstones = tombstones

    @property
    def schema(self) -> dict[str, str]:
        """The columns of the rows with their types, as `schema=` takes them.

        >>> import muntin as mt
        >>> mt.decode("json", "infer", [b'{"at": "2024-05-01T10:00:00Z", "n": 1}']).schema
        {'at': 'timestamp[us, UTC]', 'n': 'i64'}
        """
        return dict(words_of(self.rows.to_arrow().schema))

    def __repr__(self) -> str:
        """How many there are of each."""
        parts = f"{len(self.rows)} rows, {len(self.bad)} bad, {self.tombstones} tombstones"
        return f"DecodedMessages({parts})"


def decode(
    format: str,
    schema: Mapping[str, str] | ArrowSchemaExportable | str,
    messages: Iterable[bytes | None],
    **options: Any,
) -> DecodedMessages:
    """Decode messages of one format, each by itself, to rows.

    A message that cannot be decoded takes nothing with it: it is in `bad` with its place and what
    is wrong with it, and the others are as if it had not been there.

    | format | a message is | options |
    |---|---|---|
    | `json` | an object; fields that the schema does not name are ignored | `rest`, `epoch` |
    | `avro` | a record, whose fields are found by their names | `registry`, `writer`, ... |
    | `csv` | a record, whose fields are the columns in their order | `delimiter`, `null_values` |
    | `raw` | the value of the one column, `binary` or `str` | |
    | `arrow` | an IPC stream of Arrow, or one record batch of it: several rows | |
    | `protobuf` | a message of Protocol Buffers, by ptars: `muntin[protobuf]` | `message` |

    Options of every format: `tombstones=True` makes a row of nulls of each None, which is only
    counted otherwise; payloads with more than `bytes_max` bytes (16 MiB) are bad; with
    `confluent=True` each payload begins with the five bytes of Confluent's schema registry.

    Args:
        format: a format of the table.
        schema: column to type, or an Arrow schema; `"infer"` takes what the messages show (`json`)
            or are declared as (`protobuf`).
        messages: the payloads, each bytes or None.
        options: `rest=True` keeps fields that the schema does not name as JSON in a column `_rest`.
            `epoch="ms"` reads numbers in columns of timestamps as counts of this unit since 1970
            (`s`, `ms`, `us` or `ns`); a dict from column to unit does so in these columns.
            `delimiter` and `null_values` are those of `mt.sources.Csv`. For Avro, `registry` is the
            address of the schema registry whose ids stand before the messages (or a dict with
            `url`, `user`, `password`); without one, `writer` is the schema of all messages, as
            JSON, or with `confluent=True` `schemas` a dict from id to schema. `reader` is an Avro
            schema whose aliases and defaults hold for the columns.
            `message` is the class of the messages that protoc made, or its descriptor.

    Raises:
        PlanError: the format or an option is unknown, or an option has a wrong value.
        SchemaError: the format cannot have such a column.
        SourceError: the schema registry does not answer.
        DataError: a message is not bytes.

    >>> import muntin as mt
    >>> schema = {"at": "timestamp[ms, UTC]", "price": "decimal(9, 2)"}
    >>> messages = [b'{"at": 1714557600000, "price": 19.90}', b'{"at": ']
    >>> found = mt.decode("json", schema, messages, epoch="ms")
    >>> found.rows
    1 row
    at                    price
    --------------------  -----
    2024-05-01T10:00:00Z  19.90
    >>> found.bad["detail"].to_pylist()
    ['it is not JSON: expected a value, at byte 7']
    """
    if isinstance(messages, (bytes, str)) or not isinstance(messages, Iterable):
        hint = "give a list of bytes: mt.decode(format, schema, [b'...'])"
        raise DataError(with_hint(f"decode: {shown(messages)} is not a list of messages", hint))
    payloads = list(messages)
    if isinstance(schema, str) and not (schema == INFER and format == "protobuf"):
        schema = inferred(format, schema, payloads)
    decoder = decoder_of(format, schema, "decode", options)
    rows, numbers, wrong = decoder.decode(payloads)
    ordinals = list(range(len(payloads))) if numbers is None else _column(numbers).to_pylist()
    bad = [
        {"ordinal": ordinal, "at": at, "payload": payloads[ordinal], "detail": detail}
        for ordinal, at, detail in wrong
    ]
    return DecodedMessages(
        Table([rows]),
        Table([pa.Table.from_pylist(bad, _BAD)]),
        ordinals,
        sum(payload is None for payload in payloads),
    )


def decoder_of(
    format: str, schema: Any, place: str, options: Mapping[str, Any]
) -> core.Decoder | ProtobufDecoder:
    """A decoder of a format, for lists of payloads or of a broker's messages.

    Args:
        format: one of `FORMATS`.
        schema: column to type, or an Arrow schema; `"infer"` only for `protobuf`.
        place: who asks, for messages.
        options: those of the format.

    Raises:
        PlanError: the format or an option is unknown, or an option has a wrong value.
        SchemaError: the format cannot have such a column.

    >>> decoder_of("raw", {"payload": "binary"}, "Kafka", {}).schema().names
    ['payload']
    """
    if format not in FORMATS:
        name = format if isinstance(format, str) else shown(format)
        raise PlanError(unknown("format", name, FORMATS, place))
    for name in options:
        if name not in FORMATS[format]:
            raise PlanError(unknown(f"option of {format}", name, FORMATS[format], place))
    if isinstance(schema, Mapping):
        schema = arrow_schema(schema.items())
    elif format == "protobuf" and schema == INFER:
        schema = None
    elif not isinstance(schema, ArrowSchemaExportable):
        hint = 'write a dict: schema={"at": "timestamp[us, UTC]", "amount": "f64"}'
        raise SchemaError(with_hint(f"{place}: {shown(schema)} is not a schema", hint))
    if format == "protobuf":
        return ProtobufDecoder(schema, place, options)
    registry = None
    if "registry" in options:
        registry = registry_of(options["registry"])
        options = {name: value for name, value in options.items() if name != "registry"}
        options["confluent"] = True
    try:
        written = json.dumps(options)
    except (TypeError, ValueError) as error:
        raise PlanError(f"{place}: an option has a value of another type: {error}") from error
    return core.Decoder(format, schema, written, registry.schema if registry else None)


def inferred(format: str, schema: str, messages: Sequence[bytes | None]) -> Any:
    """The `pyarrow.Schema` that messages show, where `schema` is `"infer"`.

    Raises:
        SchemaError: `schema` is another text, the format has no names of columns, or no message
            is a JSON object.
        SourceError: the messages have no common schema.

    >>> pasted(inferred("json", "infer", [b'{"id": 1, "price": 2.5}']))
    'schema={"id": "i64", "price": "f64"}'
    """
    if schema != INFER:
        hint = 'write a dict, schema={"amount": "f64"}, or "infer"'
        raise SchemaError(with_hint(f"decode: {shown(schema)} is not a schema", hint))
    if format != "json":
        message = f'decode: schema="infer" needs format="json", which "{format}" is not'
        raise SchemaError(with_hint(message, 'write a dict: schema={"amount": "f64"}'))
    rows = []
    for payload in messages:
        try:
            rows += [] if payload is None else [object_of(bytes(payload))]
        except (NotAnObject, TypeError, ValueError):
            continue  # decoding says what is wrong
    if not rows:
        message = f"decode: none of {len(messages)} messages is a JSON object to infer a schema of"
        raise SchemaError(with_hint(message, 'write a dict: schema={"amount": "f64"}'))
    return schema_of(rows, Roles(), "decode")


def pasted(schema: Any) -> str:
    """A schema as text that can be pasted into a program.

    >>> pasted(pa.schema([("at", pa.timestamp("us", "UTC")), ("n", pa.int64())]))
    'schema={"at": "timestamp[us, UTC]", "n": "i64"}'
    """
    return f"schema={json.dumps(dict(words_of(schema)), ensure_ascii=False)}"


def _column(batches: Any) -> Any:
    return pa.table(batches).column(0)
