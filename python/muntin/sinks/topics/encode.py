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


def json_values(rows: Table) -> list[bytes | None]:
    """Each row as a JSON object.

    >>> import pyarrow as pa
    >>> json_values(Table([pa.table({"n": [1, None]})]))
    [b'{"n":1}', b'{"n":null}']
    """
    return core.encode("json", rows.to_arrow(), "{}")


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
