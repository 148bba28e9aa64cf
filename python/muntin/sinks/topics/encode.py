"""The values and keys of records, made of rows."""

from __future__ import annotations

from collections.abc import Sequence

from muntin.base import core
from muntin.base.errors import SinkError, with_hint
from muntin.values.table import Table


def values_of(rows: Table, format: str) -> list[bytes | None]:
    """One value for each row.

    >>> import pyarrow as pa
    >>> values_of(Table([pa.table({"n": [1, None]})]), "json")
    [b'{"n":1}', b'{"n":null}']
    """
    return core.encode(format, rows.to_arrow(), "{}")


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
    return core.encode("key", rows.to_arrow().select(list(columns)), "{}")
