"""Text files with one JSON object a line; a line that is none is kept as an invalid record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from muntin.errors import DataError, SourceError
from muntin.ingest import arrow_schema, batch_of_rows, column_of, inferred_schema
from muntin.sources.base import Delivery, Undecodable, Words
from muntin.sources.files import Paths, files_of


class _Line(NamedTuple):
    position: int
    file: str
    number: int
    text: bytes


class JsonLines:
    """A source of JSON lines, one partition, read from the start to the end of its files.

    Fields that the schema does not name are left out. A line that is no JSON object, or whose
    values do not fit the schema, becomes an invalid record with the reason `undecodable`, its
    file, line and text. The position of a row is the number of lines before it, blank ones and
    undecodable ones included.

    Args:
        paths: a path, a pattern, or a list of paths; a pattern's files are sorted by name.
        schema: column to type word. Without it the stream's own schema holds, and without that
            the first `batch_rows` lines decide: ISO 8601 text is taken as a timestamp.
        batch_rows: lines in a step.

    Raises:
        SourceError: a file is missing or cannot be read.

    >>> JsonLines("events.jsonl", schema={"at": "timestamp[us, UTC]", "n": "i64"}).bounded
    True
    """

    bounded = True
    total = None

    def __init__(
        self,
        paths: Paths,
        *,
        schema: Mapping[str, str] | None = None,
        batch_rows: int = 16_384,
    ) -> None:
        """Remember where the lines are; nothing is read before `open`."""
        if batch_rows < 1:
            raise SourceError(f"JsonLines: batch_rows must be at least 1, got {batch_rows}")
        self._paths = paths
        self._schema = None if schema is None else arrow_schema(schema.items())
        self._batch_rows = batch_rows

    def partitions(self) -> Sequence[int]:
        """One partition, 0."""
        return (0,)

    def identity(self) -> Sequence[str]:
        """The files."""
        return files_of(self._paths)

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> JsonLinesReader:
        """Start reading after the first `positions[0]` lines."""
        declared = self._schema
        if declared is None and schema is not None:
            declared = arrow_schema(schema)
        lines = _lines(files_of(self._paths), positions.get(0, 0))
        return JsonLinesReader(lines, declared, self._batch_rows)


class JsonLinesReader:
    """JSON lines being read."""

    def __init__(self, lines: Iterator[_Line], schema: Any | None, rows: int) -> None:
        """Read `lines`, `rows` at a time, as `schema` or as the first ones show."""
        self._lines = lines
        self._schema = schema
        self._rows = rows

    def poll(self) -> Delivery | None:
        """The rows of the next lines, or None at the end."""
        lines = list(islice(self._lines, self._rows))
        if not lines:
            return None
        rows, places, bad = _objects(lines)
        if self._schema is None and rows:
            self._schema = _schema_of(rows)
        schema = self._schema if self._schema is not None else pa.schema([])
        batch, places, misfits = _fitting(rows, places, schema)
        positions = pa.array([line.position for line in places], pa.int64())
        undecodable = sorted([*bad, *misfits], key=lambda record: record.position)
        resume = {0: lines[-1].position + 1}
        return Delivery(batch, resume, 0, positions, None, tuple(undecodable))

    def close(self) -> None:
        """Stop reading."""
        self._lines = iter(())


def _lines(files: list[str], skip: int) -> Iterator[_Line]:
    position = 0
    for file in files:
        try:
            with open(file, "rb") as lines:
                for number, text in enumerate(lines, 1):
                    if position >= skip:
                        yield _Line(position, file, number, text)
                    position += 1
        except OSError as error:
            raise SourceError(f'"{file}" cannot be read: {error}') from error


def _objects(
    lines: list[_Line],
) -> tuple[list[dict[str, Any]], list[_Line], list[Undecodable]]:
    rows: list[dict[str, Any]] = []
    places: list[_Line] = []
    bad: list[Undecodable] = []
    for line in lines:
        if not line.text.strip():
            continue
        try:
            value = msgspec.json.decode(line.text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            bad.append(_undecodable(line, str(error)))
            continue
        if isinstance(value, dict):
            rows.append(value)
            places.append(line)
        else:
            bad.append(_undecodable(line, "it is no JSON object"))
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


def _fitting(
    rows: list[dict[str, Any]], places: list[_Line], schema: Any
) -> tuple[Any, list[_Line], list[Undecodable]]:
    named = [{name: row.get(name) for name in schema.names} for row in rows]
    try:
        return batch_of_rows(named, schema), places, []
    except DataError:
        pass
    good, kept, bad = [], [], []
    for row, line in zip(named, places, strict=True):
        try:
            for field in schema:
                column_of([row[field.name]], field.name, field.type)
        except DataError as error:
            bad.append(_undecodable(line, str(error)))
        else:
            good.append(row)
            kept.append(line)
    return batch_of_rows(good, schema), kept, bad


def _undecodable(line: _Line, detail: str) -> Undecodable:
    text = line.text.decode("utf-8", "replace").rstrip("\r\n")
    return Undecodable(0, line.position, line.file, line.number, text, detail.partition("\n")[0])
