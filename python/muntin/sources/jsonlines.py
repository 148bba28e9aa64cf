"""Text files with one JSON object a line; a line that is none is kept as an invalid record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from muntin.errors import DataError, SourceError, unknown
from muntin.ingest import batch_of_rows, column_of, inferred_schema
from muntin.sources.files import Paths
from muntin.sources.pace import Speed
from muntin.sources.records import Block, Cut, whole_lines
from muntin.sources.text import Bad, Decoded, Decoder, Roles, TextSource


class JsonLines(TextSource):
    """A source of JSON lines, read from the start to the end of its files.

    Fields that the schema does not name are left out. A line that is no JSON object, or whose
    values do not fit the schema, becomes an invalid record with the reason `undecodable`, its
    file, line and text. The position of a row is the number of lines before it over all files,
    blank ones and undecodable ones included; with `partition=`, the number of its partition's
    rows before it, where what is undecodable counts to the first partition.

    With `follow=True` the last file has no end: what is appended to it is read as it comes, a
    line when its newline is there. When another file takes the name, the rest of the old one is
    read, then the new one; a run that goes on later reads the new one alone, so let it stop
    where a log is rotated, or keep its parts in the list. A file that becomes shorter is an error.

    Args:
        paths: a path, a pattern, or a list of paths; a pattern's files are sorted by name.
        schema: column to type word. Without it the stream's own schema holds, and without that
            the lines of the first 4 MiB decide: ISO 8601 text is taken as a timestamp.
        arrival: the field with the recorded time of arrival, timestamp or `int64` microseconds.
        partition: the integer field with each row's partition; a row must have it.
        partitions: the values it can have. Without them the files are read once more, before
            the run, to find them.
        follow: wait for more at the end of the last file.
        speed: hand rows over as time goes by, so many times faster; see `mt.sources.Pace`.
        batch_rows: rows in a step, at most.

    Raises:
        SourceError: a file is missing, cannot be read, or has become shorter.

    >>> JsonLines("events.jsonl", schema={"at": "timestamp[us, UTC]", "n": "i64"}).bounded
    True
    """

    def __init__(
        self,
        paths: Paths,
        *,
        schema: Mapping[str, str] | None = None,
        arrival: str | None = None,
        partition: str | None = None,
        partitions: Sequence[int] | None = None,
        follow: bool = False,
        speed: Speed = None,
        batch_rows: int = 16_384,
    ) -> None:
        """Remember where the lines are; nothing is read before it has to be."""
        roles = Roles(arrival, partition)
        super().__init__(paths, schema, roles, partitions, follow, speed, batch_rows)

    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        return whole_lines, _Objects(schema, roles)


class _Objects:
    """Blocks of JSON lines to rows."""

    def __init__(self, schema: Any | None, roles: Roles) -> None:
        self._schema = None if schema is None else roles.added(schema)
        self._roles = roles

    def __call__(self, block: Block) -> Decoded:
        texts = block.text.removesuffix(b"\n").split(b"\n")
        lines = [Bad(i, block.line + i, text, "") for i, text in enumerate(texts)]
        rows, places, bad = _objects(lines)
        if self._schema is None and rows:
            self._schema = self._inferred(rows)
        schema = self._schema if self._schema is not None else pa.schema([])
        batch, places, misfits = self._fitting(rows, places, schema)
        ordinals = pa.array([line.ordinal for line in places], pa.int64())
        return Decoded(batch, ordinals, sorted([*bad, *misfits]), len(lines))

    def _inferred(self, rows: list[dict[str, Any]]) -> Any:
        schema = _schema_of(rows)
        for name in (self._roles.arrival, self._roles.partition):
            if name is not None and name not in schema.names:
                raise SourceError(unknown("field", name, schema.names, "JsonLines"))
        return schema

    def _fitting(
        self, rows: list[dict[str, Any]], places: list[Bad], schema: Any
    ) -> tuple[Any, list[Bad], list[Bad]]:
        named = [{name: row.get(name) for name in schema.names} for row in rows]
        lost = self._roles.partition
        try:
            if lost is None or all(row[lost] is not None for row in named):
                return batch_of_rows(named, schema), places, []
        except DataError:
            pass
        good, kept, bad = [], [], []
        for row, line in zip(named, places, strict=True):
            try:
                for field in schema:
                    column_of([row[field.name]], field.name, field.type)
                if lost is not None and row[lost] is None:
                    raise DataError(f'it has no partition in "{lost}"')
            except DataError as error:
                bad.append(line._replace(detail=str(error)))
            else:
                good.append(row)
                kept.append(line)
        return batch_of_rows(good, schema), kept, bad


def _objects(lines: list[Bad]) -> tuple[list[dict[str, Any]], list[Bad], list[Bad]]:
    rows: list[dict[str, Any]] = []
    places: list[Bad] = []
    bad: list[Bad] = []
    for line in lines:
        if not line.text.strip():
            continue
        try:
            value = msgspec.json.decode(line.text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            bad.append(line._replace(detail=str(error)))
            continue
        if isinstance(value, dict):
            rows.append(value)
            places.append(line)
        else:
            bad.append(line._replace(detail="it is no JSON object"))
    return rows, places, bad


def _schema_of(rows: list[dict[str, Any]]) -> Any:
    try:
        return inferred_schema(rows)
    except DataError as error:
        # one line of another shape must not decide; the first line's types hold
        first = inferred_schema(rows[:1])
        if not first.names:
            raise SourceError(f"the lines have no common schema: {error}") from error
        return first
