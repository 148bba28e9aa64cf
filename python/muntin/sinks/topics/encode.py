"""The values and keys of records, made of rows in the core."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from muntin.base import core
from muntin.base.errors import SinkError, with_hint
from muntin.clients.registry import Registry
from muntin.values.table import Table

Values = Callable[[Table], list[bytes | None]]
"""Makes one value of each row."""


def values_in(format: str) -> Values:
    """Makes values in a format without options: "json", "csv" or "arrow".

    >>> import pyarrow as pa
    >>> values_in("json")(Table([pa.table({"n": [1, None]})]))
    [b'{"n":1}', b'{"n":null}']
    """
    return lambda rows: core.encode(format, rows.to_arrow(), "{}")


def avro_values(topic: str, registry: Registry | None) -> Values:
    """Makes Avro, behind the id of the rows' schema in a registry if there is one.

    The schema is registered as the subject `<topic>-value`, when the first rows of it come.

    >>> import pyarrow as pa
    >>> avro_values("scored", None)(Table([pa.table({"n": [1, None]})]))
    [b'\\x02\\x02', b'\\x00']
    """
    name = re.sub(r"^(?=\d)|\W", "_", topic, flags=re.ASCII)

    def values(rows: Table) -> list[bytes | None]:
        table = rows.to_arrow()
        schema = core.avro_schema(table.schema, name)
        id = None if registry is None else registry.register(f"{topic}-value", schema)
        return core.encode("avro", table, json.dumps({"id": id}))

    return values


def keys_of(rows: Table, columns: Sequence[str], place: str) -> list[bytes | None]:
    """One key for each row: none without columns, the text of one, a JSON object of several.

    A column of bytes is the key as it is.

    Raises:
        SinkError: there is no such column.

    >>> import pyarrow as pa
    >>> rows = Table([pa.table({"card": ["a", None], "n": [1, 2]})])
    >>> keys_of(rows, ["card"], "key"), keys_of(rows, ["card", "n"], "key")
    ([b'a', None], [b'{"card":"a","n":1}', b'{"card":null,"n":2}'])
    """
    if not columns:
        return [None] * len(rows)
    for name in columns:
        if name not in rows.columns:
            hint = f"its columns are {', '.join(rows.columns)}"
            raise SinkError(with_hint(f'{place}: there is no column "{name}"', hint))
    return core.encode("key", rows.to_arrow().select(list(columns)), "{}")


def partitions_of(rows: Table, columns: Sequence[str], count: int, place: str) -> list[int]:
    """The partition of each row: that which a Java client chooses for a key of these columns.

    A row without a key (null in the only column) goes where an empty key goes.

    Raises:
        SinkError: there is no such column.

    >>> import pyarrow as pa
    >>> rows = Table([pa.table({"card": ["foobar", "21", None]})])
    >>> partitions_of(rows, ["card"], 6, "partition_by")
    [0, 0, 3]
    """
    keys = [key or b"" for key in keys_of(rows, columns, place)]
    return core.partition_of("murmur2", keys, count)
