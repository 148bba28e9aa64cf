"""The values and keys of records, made of rows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from muntin.base.errors import SinkError, with_hint
from muntin.sinks.flat import json_rows
from muntin.values import show
from muntin.values.table import Table

_ENCODER = msgspec.json.Encoder()


def values_of(rows: Table, format: str) -> list[bytes]:
    """One value for each row.

    >>> import pyarrow as pa
    >>> values_of(Table([pa.table({"n": [1, None]})]), "json")
    [b'{"n":1}', b'{"n":null}']
    """
    return [_ENCODER.encode(row) for plain in json_rows(rows) for row in plain]


def keys_of(rows: Table, columns: Sequence[str], place: str) -> list[bytes | None]:
    """One key for each row: none without columns, the text of one, a JSON object of several.

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
    if len(columns) == 1:
        texts = show.to_text(rows.to_arrow()[columns[0]]).to_pylist()
        return [None if text is None else text.encode() for text in texts]
    named = Table([rows.to_arrow().select(list(columns))])
    return [_ENCODER.encode(row) for plain in json_rows(named) for row in plain]
