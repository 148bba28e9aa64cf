"""Serializes rows that sinks without a state have not published yet, for a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import pyarrow as pa

from muntin.base.errors import SnapshotError
from muntin.values.table import Table

Unshown: TypeAlias = Mapping[str, Sequence[tuple[str, Table]]]
"""For the place of each sink: outputs and their rows."""


def packed(unshown: Unshown) -> bytes:
    """Serialize the rows; no rows give no bytes.

    >>> table = Table([pa.table({"n": [1]})])
    >>> [(output, len(rows)) for output, rows in unpacked(packed({"a": [("out", table)]}))["a"]]
    [('out', 1)]
    """
    if not unshown:
        return b""
    plain = {
        place: [(output, _ipc(rows)) for output, rows in tables]
        for place, tables in unshown.items()
    }
    return msgspec.msgpack.encode(plain)


def unpacked(data: bytes) -> dict[str, list[tuple[str, Table]]]:
    """Deserialize the rows.

    Raises:
        SnapshotError: the bytes are not from `packed`.
    """
    if not data:
        return {}
    try:
        plain = msgspec.msgpack.decode(data, type=dict[str, list[tuple[str, bytes]]])
        return {
            place: [(output, _table(ipc)) for output, ipc in tables]
            for place, tables in plain.items()
        }
    except (msgspec.DecodeError, pa.ArrowException, OSError, ValueError) as error:
        raise SnapshotError(f"the rows in the checkpoint cannot be read: {error}") from error


def _ipc(rows: Table) -> bytes:
    table, sink = rows.to_arrow(), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _table(data: bytes) -> Table:
    table = pa.ipc.open_stream(data).read_all()
    table.validate(full=True)
    return Table([table])
