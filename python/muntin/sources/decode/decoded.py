"""The result of decoding: rows, undecodable records, and the columns."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from muntin.base.errors import SourceError, with_hint


class Bad(NamedTuple):
    """A record that is not a row: its index in the block, its line, its text, and the reason."""

    ordinal: int
    line: int | None
    text: bytes
    detail: str


class Decoded(NamedTuple):
    """A block's rows, their record indexes, the bad records, and the number of records.

    The indexes are an `int64` array, or None if all records are rows.
    """

    batch: Any
    ordinals: Any
    bad: list[Bad]
    records: int


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that a source itself uses."""

    arrival: str | None = None
    partition: str | None = None

    def needed(self) -> dict[str, str]:
        """The columns in which every row must have a value, and what the value is."""
        names = {self.partition: "partition", self.arrival: "time of arrival"}
        return {name: what for name, what in names.items() if name is not None}

    def added(self, schema: Any) -> Any:
        """The schema, extended by those of these columns that it lacks."""
        names = {self.arrival: pa.timestamp("us", "UTC"), self.partition: pa.int64()}
        for name, kind in names.items():
            if name is not None and name not in schema.names:
                schema = schema.append(pa.field(name, kind))
        return schema


def no_rows(schema: Any | None) -> Any:
    """A batch without rows."""
    return pa.RecordBatch.from_pylist([], schema if schema is not None else pa.schema([]))


def kept_schema(schema: Any | None) -> dict[str, Any]:
    """A schema as plain values."""
    if schema is None:
        return {}
    return {"schema": base64.b64encode(schema.serialize().to_pybytes()).decode()}


def known_schema(memory: Mapping[str, Any], declared: Any | None) -> Any | None:
    """The declared schema, else the one kept in the checkpoint.

    Raises:
        SourceError: the kept value is not a schema.
    """
    if declared is not None or "schema" not in memory:
        return declared
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(memory["schema"])))
    except (ValueError, TypeError, OSError, pa.ArrowException) as error:
        hint = "start with an empty checkpoint and empty outputs"
        message = f"the checkpoint's columns of the source cannot be read: {error}"
        raise SourceError(with_hint(message, hint)) from error
