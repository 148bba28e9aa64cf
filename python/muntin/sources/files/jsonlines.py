"""Reads files with one JSON object per line; other lines become invalid records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from muntin.base import core
from muntin.sources.decode.decoded import (
    Bad,
    Decoded,
    Roles,
    kept_schema,
    known_schema,
    no_rows,
)
from muntin.sources.decode.fitting import fitting, schema_of
from muntin.sources.decode.objects import NotAnObject, object_of
from muntin.sources.deliveries.pace import Speed
from muntin.sources.deliveries.placed import OnBad
from muntin.sources.files.cuts import Cut, Lines
from muntin.sources.files.formats import check_json_lines
from muntin.sources.files.paths import Paths, key_value, keys_of
from muntin.sources.files.records import LINE_BYTES_MAX, Block
from muntin.sources.files.text import Decoder, Limits, Lost, TextSource, one_bad


class JsonLines(TextSource):
    """A source of JSON lines, read one file after another.

    Fields that the schema does not name are ignored. A line that is not a JSON object, or whose
    values do not fit the schema, becomes an invalid record with the reason `undecodable`, its
    file, line and text. The position of a row is the number of lines before it over all files,
    blank ones and undecodable ones included; with `partition=`, the number of its partition's
    rows before it, where undecodable lines count to the first partition.

    With `follow=True` the last file is read as it grows, each line once its newline is there. A log
    may be rotated, during a run or between two: the file that was read is found again by its inode
    or its content, beside the log under another name (`log.1`, `log-20240501.gz`), and read to its
    end; then those in between are read, then the one with the log's name. A missing file is an
    error, or a warning with `lost="skip"`. A log that is copied and cut (copytruncate) is continued
    in its copy; lines written between the copy and the cut are in neither, and a warning says so. A
    file that is cut otherwise is an error.

    With `watch=True` a folder or a pattern is watched: a file is read when its name appears. It
    must be complete then: write it under another name, such as `.a.tmp`, and rename it. Files that
    appear together are read in natural order. A file that changes after it was read is an error; it
    may be removed.

    Compression by gzip or zstd is detected. Keys in Hive-style folder names (`year=2024/month=05`)
    are fields, unless a line has a field of that name.

    Args:
        paths: a path, a folder, a pattern, a list of these, or "-" for standard input. Files of a
            folder or a pattern are in their natural order: `file2` before `file10`.
        schema: column to type. Without it the stream's schema is used, and without that
            the lines of the first 4 MiB decide: ISO 8601 text is taken as a timestamp.
        arrival: the field with the recorded arrival time, timestamp or `int64` microseconds.
        partition: the integer field with each row's partition; a row must have it.
        partitions: the values it can have. Without them the files are read once more, before
            the run, to find them.
        follow: wait for more rows at the end of the last file.
        watch: wait for more files.
        lost: whether lost lines of a followed file are an "error", or a warning ("skip").
        line_bytes_max: a longer line is an invalid record, of which only the start is kept. This
            bounds the memory of a line; 16 MiB is far more than events need.
        speed: replay rows at their recorded pace, this many times faster; see `mt.sources.Pace`.
        batch_rows: the maximum number of rows in a step.
        bad: "record" makes a record that cannot be read an invalid record; "stop" ends the run
            with an error that names the file, the line and what is wrong.

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
        watch: bool = False,
        lost: Lost = "error",
        line_bytes_max: int = LINE_BYTES_MAX,
        speed: Speed = None,
        batch_rows: int = 16_384,
        bad: OnBad = "record",
    ) -> None:
        """Keep the arguments; files are read only when needed."""
        roles = Roles(arrival, partition)
        limits = Limits(follow, watch, False, lost, line_bytes_max, batch_rows, bad)
        super().__init__(paths, schema, roles, partitions, limits, speed)

    def _format(self, schema: Any | None, roles: Roles) -> tuple[Cut, Decoder]:
        return Lines(), _Objects(schema, roles)


class _Objects:
    """Blocks of JSON lines to rows."""

    def __init__(self, schema: Any | None, roles: Roles) -> None:
        self._schema = None if schema is None else roles.added(schema)
        self._roles = roles
        self._keys = _Keys()

    def memory(self) -> dict[str, Any]:
        return kept_schema(self._schema)

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._schema = known_schema(memory, self._schema)

    def __call__(self, block: Block) -> Decoded:
        if block.fault:
            return one_bad(block, self._schema)
        if block.begins:
            check_json_lines(block.file, block.text)
        keys = self._keys(block.file, self._schema)
        if self._schema is not None and not keys:
            decoded = self._at_once(block, self._schema)
            if decoded is not None:
                return decoded
        texts = block.text.removesuffix(b"\n").split(b"\n")
        lines = [Bad(i, block.line + i, text, "") for i, text in enumerate(texts)]
        return self._one_by_one(lines, len(lines), keys)

    def _at_once(self, block: Block, schema: Any) -> Decoded | None:
        """The core reads the lines; None if it does not know a type."""
        needed = self._roles.needed()
        places = [(i, needed[name]) for i, name in enumerate(schema.names) if name in needed]
        read = core.json_lines(block.text, schema, places)
        if read is None:
            return None
        rows, numbers, wrong, count = read
        table = pa.table(rows)
        batch = table.to_batches()[0] if len(table) else no_rows(schema)
        ordinals = None if numbers is None else pa.array(numbers, pa.int64())
        bad = [
            Bad(i, block.line + i, block.text[start:end], detail) for i, start, end, detail in wrong
        ]
        return Decoded(batch, ordinals, bad, count)

    def _one_by_one(self, lines: list[Bad], count: int, keys: Mapping[str, Any]) -> Decoded:
        """Lines as dicts, and what is wrong with the others; there are `count` lines in all."""
        rows, places, bad = _objects(lines)
        if keys:
            rows = [{**keys, **row} for row in rows]
        if self._schema is None and rows:
            self._schema = schema_of(rows, self._roles, "JsonLines")
        schema = self._schema if self._schema is not None else pa.schema([])
        batch, wrong = fitting(rows, schema, self._roles)
        bad += [places[i]._replace(detail=detail) for i, detail in wrong.items()]
        kept = [line.ordinal for i, line in enumerate(places) if i not in wrong]
        return Decoded(batch, pa.array(kept, pa.int64()), sorted(bad), count)


class _Keys:
    """The keys of files' folders, in the types of the schema."""

    def __init__(self) -> None:
        self._known: tuple[str, Any, dict[str, Any]] = ("", None, {})

    def __call__(self, file: str, schema: Any | None) -> dict[str, Any]:
        if self._known[:2] != (file, schema):
            kinds = {} if schema is None else {field.name: field.type for field in schema}
            keys = {key: key_value(text, kinds.get(key)) for key, text in keys_of(file).items()}
            self._known = (file, schema, keys)
        return self._known[2]


def _objects(lines: list[Bad]) -> tuple[list[dict[str, Any]], list[Bad], list[Bad]]:
    rows: list[dict[str, Any]] = []
    places: list[Bad] = []
    bad: list[Bad] = []
    for line in lines:
        if not line.text.strip():
            continue
        try:
            rows.append(object_of(line.text))
            places.append(line)
        except NotAnObject as error:
            bad.append(line._replace(detail=str(error)))
    return rows, places, bad
